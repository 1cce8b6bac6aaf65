"""What each layer of an image holds and adds, as the engine's history tells it."""

from __future__ import annotations

from pathlib import Path

from dlmatrix.engines.docker.images import layers_of

FINISH = "RUN /bin/sh -c sh -eu /run/finish-env # buildkit"
#: The newest step first, as the SDK gives them; figures of a real cpu-torch image.
HISTORY = [
    {"CreatedBy": "COPY /out/srv /srv # buildkit", "Size": 991232},
    {"CreatedBy": 'ENTRYPOINT ["python" "-m" "smoke"]', "Size": 0},
    {"CreatedBy": "USER 65532:65532", "Size": 0},
    {"CreatedBy": FINISH, "Size": 61440},
    {"CreatedBy": "WORKDIR /srv", "Size": 0},
    {"CreatedBy": "wheels filelock==4.2.6 six==1.17.0", "Size": 512000},
    {"CreatedBy": "wheels torch==2.13.0+cpu", "Size": 994983936},
    {"CreatedBy": "RUN /bin/sh -c set -eux;\n\t\tapt-get update", "Size": 4096},
    {"CreatedBy": "ADD rootfs.tar / # buildkit", "Size": 192819200},
]


def test_layers_begin_with_the_base_and_empty_steps_are_left_out() -> None:
    assert layers_of(HISTORY) == (
        {"step": "ADD rootfs.tar / # buildkit", "bytes": 192819200, "holds": "base"},
        {"step": "RUN /bin/sh -c set -eux; apt-get update", "bytes": 4096, "holds": "base"},
        {"step": "wheels torch==2.13.0+cpu", "bytes": 994983936, "holds": "environment"},
        {"step": "wheels filelock==4.2.6 six==1.17.0", "bytes": 512000, "holds": "environment"},
        {"step": FINISH, "bytes": 61440, "holds": "environment"},
        {"step": "COPY /out/srv /srv # buildkit", "bytes": 991232, "holds": "checks"},
    )


def test_an_image_of_another_making_is_all_base() -> None:
    assert {layer["holds"] for layer in layers_of(HISTORY[7:])} == {"base"}
    assert layers_of([]) == ()


def test_the_dockerfile_ends_with_the_two_layers(root: Path) -> None:
    """What the last stage is made from runs one thing, and it copies one."""
    text = (root / "docker" / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", "")
    stages = {part.splitlines()[0]: part.splitlines()[1:] for part in text.split("\nFROM ")[1:]}
    layers = {name: [line for line in lines if line.startswith(("RUN ", "COPY "))] for name, lines in stages.items()}
    (finish,) = layers["env AS whole"]
    assert finish.endswith(" sh -eu /run/finish-env")
    assert layers["whole AS cpu"] == layers["whole AS gpu"] == []
    assert layers["${VARIANT}"] == ["COPY --link --from=checks /out/srv /srv"]


def test_no_argument_of_the_dockerfile_gets_into_the_history(root: Path) -> None:
    """BuildKits write arguments there in different ways, and an image's digest is over its history."""
    text = (root / "docker" / "Dockerfile").read_text(encoding="utf-8")
    stages = {part.splitlines()[0]: part.splitlines()[1:] for part in text.split("\nFROM ")[1:]}
    for name in ("env AS whole", "whole AS cpu", "whole AS gpu", "${VARIANT}"):
        assert not [line for line in stages[name] if line.startswith("ARG ")]
