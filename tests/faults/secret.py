"""A password in an index's address: the index answers, and the password shows nowhere."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.server
import json
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tests.faults.hostile import lock
from tests.faults.judge import SECRET, Fault
from tests.faults.stage import FIRST, Run, Stage

_USER = "user"


class _Index(http.server.BaseHTTPRequestHandler):
    """A package index that knows one wheel, and gives it to who has the password."""

    wheel: Path
    given: list[str]

    def do_GET(self) -> None:
        wanted = "Basic " + base64.b64encode(f"{_USER}:{SECRET}".encode()).decode()
        content = self.wheel.read_bytes()
        if self.headers.get("Authorization") != wanted:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="index"')
            content = b""
        elif self.path.startswith("/simple/dlmatrix-tiny"):
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            digest = hashlib.sha256(content).hexdigest()
            content = f'<a href="/{self.wheel.name}#sha256={digest}">{self.wheel.name}</a>'.encode()
        else:
            self.given.append(self.path)
            self.send_response(200 if self.path.endswith(".whl") else 404)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, format: str, *_arguments: object) -> None:  # noqa: A002
        """Nothing is said on the terminal."""


@contextlib.contextmanager
def _index(wheel: Path, given: list[str]) -> Iterator[str]:
    """The address of an index that has the wheel, with the password; ``given`` is told of what it gave."""
    handler = type("Index", (_Index,), {"wheel": wheel, "given": given})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://{_USER}:{SECRET}@127.0.0.1:{server.server_port}/simple"
        server.shutdown()


@contextlib.contextmanager
def _watched(found: set[str]) -> Iterator[None]:
    """Every command line that has the password in it, for the time of the block: all users may read those."""
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(0.005):
            for one in Path("/proc").glob("[0-9]*/cmdline"):
                with contextlib.suppress(OSError):
                    if SECRET.encode() in (line := one.read_bytes()):
                        found.add(line.replace(b"\0", b" ").decode("utf-8", "replace")[:200])

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def answers(stage: Stage) -> Run:
    """The env is made from this index alone; then all that is left of the run is searched."""
    wheel = next((stage.folder / "wheels").glob("*-1.0.0-*.whl"))
    shown: set[str] = set()
    given: list[str] = []
    caches = {
        "UV_CACHE_DIR": str(stage.folder / "cache-of-secret"),
        "DLMATRIX_CACHE_DIR": str(stage.folder / "cache-home"),
    }
    with _index(wheel, given) as address, _watched(shown):
        run = lock(stage, lambda text: f"{text}# {stage.runs}\n", UV_DEFAULT_INDEX=address, UV_FIND_LINKS="", **caches)
    shown |= {str(file) for file in stage.state.rglob("*") if file.is_file() and SECRET.encode() in file.read_bytes()}
    cached = stage.folder / "cache-home"
    shown |= {str(file) for file in cached.rglob("*") if file.is_file() and SECRET.encode() in file.read_bytes()}
    if stage.engine == "docker" and run.code == 0:
        shown |= _in_image(stage)
    run.text += "" if given else "Traceback: nobody asked the index\n"
    run.text += "".join(f"Traceback: the password is in {where}\n" for where in sorted(shown))
    return run


def _in_image(stage: Stage) -> set[str]:
    image = stage.client.images.get(f"dlmatrix:{FIRST}")
    found = {"the image's history"} if SECRET in json.dumps(image.history()) else set()
    found |= {"the image's configuration"} if SECRET in json.dumps(image.attrs) else set()
    with subprocess.Popen(["docker", "save", image.id], stdout=subprocess.PIPE) as saved:
        assert saved.stdout
        kept = b""
        for piece in iter(partial(saved.stdout.read, 1 << 20), b""):
            if SECRET.encode() in kept[-100:] + piece:
                found.add("the image's files")
            kept = piece
    return found


def faults(engine: str) -> Iterator[Fault]:
    """It on either engine."""
    yield Fault(
        title="an index's address has a password, and answers: it is in no process list, image, history or report",
        stage=answers,
        engine=engine,
        codes=(0,),
        keeps=(FIRST,),
    )
