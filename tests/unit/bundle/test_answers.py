"""What uv answered is kept by what it was asked, without addresses; what waits for a network waits together."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from dlmatrix.bundle import contents, wheels
from dlmatrix.bundle.wheels import Collector, Distribution
from dlmatrix.errors import BuildError, IntegrityError
from dlmatrix.matrix.load import load_matrix, lock_of, select
from dlmatrix.matrix.locks import parse_lock
from dlmatrix.matrix.model import Lock, Site
from dlmatrix.matrix.plan import Limits, make_plan

WHEEL = b"a wheel"
SUM = hashlib.sha256(WHEEL).hexdigest()
INDEX = "https://user:secret@index.example.org/simple"
ANSWER = f"""
[[packages]]
name = "x"
version = "1"
[[packages.wheels]]
url = "https://user:secret@files.example.org/x-1-py3-none-any.whl"
size = 7
hashes = {{ sha256 = "{SUM}" }}
"""
#: uv, as far as it is asked here: a line for each question, and always the same answer.
UV = """
here=$(dirname "$0")
echo "$*" >>"$here/asked"
while [ "$1" != --output-file ]; do shift; done
cp "$here/answer" "$2"
"""
Ask = Callable[..., list[Distribution]]


@pytest.fixture
def uv(tmp_path: Path, script: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which a uv is that writes down what it was asked."""
    file = script(UV, "bin/uv")
    file.with_name("answer").write_text(ANSWER)
    file.with_name("asked").touch()
    monkeypatch.setattr(wheels.uv, "find_uv_bin", lambda: str(file))
    return file.parent


def asked(uv: Path) -> int:
    return len((uv / "asked").read_text().splitlines())


def locked(folder: Path, more: str = "") -> Lock:
    text = f"x==1{more} --hash=sha256:{SUM}\n"
    file = folder / "cpu-x-1.txt"
    file.write_text(text)
    return parse_lock(file, text, "")


def downloaded(checkout: Path) -> Path:
    folder = checkout / ".dlmatrix" / "downloads"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / SUM).write_bytes(WHEEL)
    return folder / SUM


def collector(checkout: Path, site: Site | None = None) -> Collector:
    return Collector(root=checkout, site=site or Site(index=INDEX), say=lambda line: None)


def test_uv_is_asked_once_for_what_is_at_hand(checkout: Path, tmp_path: Path, uv: Path) -> None:
    lock = locked(tmp_path)
    (first,) = collector(checkout).files(lock, "3.11")
    downloaded(checkout)
    assert asked(uv) == 1
    (second,) = collector(checkout).files(lock, "3.11")
    assert asked(uv) == 1
    assert second == first
    assert collector(checkout).bring(second, "1 of 1").read_bytes() == WHEEL


def test_nothing_of_an_address_is_kept(checkout: Path, tmp_path: Path, uv: Path) -> None:
    collector(checkout).files(locked(tmp_path), "3.11")
    kept = [one for one in (checkout / ".dlmatrix").rglob("*") if one.is_file()]
    assert kept
    assert not any(b"secret" in one.read_bytes() or b"example" in one.read_bytes() for one in kept)


