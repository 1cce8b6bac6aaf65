"""Which engine is used, by the order of the docker command; and what it means that it is not reached."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import docker
import pytest

from dlmatrix.engines.choose import choose_engine
from dlmatrix.engines.docker.address import Address, address, builder
from dlmatrix.engines.docker.recipe import build_command
from dlmatrix.engines.docker.relay import Relay, why
from dlmatrix.errors import EngineError
from dlmatrix.matrix.load import lock_of, select
from dlmatrix.matrix.model import Matrix
from dlmatrix.matrix.plan import Limits, debian, make_plan

USUAL = "unix:///var/run/docker.sock"
SSH = "ssh://me@far:2222"


def context(folder: Path, name: str, text: str) -> None:
    """A context's file as the docker command writes it, under the hash of its name."""
    where = folder / "contexts" / "meta" / hashlib.sha256(name.encode()).hexdigest()
    where.mkdir(parents=True)
    (where / "meta.json").write_text(text)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A folder of the docker command's settings: two contexts, the first in use."""
    for name, host in (("colima", "unix:///home/me/.colima/docker.sock"), ("far", SSH)):
        endpoint = {"Host": host, "SkipTLSVerify": False}
        context(tmp_path, name, json.dumps({"Name": name, "Metadata": {}, "Endpoints": {"docker": endpoint}}))
    (tmp_path / "config.json").write_text('{"auths": {}, "currentContext": "colima"}')
    return tmp_path


@pytest.mark.parametrize(
    ("environ", "name", "host"),
    [
        ({}, "colima", "unix:///home/me/.colima/docker.sock"),
        ({"DOCKER_CONTEXT": "far"}, "far", SSH),
        ({"DOCKER_CONTEXT": "default"}, "default", USUAL),
        ({"DOCKER_CONTEXT": "far", "DOCKER_HOST": "tcp://other:2376"}, "default", "tcp://other:2376"),
        ({"DOCKER_CONTEXT": "", "DOCKER_HOST": ""}, "colima", "unix:///home/me/.colima/docker.sock"),
    ],
)
def test_the_order_is_the_docker_commands(config: Path, environ: dict[str, str], name: str, host: str) -> None:
    environ = environ | {"DOCKER_CONFIG": str(config)}
    assert address(environ) == Address(context=name, host=host)
    assert builder(environ) == name


@pytest.mark.parametrize("text", [None, "", "{", "[]", '{"currentContext": ""}'])
def test_without_settings_it_is_the_usual_socket(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "config.json").write_text(text)
    assert address({"DOCKER_CONFIG": str(tmp_path)}) == Address(context="default", host=USUAL)


