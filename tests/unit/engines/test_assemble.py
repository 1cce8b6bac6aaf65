"""Which wheels share a layer, and which files two of them bring."""

from __future__ import annotations

from dlmatrix.engines.docker.assemble import LARGE, SHARED, disputed, grouped
from dlmatrix.matrix.model import LockEntry

NAMES = [f"small-{number}" for number in range(20)]


def entry(name: str, version: str = "1") -> LockEntry:
    return LockEntry(name=name, version=version, hashes=("0" * 64,))


def facts(*names: str, large: tuple[str, ...] = ()) -> dict[str, dict[str, int]]:
    return {name: {"bytes": LARGE if name in large else LARGE - 1} for name in (*names, *large)}


def test_large_wheels_come_first_and_alone() -> None:
    found = grouped([entry(name) for name in ("torch", *NAMES, "numpy")], facts(*NAMES, large=("torch", "numpy")))
    assert [[one.name for one in group] for group in found[:2]] == [["numpy"], ["torch"]]
    assert len(found) <= 2 + SHARED
    assert sorted(one.name for group in found[2:] for one in group) == sorted(NAMES)


def test_where_a_small_wheel_goes_depends_on_its_name_alone() -> None:
    whole = grouped([entry(name) for name in NAMES], facts(*NAMES))
    for name in NAMES:
        (fellows,) = (group for group in whole if entry(name) in group)
        fewer = grouped([one for one in fellows if one.name != name], facts(*NAMES))
        assert len(fewer) == (1 if len(fellows) > 1 else 0)


def test_the_order_in_a_lock_changes_nothing() -> None:
    entries = [entry(name) for name in NAMES]
    assert grouped(entries, facts(*NAMES)) == grouped(entries[::-1], facts(*NAMES))


def test_a_path_that_two_bring_alike_is_none_and_otherwise_is_named() -> None:
    sums = {"a": {"nvidia/__init__.py": "sha256=x", "LICENSE": "sha256=1"}, "b": {"nvidia/__init__.py": "sha256=x"}}
    assert disputed(sums) == []
    (line,) = disputed({**sums, "c": {"LICENSE": "sha256=2"}})
    assert line == "LICENSE is brought by a and, otherwise, by c"
