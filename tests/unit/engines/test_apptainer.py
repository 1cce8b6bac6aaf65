"""Apptainer: what it is told, which file is an env's image, and that one is made once, whole or not at all."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import pytest

from dlmatrix.engines.apptainer.engine import ApptainerEngine
from dlmatrix.engines.apptainer.images import Sif, ready
from dlmatrix.engines.apptainer.program import confined, environment, fatal
from dlmatrix.engines.docker.container import container_options
from dlmatrix.engines.protocol import Prepared
from dlmatrix.errors import BuildError, DiskFullError, DlmatrixError, EngineError
from dlmatrix.matrix.load import load_matrix, lock_of, select
from dlmatrix.matrix.plan import Limits, Plan, debian, make_plan, official
from tests.unit.layouts import layout

Cli = Callable[..., tuple[int, str, str]]

#: An Apptainer whose SIF files are their labels in JSON; it tells in a file what it was called with.
STUB = """\
import json, os, pathlib, sys, time
here = pathlib.Path(sys.argv[0]).parent
verb, words = sys.argv[1], sys.argv[2:]
with (here / "calls").open("a") as calls:
    own = {name: value for name, value in os.environ.items() if name.startswith("APPTAINER")}
    calls.write(json.dumps({"verb": verb, "words": words, "environ": own}) + "\\n")
if verb == "--version":
    print("apptainer version 1.4.5")
elif verb == "inspect":
    said = pathlib.Path(words[-1]).read_text()
    if not said.startswith("{"):
        sys.exit("FATAL:   could not open image")
    labels = json.loads(said)
    print(json.dumps({"data": {"attributes": {"labels": labels}}, "type": "container"}))
elif verb == "build":
    at = pathlib.Path(words[-1].partition(":")[2])
    (image,) = json.loads((at / "index.json").read_text())["manifests"]
    for _ in range(2):
        image = json.loads((at / "blobs" / image["digest"].replace(":", "/")).read_text())
        image = image.get("config", image)
    while (here / "slow").exists():
        time.sleep(0.01)
    fails = here / "fails"
    pathlib.Path(words[-2]).write_text("half of it" if fails.exists() else json.dumps(image["Labels"]))
    if fails.exists():
        sys.exit(fails.read_text())
else:
    said = here / "said"
    if said.exists():
        code, _, text = said.read_text().partition(" ")
        print(text, file=sys.stderr)
        sys.exit(int(code))
    print("{}")
