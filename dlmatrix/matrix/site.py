"""What this machine's owner has configured for pip and uv: index, find-links, CA bundle, proxy.

The settings reach installers as a uv configuration file, an environment or a build secret. They
never enter an image, a label or a digest: everything installed is hash-locked, so where a file
comes from cannot change what it is.
"""

from __future__ import annotations

import configparser
import contextlib
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from dlmatrix.errors import ConfigError
from dlmatrix.matrix.local import Local
from dlmatrix.matrix.model import Site
from dlmatrix.system.checkout import bundled, find_root
from dlmatrix.system.files import read_limited
from dlmatrix.system.toml import UNSHOWN, read_toml

#: What uv is told that leads it nowhere else.
_KEPT = ("UV_CACHE_DIR", "UV_OFFLINE", "UV_HTTP_RETRIES", "UV_HTTP_TIMEOUT", "UV_HTTP_CONNECT_TIMEOUT")
#: What is read of pip's and uv's files, of which sections, and of which variables.
_READ = {"index-url", "extra-index-url", "find-links", "url", "cert"}
_SECTIONS = ("global", "install")
_VARIABLES = {"UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS"}
_VARIABLES |= {"PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_CERT", "SSL_CERT_FILE"}
_PROXIES = ("http_proxy", "https_proxy", "no_proxy")


def read_site(environ: Mapping[str, str]) -> Site:
    """Collect the settings; what uv is told goes before what pip is told, the environment before files."""
    for name in _VARIABLES & environ.keys():
        _check_texts(name, environ[name].split())
    home = Path(environ.get("HOME", "/"))
    uv, pip = _uv_settings(environ, home), _pip_settings(environ, home)
    index = (
        environ.get("UV_DEFAULT_INDEX") or environ.get("UV_INDEX_URL") or uv.get("index-url") or pip.get("index-url")
    )
    extra = (
        environ.get("UV_INDEX")
        or environ.get("UV_EXTRA_INDEX_URL")
        or uv.get("extra-index-url")
        or pip.get("extra-index-url")
    )
    links = environ.get("UV_FIND_LINKS", "").replace(",", " ") or uv.get("find-links") or pip.get("find-links")
    bundle = environ.get("SSL_CERT_FILE") or pip.get("cert")
    return Site(
        find_links=tuple(folder for folder in (*_bundled(), *map(_folder, _words(links))) if os.path.isdir(folder)),
        index=next(_remote(index), None),
        extra_indexes=tuple(_remote(extra)),
        ca_bundle=Path(bundle) if bundle and Path(bundle).is_file() else None,
        proxies={name: value for name in _PROXIES if (value := environ.get(name) or environ.get(name.upper()))},
    )


def _bundled() -> tuple[Path, ...]:
    """The wheels of the bundle that is in use; they are before all others."""
    folder = bundled(find_root())
    return (folder / "wheels",) if folder else ()


def _folder(item: str) -> Path:
    return Path(item.removeprefix("file://"))


def uv_config(site: Site, local: Local) -> str:
    """The settings for installing a lock, of which these files are at hand, as the text of a uv.toml.

    No index is asked where the find-links folders have all of it. PyTorch's own is one that uv knows by name; it is
    asked only where a ``+cpu`` build is locked and no local wheel of it is at hand.
    """
    if local.whole:
        return "no-index = true\n"
    torch = '[pip]\ntorch-backend = "cpu"\n' if any("+cpu" in one for one in local.lacking) else ""
    return index_config(site) + torch


def index_config(site: Site, more: Iterable[str] = ()) -> str:
    """The site's indexes, and ``more`` of them, and its proxies, as the text of a uv.toml.

    Every index may serve every file, as pip does it: with hashed requirements this is safe.
    """
    lines = ['index-strategy = "unsafe-best-match"']
    if site.index:
        lines.append(f"index-url = {_quoted(site.index)}")
    if extra := [*more, *site.extra_indexes]:
        lines.append(f"extra-index-url = [{', '.join(map(_quoted, extra))}]")
    for name, value in site.proxies.items():
        listed = f"[{', '.join(map(_quoted, value.split(',')))}]" if name == "no_proxy" else _quoted(value)
        lines.append(f"{name.replace('_', '-')} = {listed}")
    return "\n".join(lines) + "\n"


def uv_environment(site: Site, environ: Mapping[str, str]) -> dict[str, str]:
    """The environment for uv on this machine: the caller's, less other settings for uv and pip."""
    kept = {
        k: v for k, v in environ.items() if not k.startswith(("UV_", "PIP_")) and k not in ("VIRTUAL_ENV", "PYTHONPATH")
    }
    kept |= {name: environ[name] for name in _KEPT if name in environ}
    if site.ca_bundle:
        kept["SSL_CERT_FILE"] = str(site.ca_bundle)
    return kept | site.proxies