def test_the_settings_are_in_the_home_folder(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config.rename(config.parent / ".docker")
    monkeypatch.setenv("HOME", str(config.parent))
    assert address({}).context == "colima"


def test_a_context_that_is_not_there(config: Path) -> None:
    for environ, names in (({"DOCKER_CONTEXT": "nope"}, "DOCKER_CONTEXT"), ({}, str(config / "config.json"))):
        (config / "config.json").write_text('{"currentContext": "nope"}')
        with pytest.raises(EngineError, match="there is no Docker context nope, which ") as raised:
            address({"DOCKER_CONFIG": str(config), **environ})
        assert names in raised.value.message
        assert "docker context ls" in raised.value.next_step


@pytest.mark.parametrize("text", ["", "[]", '{"Endpoints": {"kubernetes": {}}}', '{"Endpoints": null}'])
def test_a_context_that_names_no_engine(tmp_path: Path, text: str) -> None:
    context(tmp_path, "broken", text)
    with pytest.raises(EngineError, match=r"meta\.json: names no Docker engine"):
        address({"DOCKER_CONFIG": str(tmp_path), "DOCKER_CONTEXT": "broken"})


def test_what_is_no_address_is_refused_without_its_password(tmp_path: Path) -> None:
    context(tmp_path, "broken", json.dumps({"Endpoints": {"docker": {"Host": "tcp://me:secret@[far"}}}))
    for environ in (
        {"DOCKER_HOST": "tcp://me:secret@[far"},
        {"DOCKER_CONFIG": str(tmp_path), "DOCKER_CONTEXT": "broken"},
    ):
        with pytest.raises(EngineError, match=r"(DOCKER_HOST|meta\.json): tcp://me@\[far is no address") as raised:
            address(environ)
        assert "secret" not in str(raised.value)
        assert raised.value.next_step


@pytest.mark.parametrize(
    ("host", "near", "login", "shown"),
    [
        (USUAL, True, "", USUAL),
        (SSH, False, "-p 2222 me@far", SSH),
        ("ssh://far", False, "far", "ssh://far"),
        ("ssh://me:secret@far", False, "me@far", "ssh://me@far"),
        ("ssh://[fe80::1]:22/run/docker.sock", False, "-p 22 fe80::1", "ssh://[fe80::1]:22/run/docker.sock"),
        ("tcp://me:secret@far:2376", False, "-p 2376 me@far", "tcp://me@far:2376"),
        ("tcp://me:sec@ret@far:2376", False, "-p 2376 me@far", "tcp://me@far:2376"),
        ("nonsense:port", False, "", "nonsense:port"),
    ],
)
def test_what_is_said_of_an_address(host: str, near: bool, login: str, shown: str) -> None:
    one = Address(host=host)
    assert (one.near, one.login, str(one)) == (near, login, shown)
    assert str(Address(context="lab", host=host)) == f"{shown} (the context lab)"


def test_a_build_is_for_the_builder_of_the_context(
    config: Path, matrix: Matrix, monkeypatch: pytest.MonkeyPatch
) -> None:
    (env,) = select(matrix, ["cpu-torch-2.13"])
    plan = make_plan(matrix, env, lock_of(matrix, env), "0.13.9", Limits())
    monkeypatch.delenv("DOCKER_HOST")
    monkeypatch.setenv("DOCKER_CONFIG", str(config))
    command = build_command(plan, debian(plan.base, "sha256:0"), {})
    assert command[:5] == ["docker", "buildx", "build", "--builder", "colima"]


#: What docker 28.2 says where `docker system dial-stdio` over ssh has failed, before what the other side said.
BY_SSH = (
    "error while Copy (stream to stdout): command [ssh -o ConnectTimeout=30 -T -l me -p 2222 -- far docker system "
    "dial-stdio] has exited with exit status {status}, make sure the URL is valid, and Docker 18.09 or later is "
    "installed on the remote host: stderr={said}\n\n"
)
CHANGED = """\
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
Host key for far has changed and you have requested strict checking.
Host key verification failed."""
NO_SOCKET = (
    "failed to open the raw stream connection: dial unix /var/run/docker.sock: connect: no such file or directory"
)
DENIED = "failed to open the raw stream connection: dial unix /var/run/docker.sock: connect: permission denied"


@pytest.mark.parametrize(
    ("said", "message", "next_step"),
    [
        (
            BY_SSH.format(status=255, said="Host key verification failed."),
            "does not know the host key",
            ": ssh -p 2222",
        ),
        (BY_SSH.format(status=255, said=CHANGED), "is not the one that ssh knows", "ssh-keygen -R far"),
        (
            BY_SSH.format(status=255, said="me@far: Permission denied (publickey)."),
            "far lets nobody in with the keys",
            "ssh-copy-id -p 2222 me@far",
        ),
        (
            BY_SSH.format(status=255, said="ssh: connect to host far port 2222: Connection refused"),
            "ssh does not reach far: connect to host far port 2222: Connection refused",
            "`ssh -p 2222 me@far true` must work",
        ),
        (
            BY_SSH.format(status=255, said="ssh: Could not resolve hostname far: Name or service not known"),
            "ssh does not reach far: Could not resolve hostname far",
            "`ssh -p 2222 me@far true` must work",
        ),
        (
            BY_SSH.format(status=127, said="bash: line 1: docker: command not found"),
            "there is no docker command on far",
            "install Docker there",
        ),
        (BY_SSH.format(status=127, said="sh: 1: docker: not found"), "no docker command on far", "install"),
        (BY_SSH.format(status=1, said=NO_SOCKET), "the docker command on far finds no engine: dial unix", "start one"),
        (BY_SSH.format(status=1, said=DENIED), "is not for the user who logs in there", "usermod -aG docker"),
        (
            'failed to open the raw stream connection: exec: "ssh": executable file not found in $PATH\n',
            "there is no ssh command on the PATH",
            "openssh-client",
        ),
        (
            "unable to resolve docker endpoint: open /home/me/.docker/ca.pem: no such file or directory\n",
            "no TLS with the Docker engine on ssh://me@far:2222",
            "DOCKER_CERT_PATH",
        ),
        ("something\nelse\n\n", "no Docker engine answers on ssh://me@far:2222: else", "`docker version` must answer"),
        ("", "no Docker engine answers on ssh://me@far:2222: no answer within 40 s", "`docker version` must answer"),
    ],
)
def test_why_an_engine_is_not_reached(said: str, message: str, next_step: str) -> None:
    found = why(said, Address(host=SSH))
    assert type(found) is EngineError
    assert message in found.message
    assert next_step in found.next_step
    assert "\n" not in found.message + found.next_step


def test_a_password_that_the_docker_command_shows_is_not_shown() -> None:
    said = "Failed to initialize: unable to resolve docker endpoint: invalid bind address format: http://u:secret@far:9"
    found = why(said, Address(host="http://u:secret@far:9"))
    assert "invalid bind address format: http://u@far:9" in found.message
    assert "secret" not in str(found)


def test_a_relay_without_the_docker_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(EngineError, match="there is no docker command"):
        Relay()


def test_a_relay_tells_what_its_command_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command here fails; what it says has come when the connection ends."""
    command = tmp_path / "docker"
    command.write_text('#!/bin/sh\nprintf "$* says no\\r\\n" >&2\nexit 1\n')
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    relay = Relay()
    with pytest.raises(docker.errors.DockerException):
        docker.DockerClient(relay.url)
    error = relay.failure(Address(host="tcp://far:2376"))
    assert error.message == "no Docker engine answers on tcp://far:2376: system dial-stdio says no"


def test_the_temporary_folder_may_have_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / ("a folder " * 12)  # longer than the 107 letters that a socket's name may have
    deep.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    assert Relay().url.startswith("unix:///proc/self/fd/")
    assert not list(deep.iterdir())


def test_of_an_engine_that_somebody_has_named_it_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_: object) -> None:
        raise why(BY_SSH.format(status=1, said=NO_SOCKET), Address(host=SSH))

    monkeypatch.setattr("dlmatrix.engines.docker.engine.connect", refuses)
    engine, reason = choose_engine("auto")
    assert engine.name == "venv"
    assert "start one there; `ssh -p 2222 me@far docker version` must answer" in reason