"""


@pytest.fixture
def plan(checkout: Path) -> Plan:
    matrix = load_matrix(checkout)
    (env,) = select(matrix, ["cpu-torch-2.13"])
    return make_plan(matrix, env, lock_of(matrix, env), "1", Limits())


@pytest.fixture
def stub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of an apptainer command, first on the PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "apptainer").write_text(f"#!{sys.executable}\n{STUB}")
    (folder / "apptainer").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return folder


def calls(stub: Path, verb: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in (stub / "calls").read_text().splitlines()]
    return [one for one in found if one["verb"] == verb]


def labels(plan: Plan, **changes: str) -> dict[str, str]:
    return plan.labels(official(plan.base)) | {name.replace("_", "."): value for name, value in changes.items()}


def sif(folder: Path, name: str, found: dict[str, str]) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(json.dumps(found))
    return folder / name


def carried(plan: Plan, found: dict[str, str]) -> None:
    """The checkout is an unpacked bundle, whose image has these labels."""
    images = plan.root / "bundle" / "images"
    images.mkdir(parents=True)
    (plan.root / "bundle" / "manifest.json").write_text("{}")
    layout(images, {plan.env.tag: found, "dlmatrix:other": {}})


def silent(line: str) -> None:
    """Hear nothing."""


def test_a_container_is_as_closed_as_docker_s(plan: Plan) -> None:
    file, workdir = Path("/sif/x.sif"), Path("/work")
    words = confined(file, workdir, uid=1000)
    docker = container_options(plan)
    assert docker["network_mode"] == "none"
    assert words[1:4] == ["--net", "--network", "none"]
    assert docker["cap_drop"] == ["ALL"]
    assert docker["security_opt"] == ["no-new-privileges"]
    assert "--no-privs" in words
    # The root is read-only unless one of these is said; a machine's folders are there where an administrator says so.
    assert docker["read_only"]
    assert not {"--writable", "--writable-tmpfs", "--bind", "--overlay"} & set(words)
    assert words[words.index("--no-mount") + 1] == "hostfs,bind-paths"
    assert "--containall" in words
    assert words[words.index("--pwd") + 1] == "/srv"
    assert words[-1] == "/sif/x.sif"
    assert "--nv" not in words
    assert confined(file, workdir, gpu=True, uid=1000) == [*words[:-1], "--nv", "/sif/x.sif"]
    root = confined(file, workdir, uid=0)
    assert [root[n + 1] for n, word in enumerate(root) if word == "--security"] == ["uid:65532", "gid:65532"]
    assert docker["user"] == "65532:65532"


def test_variables_of_the_user_s_do_not_open_a_container() -> None:
    given = {"PATH": "/bin", "APPTAINER_TMPDIR": "/big", "APPTAINER_BIND": "/", "SINGULARITY_NV": "1"}
    given |= {"APPTAINERENV_LD_PRELOAD": "x", "SINGULARITYENV_X": "y", "CUDA_VISIBLE_DEVICES": "0"}
    assert environment(given) == {"PATH": "/bin", "APPTAINER_TMPDIR": "/big", "CUDA_VISIBLE_DEVICES": "0"}


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("INFO:    x\n\x1b[31mFATAL:  \x1b[0m no user namespaces", "no user namespaces"),
        ("FATAL:   while x: y: z\n", "while x: y: z"),
        ("ERROR  : no namespaces\nINFO   : ask for some", "no namespaces"),
        ("half\nlast", "last"),
        ("", "it said nothing"),
    ],
)
def test_the_reason_that_apptainer_gives(said: str, reason: str) -> None:
    assert fatal(said) == reason


def test_without_the_command_it_says_what_to_do(checkout: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    code, _, err = cli("run", "cpu-torch-2.13", "--engine", "apptainer")
    assert code == 4
    assert "there is no apptainer command on the PATH\n  next: `module load apptainer`" in err
    assert not (checkout / "reports").exists()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--engine", "venv", "--sif", "x"], "--sif is the folder of --engine apptainer"),
        (["--engine", "apptainer", "--memory", "1g"], "--memory: the engine apptainer holds no env to it"),
        (["--engine", "apptainer", "--bases", "debian"], "--bases: the engine apptainer builds on no base"),
        (["--engine", "apptainer", "--bare-metal"], "--bare-metal compares with a container of Docker's"),
    ],
)
def test_what_it_does_not_do_is_refused(checkout: Path, cli: Cli, stub: Path, options: list[str], says: str) -> None:
    code, _, err = cli("run", "cpu-torch-2.13", *options)
    assert (code, says in err) == (2, True)


def test_a_file_is_known_by_its_labels_and_not_by_its_name(plan: Plan, stub: Path, tmp_path: Path) -> None:
    folder = tmp_path / "sif"
    sif(folder, "cpu-torch-2.13-a.sif", labels(plan, dlmatrix_key="old"))
    sif(folder, "cpu-torch-2.13-b.sif", labels(plan, dlmatrix_env="cpu-torch-2.12"))
    (folder / "cpu-torch-2.13-c.sif").write_text("half of")
    own = sif(folder, "cpu-torch-2.13-d.sif", labels(plan))
    found = ready(folder, plan, silent)
    assert (found.file, found.built, found.base) == (own, False, official(plan.base))


def test_the_base_that_was_built_on_is_the_image_s_own_word(plan: Plan, stub: Path, tmp_path: Path) -> None:
    base = debian(plan.base, "sha256:1234")
    sif(tmp_path / "sif", "cpu-torch-2.13-a.sif", plan.labels(base))
    assert ready(tmp_path / "sif", plan, silent).base == base


def test_a_foreign_or_an_old_image_is_refused_with_the_commands_that_make_it(
    checkout: Path, cli: Cli, plan: Plan, stub: Path, tmp_path: Path
) -> None:
    sif(tmp_path / "sif", "cpu-torch-2.13-a.sif", labels(plan, dlmatrix_key="old"))
    (tmp_path / "sif" / "cpu-torch-2.13-b.sif").write_text("half of")
    carried(plan, labels(plan, dlmatrix_key="older"))
    arguments = ["--engine", "apptainer", "--sif", str(tmp_path / "sif"), "--report", str(tmp_path / "report")]
    code, out, _ = cli("run", "cpu-torch-2.13", *arguments)
    (env,) = json.loads((tmp_path / "report" / "result.json").read_text())["envs"]
    assert code == 4 == env["exit_code"]
    assert f"no image of cpu-torch-2.13 that this checkout describes is in {tmp_path / 'sif'}; " in env["reason"]
    assert "; cpu-torch-2.13-a.sif: its labels are not those of this state of the checkout; " in env["reason"]
    assert "; cpu-torch-2.13-b.sif: could not open image" in env["reason"]
    assert "; that of the bundle is of another state of the checkout" in env["reason"]
    assert "bundle cpu-torch-2.13 --no-wheels --out cpu-torch-2.13.bundle; then here" in env["next_step"]
    again = f"run cpu-torch-2.13 --engine apptainer --sif {tmp_path / 'sif'} --bundle cpu-torch-2.13.bundle"
    assert again in env["next_step"]
    assert calls(stub, "--version")
    assert not calls(stub, "exec")
    assert out


def test_it_is_made_once_of_the_bundle_s_image(plan: Plan, stub: Path, tmp_path: Path) -> None:
    carried(plan, labels(plan))
    said: list[str] = []
    first, second = (ready(tmp_path / "sif", plan, said.append) for _ in range(2))
    assert (first.built, second.built, len(calls(stub, "build"))) == (True, False, 1)
    assert first.file == second.file == tmp_path / "sif" / f"cpu-torch-2.13-{plan.key(first.base)[:16]}.sif"
    assert any("once" in line for line in said)
    assert [file.name for file in (tmp_path / "sif").glob("*.sif")] == [first.file.name]


@pytest.mark.parametrize(
    ("said", "error", "message", "next_step"),
    [
        ("FATAL:   no such thing", BuildError, "apptainer build failed: no such thing", "log of this env"),
        ("FATAL:   write: no space left on device", DiskFullError, "the disk is full", "APPTAINER_TMPDIR=DIR"),
    ],
)
def test_of_a_build_that_fails_nothing_stays(
    plan: Plan, stub: Path, tmp_path: Path, *, said: str, error: type[DlmatrixError], message: str, next_step: str
) -> None:
    carried(plan, labels(plan))
    (stub / "fails").write_text(said)
    with pytest.raises(error, match=message) as raised:
        ready(tmp_path / "sif", plan, silent)
    assert next_step in raised.value.next_step
    assert [file.suffix for file in (tmp_path / "sif").iterdir()] == [".lock"]


def test_of_two_that_want_it_at_once_one_makes_it_and_both_use_it(plan: Plan, stub: Path, tmp_path: Path) -> None:
    carried(plan, labels(plan))
    (stub / "slow").touch()  # the build goes on until the other has come
    found: list[Sif] = []

    def wait(line: str) -> None:
        if line.startswith("another run is making it"):
            (stub / "slow").unlink()

    both = [threading.Thread(target=lambda: found.append(ready(tmp_path / "sif", plan, wait))) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join(60)
    assert sorted(one.built for one in found) == [False, True]
    assert len(calls(stub, "build")) == 1
    assert found[0].file == found[1].file
    os.close(found[0].held)
    with found[0].file.open() as third, pytest.raises(BlockingIOError):  # the other holds it still
        fcntl.flock(third, fcntl.LOCK_EX | fcntl.LOCK_NB)


def aged(folder: Path, name: str, found: dict[str, str], day: int) -> Path:
    """A file that was made here and used last on a day, of 1,000,000 bytes."""
    file = sif(folder, name, found)
    file.write_text(file.read_text().ljust(1_000_000))
    os.utime(file, (day * 86400, day * 86400))
    return file


def test_the_longest_unused_files_go_and_neither_one_in_use_nor_one_of_the_user_s(
    checkout: Path, cli: Cli, plan: Plan, stub: Path, tmp_path: Path
) -> None:
    """Each state of a checkout left a file of 300 MB and more, for good."""
    folder = tmp_path / "sif"
    used = aged(folder, f"cpu-torch-2.13-{'a' * 16}.sif", labels(plan), 1)
    old = aged(folder, f"cpu-torch-2.13-{'b' * 16}.sif", {}, 2)
    new = aged(folder, f"cpu-tf2-2.21-{'c' * 16}.sif", {}, 3)
    own = aged(folder, "cpu-torch-2.13-mine.sif", {}, 1)
    other = aged(folder, "ubuntu.sif", {}, 1)
    half = aged(folder, f".cpu-torch-2.13-{'d' * 16}.sif", {}, 1)
    half.with_name(f"{half.name}.lock").touch()
    made = aged(folder, f".cpu-torch-2.13-{'e' * 16}.sif", {}, 1)
    found = ready(folder, plan, silent)
    assert found.file == used
    os.utime(used, (0, 0))  # as if it had been taken long ago, and were still at it
    with made.with_name(f"{made.name}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        code, out, _ = cli("cache", "--sif", str(folder), "--keep", "0.001")
    assert code == 0
    assert f"{used.name} stays: in use\n3 MB freed\n" in out
    assert out.endswith(f"{folder}: 1 SIF files, 0.0 GB\n")
    assert {file.name for file in folder.glob("*.sif")} == {used.name, own.name, other.name, made.name}
    os.close(found.held)
    cli("cache", "--sif", str(folder), "--keep", "0")
    assert not used.exists()
    assert not old.exists()
    assert not new.exists()


def test_a_run_that_takes_a_file_says_so_by_its_date(cli: Cli, plan: Plan, stub: Path, tmp_path: Path) -> None:
    name = f"cpu-torch-2.13-{'a' * 16}.sif"
    file = aged(tmp_path / "sif", name, labels(plan), 1)
    ready(tmp_path / "sif", plan, silent)
    assert file.stat().st_mtime > 20_000 * 86400
    _, out, _ = cli("cache", "--sif", str(tmp_path / "sif"))
    assert name in out
    assert "1970-" not in out


def test_a_file_that_goes_before_it_is_held_is_made_anew(
    plan: Plan, stub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    carried(plan, labels(plan))
    file = sif(tmp_path / "sif", f"cpu-torch-2.13-{plan.key(official(plan.base))[:16]}.sif", labels(plan))
    lock = fcntl.flock

    def remove_first(held: IO[bytes], how: int) -> None:
        monkeypatch.setattr(fcntl, "flock", lock)
        file.unlink()
        lock(held, how)

    monkeypatch.setattr(fcntl, "flock", remove_first)
    found = ready(tmp_path / "sif", plan, silent)
    assert (found.built, found.file) == (True, file)
    assert file.exists()


def test_whoever_makes_a_second_file_of_an_env_is_told_how_old_ones_go(plan: Plan, stub: Path, tmp_path: Path) -> None:
    carried(plan, labels(plan))
    sif(tmp_path / "sif", f"cpu-torch-2.13-{'a' * 16}.sif", {})
    said: list[str] = []
    ready(tmp_path / "sif", plan, said.append)
    assert "has 2 files, 0.0 GB; " in said[-1]
    assert f"dlmatrix cache --sif {tmp_path / 'sif'} --keep GB" in said[-1]


def test_where_another_makes_it_that_is_waited_for(plan: Plan, stub: Path, tmp_path: Path) -> None:
    carried(plan, labels(plan))
    folder = tmp_path / "sif"
    folder.mkdir()
    name = f"cpu-torch-2.13-{plan.key(official(plan.base))[:16]}.sif"
    waits = threading.Event()
    with (folder / f".{name}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = []
        waiter = threading.Thread(target=lambda: found.append(ready(folder, plan, lambda line: waits.set())))
        waiter.start()
        assert waits.wait(60)
        sif(folder, name, labels(plan))
    waiter.join(60)
    assert [one.built for one in found] == [False]
    assert not calls(stub, "build")


def test_where_no_locks_are_kept_nothing_is_made(
    plan: Plan, stub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(file: object, how: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    carried(plan, labels(plan))
    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(EngineError, match="cannot be locked: No locks available") as raised:
        ready(tmp_path / "sif", plan, silent)
    assert "--sif DIR" in raised.value.next_step


def test_the_gpus_that_were_left_visible_are_handed_in(plan: Plan, stub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
    monkeypatch.setenv("APPTAINER_BIND", "/etc")
    env = replace(plan.env, variant="gpu")
    engine = ApptainerEngine(Path("/sif"))
    done = engine.run(replace(plan, env=env, gpus=("3",)), Prepared(what="/x.sif", built=False, seconds=0), silent)
    (call,) = calls(stub, "exec")
    assert call["environ"] == {"APPTAINERENV_CUDA_VISIBLE_DEVICES": "3"}
    assert "--nv" in call["words"]
    assert done.stdout == b"{}\n"
    assert done.gpus == "3 by CUDA_VISIBLE_DEVICES=3"
    engine.run(plan, Prepared(what="/x.sif", built=False, seconds=0), silent)
    assert calls(stub, "exec")[-1]["environ"] == {}
    assert "--nv" not in calls(stub, "exec")[-1]["words"]


#: What Apptainer 1.4.5 says, its colours cut down to one.
@pytest.mark.parametrize(
    ("code", "said", "why", "next_step"),
    [
        (
            1,
            "\x1b[91mERROR  : Failed to create user namespace: maximum number of user namespaces exceeded\nINFO   : A",
            "Failed to create user namespace: maximum",
            "allow user namespaces",
        ),
        (255, "FATAL:   squashfuse_ll exited: fuse: failed to open /dev/fuse: Permission denied", "fuse:", "as udev"),
        (255, "FATAL:   Something went wrong trying to read the squashfs image.", "Something", "the file is not whole"),
        (255, "FATAL:   something else", "something else", "see its log"),
    ],
)
def test_a_container_that_was_not_started_is_the_engine_s_fault(
    plan: Plan, stub: Path, *, code: int, said: str, why: str, next_step: str
) -> None:
    (stub / "said").write_text(f"{code} {said}")
    with pytest.raises(EngineError) as raised:
        ApptainerEngine(Path("/sif")).run(plan, Prepared(what="/x.sif", built=False, seconds=0), silent)
    assert "cpu-torch-2.13: Apptainer started no container: " in raised.value.message
    assert why in raised.value.message
    assert next_step in raised.value.next_step
    assert "`apptainer exec /x.sif true` must work" in raised.value.next_step


@pytest.mark.parametrize(("code", "said"), [(137, "Killed"), (1, "smoke: imports ...\nFATAL: of the framework's own")])
def test_what_ends_in_the_container_is_not(plan: Plan, stub: Path, code: int, said: str) -> None:
    (stub / "said").write_text(f"{code} {said}")
    done = ApptainerEngine(Path("/sif")).run(plan, Prepared(what="/x.sif", built=False, seconds=0), silent)
    assert (done.exit_code, done.stdout) == (code, b"")
