"""docs/images.md: each of its commands, as it stands there, by a user who is not root."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dlmatrix.engines.docker.engine import DockerEngine
from tests.image import registry
from tests.image.support import ROOT, plan_of

IMAGE = "dlmatrix:cpu-torch-2.13"
PAGE = (ROOT / "docs" / "images.md").read_text(encoding="utf-8")
MINE = "mine"
#: Whoever the page is for; the engine's own user in these tests is root.
USER = 1000

TRAIN = """\
import os, torch
loader = torch.utils.data.DataLoader(torch.arange(64.0).reshape(16, 4), batch_size=4, num_workers=2)
room = os.statvfs("/dev/shm")
with open("out", "w") as file:
    file.write("%s %g %d" % (torch.__version__, sum(batch.sum() for batch in loader), room.f_frsize * room.f_blocks))
"""
COMPILED = """\
import torch
function = torch.compile(lambda x: torch.relu(x) * 2 + 1)
x = torch.arange(-4.0, 4.0)
print(torch.equal(function(x), torch.relu(x) * 2 + 1))
"""

Shell = Callable[..., str]


@pytest.fixture(scope="module", autouse=True)
def image(engine: DockerEngine) -> str:
    """The image of the page, built from this checkout; its id."""
    return engine.prepare(plan_of(ROOT, IMAGE.partition(":")[2]), print).what


@pytest.fixture
def work(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """A folder of the user's, here and as the engine sees it: that of .ci/engine has a root of its own."""
    run = Path(os.environ.get("DOCKER_HOST", "").removeprefix("unix://")).parent
    own = (run / "holder.pid").is_file()
    folder = (run if own else tmp_path) / f"work-{uuid.uuid4()}"
    folder.mkdir(mode=0o755)
    (folder / "train.py").write_text(TRAIN)
    (folder / "compiled.py").write_text(COMPILED)
    os.chown(folder, USER, USER)
    yield folder, Path("/run/engine", folder.name) if own else folder
    shutil.rmtree(folder)


@pytest.fixture
def shell(work: tuple[Path, Path]) -> Shell:
    """Run a command of the page; what stands for the reader's own words is replaced."""
    here, there = work

    def run(command: str, **words: str) -> str:
        assert f"\n$ {command}\n" in PAGE
        for word, own in words.items():
            command = command.replace(word.replace("__", "."), own)
        # PWD and id are the reader's: a folder as the engine sees it, a user who is not root.
        script = f'id() {{ echo {USER}; }}; PWD="{there}"; {command}'
        done = subprocess.run(["sh", "-c", script], cwd=here, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="module")
