"""Which file of a distribution a bundle takes, from where, and what of an address is told to whom."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dlmatrix.bundle.contents import distributions
from dlmatrix.bundle.wheels import Collector, Distribution, _best, _tags
from dlmatrix.errors import BuildError, IntegrityError, NetworkError
from dlmatrix.matrix.load import load_matrix, lock_of, select
from dlmatrix.matrix.model import Lock, Site
from dlmatrix.matrix.plan import Limits, make_plan
from dlmatrix.system.addresses import request

LOCK = Path("cpu-x-1.txt")
HASH = "0" * 64


def files(*names: str, sdist: str = "") -> dict[str, Any]:
    def one(name: str) -> dict[str, Any]:
        return {"url": f"https://index.example.org/{name}", "hashes": {"sha256": HASH}, "size": 7}

    found: dict[str, Any] = {"name": "x", "version": "1", "wheels": [one(name) for name in names]}
    return {**found, "sdist": one(sdist)} if sdist else found


@pytest.mark.parametrize(
    ("python", "names", "best"),
    [
        ("3.11.0", ("x-1-py3-none-any.whl", "x-1-cp311-cp311-manylinux_2_17_x86_64.whl"), 1),
        ("3.11.0", ("x-1-cp37-abi3-manylinux_2_17_x86_64.whl", "x-1-cp311-cp311-manylinux1_x86_64.whl"), 1),
        ("3.11.0", ("x-1-cp311-cp311-manylinux2014_x86_64.whl", "x-1-cp311-cp311-manylinux_2_28_x86_64.whl"), 1),
        ("3.13.0", ("x-1-cp39-abi3-manylinux_2_17_x86_64.whl", "x-1-py3-none-any.whl"), 0),
        ("3.7.0", ("x-1-cp37-cp37m-manylinux2010_x86_64.whl", "x-1-py2.py3-none-any.whl"), 0),
    ],
)
def test_the_wheel_that_an_installer_takes(python: str, names: tuple[str, ...], best: int) -> None:
    for order in (names, names[::-1]):
        found = _best(files(*order, sdist="x-1.tar.gz"), {HASH}, _tags(python), LOCK)
        assert found.name == names[best]


def test_where_no_wheel_is_the_source_is_taken() -> None:
    assert _best(files(sdist="x-1.tar.gz"), {HASH}, _tags("3.7.0"), LOCK).name == "x-1.tar.gz"


def test_a_file_whose_hash_is_not_locked_is_none() -> None:
    with pytest.raises(BuildError, match="no file of x 1 with a hash of the lock"):
        _best(files("x-1-py3-none-any.whl"), {"1" * 64}, _tags("3.11.0"), LOCK)


def test_a_password_goes_to_its_index_alone_and_is_shown_nowhere() -> None:
    made = request("https://user:pa%20ss@index.example.org:8443/x.whl")
    assert made.full_url == "https://index.example.org:8443/x.whl"
    assert made.unredirected_hdrs["Authorization"] == "Basic " + base64.b64encode(b"user:pa ss").decode()
    assert not made.headers, "a redirect leads elsewhere without it"
    one = Distribution(name="x.whl", sha256=HASH, url="https://user:secret@index.example.org/x.whl", size=None)
    assert "secret" not in repr(one)


def test_a_file_that_two_locks_ask_for_is_there_once_wherever_each_would_take_it(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    matrix = load_matrix(checkout)
    (env,) = select(matrix, ["cpu-torch-2.13"])
    plan = make_plan(matrix, env, lock_of(matrix, env), "1", Limits())
    asked = []

    def found(self: Collector, lock: Lock, python: str) -> list[Distribution]:
        asked.append((lock.file.stem, python))
        place = "file:///folder" if lock.file.stem == "tools" else "https://index.example.org"
        return [Distribution(name="x.whl", sha256=HASH, url=f"{place}/x.whl", size=1)]

    monkeypatch.setattr(Collector, "files", found)
    collector = Collector(root=checkout, site=Site(), say=lambda line: None)
    ((one, locks),) = distributions([plan], collector, ["3.11", "3.12"]).items()
    assert (one.name, locks) == ("x.whl", ["cpu-torch-2.13", "tools"])
    assert sorted(asked) == [("cpu-torch-2.13", "3.11"), ("tools", "3.11"), ("tools", "3.12")]


def test_a_local_file_that_is_another_is_refused(checkout: Path, tmp_path: Path) -> None:
    file = tmp_path / "a b.whl"
    file.write_bytes(b"x")
    collector = Collector(root=checkout, site=Site(), say=lambda line: None)
    one = Distribution(name=file.name, sha256=HASH, url=file.as_uri(), size=None)
    with pytest.raises(IntegrityError, match="is not the file that the lock names"):
        collector.bring(one, "1 of 1")
    assert collector.bring(replace(one, sha256=hashlib.sha256(b"x").hexdigest()), "1 of 1") == file


def test_an_index_that_does_not_answer_is_named_without_its_password(checkout: Path) -> None:
    said: list[str] = []
    collector = Collector(root=checkout, site=Site(), say=said.append)
    one = Distribution(name="x.whl", sha256=HASH, url="http://user:secret@127.0.0.1:9/x.whl", size=None)
    with pytest.raises(NetworkError, match=r"x\.whl could not be downloaded") as raised:
        collector.bring(one, "3 of 7")
    assert "secret" not in f"{raised.value}{said}"
    assert said == ["downloading 3 of 7: x.whl"]
    assert not list((checkout / ".dlmatrix" / "downloads").iterdir())
