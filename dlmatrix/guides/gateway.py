"""A way to a package index that has a password, for those who are not to know it: a guide's own installations.

What listens stands outside the guide's world, on this machine alone, and lets in who names a word that is made for one
replay. It asks the index with the site's password, and hands on what that answers.
"""

from __future__ import annotations

import contextlib
import hmac
import re
import secrets
import shutil
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from dlmatrix.matrix.model import Site
from dlmatrix.system.addresses import authorization, bare

#: Seconds that an index has for an answer.
_SECONDS = 60
#: What of a request and of an answer is handed on.
_ASKED, _ANSWERED = ("Accept", "Range", "User-Agent"), ("Content-Type", "Content-Length", "Content-Range", "ETag")
_USER = "guide"


def has_password(site: Site) -> bool:
    """Whether an index of the site has one."""
    return any(authorization(url) for url in (site.index, *site.extra_indexes) if url)


@contextlib.contextmanager
def without_passwords(site: Site) -> Iterator[Site]:
    """The site as a guide's installations see it: an index that has a password stands behind a gateway."""
    with contextlib.ExitStack() as stack:

        def way(url: str) -> str:
            return stack.enter_context(_gateway(url, site)) if authorization(url) else url

        index = way(site.index) if site.index else site.index
        yield replace(site, index=index, extra_indexes=tuple(map(way, site.extra_indexes)))


@contextlib.contextmanager
def _gateway(index: str, site: Site) -> Iterator[str]:
    """The address of an index behind a gateway, which is there for the block."""
    parts = urlsplit(bare(index))
    server = _Server(("127.0.0.1", 0), _Handler)
    way = f"http://{_USER}:{secrets.token_urlsafe(16)}@127.0.0.1:{server.server_port}{parts.path}"
    server.origin = f"{parts.scheme}://{parts.netloc}"
    server.let_in, server.password = authorization(way), authorization(index)
    context = ssl.create_default_context(cafile=str(site.ca_bundle) if site.ca_bundle else None)
    proxies = {name.removesuffix("_proxy"): url for name, url in site.proxies.items()}
    server.opener = urllib.request.build_opener(
        urllib.request.HTTPSHandler(context=context), urllib.request.ProxyHandler(proxies)
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield way
    finally:
        server.shutdown()
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    origin = let_in = password = ""
    opener: urllib.request.OpenerDirector


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        """Hand on a request, where it comes from this replay."""
        if not hmac.compare_digest(self.headers.get("Authorization", ""), self.server.let_in):
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="replay"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        asked = {name: self.headers[name] for name in _ASKED if name in self.headers}
        request = urllib.request.Request(self.server.origin + self.path, headers=asked, method=self.command)  # noqa: S310 - the site's own index
        # A redirect may lead to another host, which is not to be told.
        request.add_unredirected_header("Authorization", self.server.password)
        try:
            with self.server.opener.open(request, timeout=_SECONDS) as answer:
                self._answer(answer)
        except urllib.error.HTTPError as error:
            with error:
                self._answer(error)
        except (OSError, ValueError):
            self.send_error(502)

    do_HEAD = do_GET  # noqa: N815 - the name it is called by

    def _answer(self, answer: Any) -> None:
        headers = {name: answer.headers[name] for name in _ANSWERED if name in answer.headers}
        page = None
        if re.match(r"text/html|application/(?:vnd\.pypi\.simple\S*json|json)", headers.get("Content-Type", "")):
            here = f"http://127.0.0.1:{self.server.server_port}"
            page = answer.read().replace(self.server.origin.encode(), here.encode())
            headers["Content-Length"] = str(len(page))
        self.send_response(answer.status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            if page is None:
                shutil.copyfileobj(answer, self.wfile)
            else:
                self.wfile.write(page)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name it is called by
        """Say nothing: what a guide fetches stands in its report."""
