"""A registry of images, as small as pushing and pulling by digest allow; runs in a container, from its own text.

Source: the OCI distribution specification, https://github.com/opencontainers/distribution-spec.
"""

from __future__ import annotations

import hashlib
import http.server
import shutil
import uuid
from pathlib import Path

STORE = Path("/tmp/registry")
PORT = 5000


class Registry(http.server.BaseHTTPRequestHandler):
    """Answers for blobs, uploads and manifests of any name; a manifest is kept by its tag and by its digest."""

    protocol_version = "HTTP/1.1"

    def answer(self, code: int, **headers: str) -> None:
        self.send_response(code)
        for name, value in {"Content_Length": "0", **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        pieces = []
        while size := int(self.rfile.readline(), 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def do_POST(self) -> None:
        self.body()
        self.answer(202, Location=f"{self.path.partition('?')[0]}{uuid.uuid4()}")

    def do_PATCH(self) -> None:
        self.keep(self.path.rpartition("/")[2], self.body(), "ab")
        self.answer(202, Location=self.path)

    def do_PUT(self) -> None:
        path, _, query = self.path.partition("?")
        name = path.rpartition("/")[2]
        self.keep(name, self.body(), "ab" if "/uploads/" in path else "wb")
        data = (STORE / name).read_bytes()
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        if "/uploads/" in path and digest not in query.replace("%3A", ":"):
            self.answer(400)
            return
        self.keep(digest, data, "wb")
        kind = self.headers.get("Content-Type", "")
        for known in (name, digest):
            (STORE / f"{known}.type").write_text(kind)
        self.answer(201, Location=path, Docker_Content_Digest=digest)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        if self.path == "/v2/":
            self.answer(200)
            return
        name = self.path.rpartition("/")[2]
        file = STORE / name
        if not file.is_file():
            self.answer(404)
            return
        kind = STORE / f"{name}.type"
        digest = f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}"
        about = {"Content_Type": kind.read_text() or "application/octet-stream", "Docker_Content_Digest": digest}
        self.answer(200, Content_Length=str(file.stat().st_size), **about)
        if self.command == "GET":
            with file.open("rb") as source:
                shutil.copyfileobj(source, self.wfile)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Engines try TLS first, and go on without it where the answer to that is one of HTTP 1."""
        self.wfile.write(b"HTTP/1.0 400 Bad Request\r\n\r\n")
        self.close_connection = True

    def keep(self, name: str, data: bytes, mode: str) -> None:
        with (STORE / name).open(mode) as file:
            file.write(data)


if __name__ == "__main__":
    STORE.mkdir()
    with http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Registry) as server:
        print("listening", flush=True)
        server.serve_forever()
