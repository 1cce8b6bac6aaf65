#!/usr/bin/env bash
# PyTorch's seeded normal numbers and the CPU's vector instructions.
#
# Guess, written down before the first run: AVX2 has a normal fill of its own, and AVX-512 goes back to the plain one.
# So `torch.randn` with one seed is equal to the bit with ATEN_CPU_CAPABILITY=default and avx512, and has other last
# bits with avx2 from 16 numbers on; uniform numbers, permutations and Bernoulli are equal everywhere.
#
# Seen (torch 2.13.0+cpu, CPython 3.11, x86-64): avx512 draws what avx2 draws, and default what neither does: two in
# five of 100,000 numbers differ, by at most 2.0e-6, and so do `trunc_normal_` and `kaiming_normal_`, which start a
# network. Fewer than 16 numbers, float64, `log_normal_` and everything that is not normal are equal everywhere.
#
# Usage: [PYTHON=python3.11] findings/torch-normals-follow-vectors.sh
# Needs a pip that reaches PyTorch's +cpu wheels, about 200 MB, and a CPU with AVX2 (AVX-512 is compared where it is).
# Exit code: 0 seen as above, 1 it has changed, 2 it cannot be tried here.
set -euo pipefail

python=${PYTHON:-python3}
grep -qw avx2 /proc/cpuinfo || { echo "this CPU has no AVX2" >&2; exit 2; }
temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT
"$python" -m venv "$temp/venv"
"$temp/venv/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.13.0+cpu numpy==2.4.6 || exit 2

cat > "$temp/draw.py" <<'PYTHON'
"""Draw with one seed by the vector instructions that the environment allows, and keep it in FILE."""
import sys

import numpy as np
import torch


def seeded(draw):
    torch.manual_seed(1)
    return draw().numpy()


torch.set_num_threads(1)
n = 100_000
np.savez(
    sys.argv[1],
    **{
        "capability": torch.backends.cpu.get_cpu_capability(),
        "randn": seeded(lambda: torch.randn(n)),
        "randn, 16 numbers": seeded(lambda: torch.randn(16)),
        "trunc_normal_": seeded(lambda: torch.nn.init.trunc_normal_(torch.empty(n))),
        "kaiming_normal_": seeded(lambda: torch.nn.init.kaiming_normal_(torch.empty(n // 10, 10))),
        "randn, 15 numbers": seeded(lambda: torch.randn(15)),
        "randn, float64": seeded(lambda: torch.randn(n, dtype=torch.float64)),
        "log_normal_": seeded(lambda: torch.empty(n).log_normal_()),
        "rand": seeded(lambda: torch.rand(n)),
        "randperm": seeded(lambda: torch.randperm(n)),
        "bernoulli_": seeded(lambda: torch.empty(n).bernoulli_(0.3)),
        "exponential_": seeded(lambda: torch.empty(n).exponential_()),
    },
)
PYTHON

cat > "$temp/compare.py" <<'PYTHON'
"""Hold the draws of each capability in a folder against those of avx2, and against what was seen."""
import sys

import numpy as np

FOLLOW = {"randn", "randn, 16 numbers", "trunc_normal_", "kaiming_normal_"}
folder, capabilities = sys.argv[1], sys.argv[2:]
draws = {name: np.load(f"{folder}/{name}.npz") for name in capabilities}
changed = [name for name, drawn in draws.items() if str(drawn["capability"]).lower() != name]
print(f"{'numbers that differ from avx2, by at most':44}" + "".join(f"{name:>22}" for name in capabilities))
for name in draws["avx2"].files[1:]:
    line = f"{name:44}"
    for capability, drawn in draws.items():
        a, b = drawn[name], draws["avx2"][name]
        share, most = float((a != b).mean()), float(np.abs(a - b).max())
        line += f"{share:12.1%} {most:9.1e}"
        expected = capability == "default" and name in FOLLOW
        if bool(share) != expected or most > 1e-5:
            changed.append(f"{name} with {capability}")
    print(line)
sys.exit(f"changed: {', '.join(changed)}" if changed else 0)
PYTHON

capabilities=(default avx2)
if grep -qw avx512f /proc/cpuinfo; then capabilities+=(avx512); fi
"$temp/venv/bin/python" -m pip list --disable-pip-version-check | grep -E '^(torch|numpy)'
for capability in "${capabilities[@]}"; do
  ATEN_CPU_CAPABILITY=$capability "$temp/venv/bin/python" "$temp/draw.py" "$temp/$capability.npz"
done
"$temp/venv/bin/python" "$temp/compare.py" "$temp" "${capabilities[@]}"