def mine(image: str, tmp_path_factory: pytest.TempPathFactory, client: Any) -> Iterator[str]:
    """The page's Dockerfile, built by the page's command, with this site's secrets."""
    folder = tmp_path_factory.mktemp("own")
    (dockerfile,) = re.findall(r"^```dockerfile\n(.*?)^```", PAGE, re.S | re.M)
    (folder / "Dockerfile").write_text(dockerfile)
    (folder / "requirements.txt").write_text("jupyterlab\n")
    command = "docker buildx build --build-context uv=PATH/TO/dlmatrix/.venv/bin --tag mine ."
    assert f"\n$ {command}\n" in PAGE
    authority = os.environ.get("SSL_CERT_FILE", "")
    secrets = f"--secret id=index,env=UV_DEFAULT_INDEX {f'--secret id=ca,src={authority}' if authority else ''}"
    command = command.replace("PATH/TO/dlmatrix", str(ROOT)).replace("--tag", f"{secrets} --tag")
    done = subprocess.run(["sh", "-c", command], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    yield MINE
    with contextlib.suppress(Exception):
        client.images.remove(MINE)


def test_what_there_is(shell: Shell) -> None:
    assert "cpu-torch-2.13" in shell("docker image ls --filter reference='dlmatrix:*'")


@pytest.mark.parametrize(("option", "room"), [("", 64 << 20), ("--shm-size 1g ", 1 << 30)])
def test_a_script(option: str, room: int, shell: Shell, work: tuple[Path, Path]) -> None:
    shell(
        f'docker run --rm {option}--entrypoint python -v "$PWD":/work -w /work -u "$(id -u):$(id -g)"'
        " dlmatrix:cpu-torch-2.13 train.py"
    )
    out = work[0] / "out"
    assert out.read_text() == f"2.13.0+cpu 2016 {room}"
    assert out.stat().st_uid == USER


def test_what_was_checked_stays_in_an_image_of_ones_own(mine: str, engine: DockerEngine) -> None:
    ask = "import importlib.metadata as m; print(sorted((d.name.lower(), d.version) for d in m.distributions()))"

    def installed(image: str) -> set[tuple[str, str]]:
        return set(eval(engine.images.look(image, "python", "-c", ask)))  # noqa: S307 - a list that was printed here

    before, after = installed(IMAGE), installed(mine)
    assert before < after
    assert "jupyterlab" in dict(after)


def test_torch_compile(mine: str, shell: Shell, client: Any, work: tuple[Path, Path]) -> None:
    command = 'docker run --rm -v "$PWD":/work -w /work -u "$(id -u):$(id -g)" mine python compiled.py'
    assert shell(command) == "True\n"
    with pytest.raises(AssertionError, match="InvalidCxxCompiler"):
        shell(command, mine=f"--entrypoint env {IMAGE}")


def test_jupyter(mine: str, shell: Shell, client: Any) -> None:
    name = f"dlmatrix-page-{os.getpid()}"
    ask = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8888/api').read())"
    try:
        shell(
            'docker run --rm -p 127.0.0.1:8888:8888 -v "$PWD":/work -w /work -u "$(id -u):$(id -g)" mine'
            " jupyter lab --ip 0.0.0.0",
            **{"--rm": f"--rm --detach --name {name}"},
        )
        container = client.containers.get(name)
        said = b""
        for piece in container.logs(stream=True, follow=True):
            said += piece
            if b"/lab?token=" in said:
                break
        code, answer = container.exec_run(["python", "-c", ask])
        assert (code, b'"version"' in answer) == (0, True), answer
        assert container.exec_run(["id", "-u"]).output == b"%d\n" % USER
    finally:
        subprocess.run(["docker", "rm", "--force", name], check=True, capture_output=True)


def test_a_file(shell: Shell, image: str, work: tuple[Path, Path]) -> None:
    shell("docker save --output cpu-torch-2.13.tar dlmatrix:cpu-torch-2.13")
    assert "Loaded image" in shell("docker load --input cpu-torch-2.13.tar")


def test_a_registry(shell: Shell, image: str, client: Any) -> None:
    text = Path(registry.__file__).read_text(encoding="utf-8")
    own = {"registry__example": f"127.0.0.1:{registry.PORT}"}
    ref = f"127.0.0.1:{registry.PORT}/lab/cpu-torch-2.13"
    server = client.containers.run(image, ["-c", text], entrypoint="python", network_mode="host", detach=True)
    try:
        assert any(b"listening" in line for line in server.logs(stream=True, follow=True))
        shell("docker tag dlmatrix:cpu-torch-2.13 registry.example/lab/cpu-torch-2.13", **own)
        shell("docker push registry.example/lab/cpu-torch-2.13", **own)
        digest = shell("docker image inspect --format '{{.Id}}' dlmatrix:cpu-torch-2.13").strip()
        if "containerd" in str(client.info()["DriverStatus"]):
            pulled = subprocess.run(["docker", "pull", f"{ref}@{digest}"], capture_output=True, text=True, check=False)
            assert pulled.returncode == 0, pulled.stderr
            assert digest == image
    finally:
        server.remove(force=True)
        subprocess.run(["docker", "image", "rm", "--force", ref], capture_output=True, check=False)


def test_cleaning_up(mine: str, shell: Shell, image: str, client: Any) -> None:
    shell("docker image rm mine")
    client.images.get(image).tag("dlmatrix-page", "kept")
    try:
        shell("docker image rm dlmatrix:cpu-torch-2.13")
        assert not client.images.list(name=IMAGE)
    finally:
        client.images.get(image).tag(*IMAGE.split(":"))
        client.images.remove("dlmatrix-page:kept")
    assert "Build Cache" in shell("docker system df")