def _uv_settings(environ: Mapping[str, str], home: Path) -> dict[str, Any]:
    """uv's settings, in uv's order: system, user; UV_CONFIG_FILE stands in for both.

    Source: uv's documentation, "Configuration files" and "Package indexes".
    """
    if told := environ.get("UV_CONFIG_FILE"):
        return _uv_file(Path(told))
    config = Path(environ.get("XDG_CONFIG_HOME", home / ".config"))
    settings: dict[str, Any] = {}
    for file in (Path("/etc/uv/uv.toml"), config / "uv" / "uv.toml"):
        if file.is_file():
            settings |= _uv_file(file)
    return settings


def _uv_file(file: Path) -> dict[str, Any]:
    data = read_toml(file)
    pip, indexes = data.get("pip", {}), data.get("index", [])
    if not (isinstance(pip, dict) and isinstance(indexes, list) and all(isinstance(i, dict) for i in indexes)):
        # What is there instead is not shown: an address may hold a password.
        raise ConfigError(f"{file}: pip must be a table and index an array of tables", "correct it")
    for table, where in ((data, ""), (pip, "pip."), *((index, f"index[{n}].") for n, index in enumerate(indexes, 1))):
        for key in _READ & table.keys():
            _check_texts(f"{file}: {where}{key}", table[key])
        if not isinstance(table.get("default", False), bool):
            raise ConfigError(f"{file}: {where}default must be true or false", "correct it")
    listed = {
        "index-url": [index.get("url") for index in indexes if index.get("default")],
        "extra-index-url": [index.get("url") for index in indexes if not index.get("default")],
    }
    return pip | data | {key: urls for key, urls in listed.items() if urls}


def _check_texts(where: str, value: Any) -> None:
    """Refuse what is no text, or no one-line text: it would be something else in a uv.toml, and on a terminal.

    What is there is not shown: an address may hold a password.
    """
    texts = value if isinstance(value, list) else [value]
    if not all(isinstance(text, str) for text in texts):
        raise ConfigError(f"{where} must be a text, or an array of texts", "correct it")
    if any(UNSHOWN.search(text) for text in texts):
        raise ConfigError(f"{where} holds a sign that cannot be shown", "take it out")


def _pip_settings(environ: Mapping[str, str], home: Path) -> dict[str, str]:
    """pip's settings, in pip's order: global, user, site, PIP_CONFIG_FILE, environment.

    Source: pip's documentation, topic "Configuration".
    """
    config = Path(environ.get("XDG_CONFIG_HOME", home / ".config"))
    shared = [Path(folder) / "pip" / "pip.conf" for folder in environ.get("XDG_CONFIG_DIRS", "/etc/xdg").split(":")]
    files = [
        *shared,
        Path("/etc/pip.conf"),
        home / ".pip" / "pip.conf",
        config / "pip" / "pip.conf",
        Path(sys.prefix) / "pip.conf",
    ]
    told = environ.get("PIP_CONFIG_FILE")
    parser = configparser.RawConfigParser()
    for file in [] if told == os.devnull else [*files, *([Path(told)] if told else [])]:
        try:
            with contextlib.suppress(OSError):  # pip passes over what it may not read
                parser.read_string(read_limited(file).decode("utf-8"))
            for section in filter(parser.has_section, _SECTIONS):
                for key, value in parser.items(section):
                    if key.replace("_", "-") in _READ:
                        _check_texts(f"{file}: {section}.{key}", value.split())
        except (configparser.Error, ValueError) as error:
            # Its own text quotes the line, which may hold a password.
            raise ConfigError(
                f"{file}: pip could not read this ({type(error).__name__})", "correct it: pip config debug"
            ) from None
    settings: dict[str, str] = {}
    for section in _SECTIONS:
        if parser.has_section(section):
            settings |= {key.replace("_", "-"): value for key, value in parser.items(section)}
    named = {
        key.removeprefix("PIP_").lower().replace("_", "-"): value
        for key, value in environ.items()
        if key.startswith("PIP_")
    }
    return settings | named


def _words(value: Any) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else str(value or "").split()


def _remote(value: Any) -> Iterator[str]:
    """Only addresses, less the name that uv lets stand before one (``name=https://...``).

    An index in a folder of this machine does not exist inside a build.
    """
    found = (re.fullmatch(r"(?:[\w.-]+=)?(https?://.+)", item) for item in _words(value))
    return (match[1] for match in found if match)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