def test_another_question_is_asked(checkout: Path, tmp_path: Path, uv: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = locked(tmp_path)
    downloaded(checkout)
    (links := tmp_path / "links").mkdir()
    (links / "x-1-py3-none-any.whl").write_bytes(WHEEL)
    sites = [
        Site(index=INDEX),
        Site(index="https://other.example.org/simple"),
        Site(index=INDEX, extra_indexes=("https://other.example.org/simple",)),
        Site(index=INDEX, find_links=(links,)),
    ]
    for number, site in enumerate(sites, 1):
        for _ in range(2):
            collector(checkout, site).files(lock, "3.11")
        assert asked(uv) == number, site
    collector(checkout).files(lock, "3.12")
    assert asked(uv) == 5, "another Python"
    collector(checkout).files(replace(lock, sha256="0" * 64), "3.11")
    assert asked(uv) == 6, "another lock"
    monkeypatch.setattr(wheels, "version", lambda name: "99")
    collector(checkout).files(lock, "3.11")
    assert asked(uv) == 7, "another uv"


def test_a_password_that_changed_is_no_other_question(checkout: Path, tmp_path: Path, uv: Path) -> None:
    downloaded(checkout)
    for word in ("secret", "other"):
        site = Site(index=INDEX.replace("secret", word), proxies={"https_proxy": f"http://me:{word}@proxy"})
        collector(checkout, site).files(locked(tmp_path), "3.11")
    assert asked(uv) == 1


def test_uv_is_asked_again_for_what_is_not_at_hand_any_more(checkout: Path, tmp_path: Path, uv: Path) -> None:
    lock = locked(tmp_path)
    file = downloaded(checkout)
    collector(checkout).files(lock, "3.11")
    file.unlink()
    (found,) = collector(checkout).files(lock, "3.11")
    assert asked(uv) == 2
    assert found.url.startswith("https://"), "it can be downloaded"


def test_a_torn_answer_is_asked_for_again(checkout: Path, tmp_path: Path, uv: Path) -> None:
    lock = locked(tmp_path)
    downloaded(checkout)
    collector(checkout).files(lock, "3.11")
    (kept,) = (checkout / ".dlmatrix" / "answers").iterdir()
    for number, text in enumerate(("", "{", "[[]]", '[{"name": "x"}]', '{"packages": 7}'), 2):
        kept.write_text(text)
        assert [one.name for one in collector(checkout).files(lock, "3.11")] == ["x-1-py3-none-any.whl"]
        assert asked(uv) == number, text


def test_a_download_that_was_damaged_is_removed_and_the_next_try_brings_it(
    checkout: Path, tmp_path: Path, uv: Path
) -> None:
    lock = locked(tmp_path)
    file = downloaded(checkout)
    collector(checkout).files(lock, "3.11")
    file.write_bytes(b"damaged")
    (found,) = collector(checkout).files(lock, "3.11")
    with pytest.raises(IntegrityError, match="was damaged, and is removed"):
        collector(checkout).bring(found, "1 of 1")
    (found,) = collector(checkout).files(lock, "3.11")
    assert (asked(uv), found.url.startswith("https://")) == (2, True)


@pytest.mark.parametrize(
    ("marker", "questions"), [("", 1), (" ; sys_platform == 'linux'", 1), (" ; python_full_version < '3.11.5'", 2)]
)
def test_releases_of_a_python_are_told_apart_only_where_the_lock_does(
    marker: str, questions: int, checkout: Path, tmp_path: Path, uv: Path
) -> None:
    collector(checkout).files(locked(tmp_path, marker), "3.11")
    assert asked(uv) == questions


def test_no_python_is_downloaded_to_answer(checkout: Path, tmp_path: Path, uv: Path) -> None:
    """uv looks for the release that it is asked of: seconds where that is to be had nowhere, else 30 MB each."""
    collector(checkout).files(locked(tmp_path), "3.14")
    assert "--no-python-downloads" in (uv / "asked").read_text().split()


def test_locks_and_pythons_are_asked_for_together(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = load_matrix(checkout)
    (env,) = select(matrix, ["cpu-torch-2.13"])
    plan = make_plan(matrix, env, lock_of(matrix, env), "1", Limits())
    both = threading.Barrier(2, timeout=60)

    def found(self: Collector, lock: Lock, python: str) -> list[Distribution]:
        both.wait()
        return [Distribution(name=f"{lock.file.stem}-{python}", sha256=SUM, url="", size=1)]

    monkeypatch.setattr(Collector, "files", found)
    names = [one.name for one in contents.distributions([plan], collector(checkout), ["3.12"])]
    assert names == ["cpu-torch-2.13-3.11", "tools-3.12"], "in the order of the locks"


def test_files_are_brought_together(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    both = threading.Barrier(2, timeout=60)
    file = downloaded(checkout)

    def bring(self: Collector, wanted: Distribution, number: str) -> Path:
        both.wait()
        return file

    monkeypatch.setattr(Collector, "bring", bring)
    wanted = {Distribution(name=name, sha256=SUM, url="", size=1): ["lock"] for name in ("b", "a")}
    assert [one.path.rpartition("/")[2] for one in contents.wheels(wanted, collector(checkout))] == ["b", "a"]


def test_an_index_that_lacked_a_file_is_asked_again(checkout: Path, tmp_path: Path, uv: Path) -> None:
    downloaded(checkout)
    (uv / "answer").write_text(ANSWER.replace(SUM, "1" * 64))
    with pytest.raises(BuildError, match="no file of x 1"):
        collector(checkout).files(locked(tmp_path), "3.11")
    (uv / "answer").write_text(ANSWER)
    assert len(collector(checkout).files(locked(tmp_path), "3.11")) == 1


def test_an_interrupt_ends_what_a_thread_downloads_and_nothing_half_is_kept(checkout: Path, tmp_path: Path) -> None:
    (tmp_path / "index").mkdir()
    (tmp_path / "index" / "x.whl").write_bytes(WHEEL)
    serving = partial(SimpleHTTPRequestHandler, directory=str(tmp_path / "index"))
    with ThreadingHTTPServer(("127.0.0.1", 0), serving) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/x.whl"
        one, mine = Distribution(name="x.whl", sha256=SUM, url=url, size=None), collector(checkout)
        mine.stopped.set()
        with pytest.raises(KeyboardInterrupt):
            mine.bring(one, "1 of 1")
        assert not [file for file in (checkout / ".dlmatrix").rglob("*") if file.is_file()]
        mine.stopped.clear()
        assert mine.bring(one, "1 of 1").read_bytes() == WHEEL
        server.shutdown()


def test_what_is_kept_is_what_uv_said(checkout: Path, tmp_path: Path, uv: Path) -> None:
    collector(checkout).files(locked(tmp_path), "3.11")
    (kept,) = (checkout / ".dlmatrix" / "answers").iterdir()
    ((package),) = json.loads(kept.read_text())
    assert package["wheels"] == [{"name": "x-1-py3-none-any.whl", "url": "", "size": 7, "hashes": {"sha256": SUM}}]
