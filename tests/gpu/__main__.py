"""``python -m tests.gpu``, also where the packages of the host side are missing."""

import sys

try:
    from tests.gpu.command import main
except ModuleNotFoundError as error:
    print(f"{error}: `make gpu-test` brings it; without a registry see docs/development.md", file=sys.stderr)
    sys.exit(2)

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
