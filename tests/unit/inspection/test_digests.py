"""The record: what is written is read back, and each word of a comparison means what it says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dlmatrix.errors import ConfigError
from dlmatrix.inspection.digests import (
    DIFFERS,
    NOT_COMPARABLE,
    NOT_RECORDED,
    SAME,
    Identity,
    Made,
    Record,
    compare,
    difference,
    read_records,
    write_records,
)

IDENTITY = Identity(manifest="sha256:m", config="sha256:c", layers=("sha256:1", "sha256:2"))
MADE = Made(buildkit="v0.31.0", store="containerd", platform="linux/amd64")
INPUTS = {"lock": "abc", "args": 'A="1" B=2'}
RECORD = Record(identity=IDENTITY, made=MADE, inputs=INPUTS)
CHANGED = replace(IDENTITY, manifest="sha256:other", layers=("sha256:1", "sha256:3"))


def test_a_record_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    (tmp_path / "envs").mkdir()
    records = {"cpu-torch-2.13": RECORD, "cpu-tf1-1.15": replace(RECORD, identity=CHANGED)}
    file = write_records(tmp_path, records)
    assert read_records(tmp_path) == records
    assert [path.name for path in file.parent.iterdir()] == ["digests.toml"]
    text = file.read_text()
    write_records(tmp_path, dict(reversed(records.items())))
    assert file.read_text() == text


def test_nothing_recorded(tmp_path: Path) -> None:
    assert read_records(tmp_path) == {}
    assert compare(None, IDENTITY, lambda: MADE, INPUTS).word == NOT_RECORDED


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('["a"]\nlayers = []\n', "a.made-with"),
        ('["a"]\nlayers = [1]\n[a.made-with]\n[a.inputs]\n', "a.layers"),
        (
            '["a"]\nlayers = []\nmore = 1\n[a.made-with]\nbuildkit = ""\nstore = ""\nplatform = ""\n[a.inputs]\n',
            "a.more",
        ),
    ],
)
def test_a_record_that_is_not_understood(tmp_path: Path, text: str, key: str) -> None:
    (tmp_path / "envs").mkdir()
    (tmp_path / "envs" / "digests.toml").write_text(text)
    with pytest.raises(ConfigError, match=rf"digests\.toml: {key}"):
        read_records(tmp_path)


@pytest.mark.parametrize(
    ("identity", "made", "inputs", "word", "detail"),
    [
        (IDENTITY, MADE, INPUTS, SAME, "manifest digest, config digest, layers"),
        (IDENTITY, replace(MADE, buildkit="v0.25.0"), {}, SAME, "manifest digest, config digest, layers"),
        (replace(IDENTITY, manifest=""), replace(MADE, store="classic"), INPUTS, SAME, "config digest, layers"),
        (CHANGED, MADE, INPUTS, DIFFERS, "layer 2 of 2"),
        (replace(IDENTITY, config="sha256:d"), MADE, INPUTS, DIFFERS, "config digest: sha256:c against sha256:d"),
        (replace(IDENTITY, manifest="sha256:d"), MADE, INPUTS, DIFFERS, "manifest digest: sha256:m against sha256:d"),
        (CHANGED, replace(MADE, buildkit="v0.25.0"), INPUTS, NOT_COMPARABLE, "BuildKit v0.25.0 here, v0.31.0 there"),
        (CHANGED, replace(MADE, store="classic"), INPUTS, NOT_COMPARABLE, "image store classic here, containerd there"),
        (CHANGED, MADE, {**INPUTS, "lock": "x"}, NOT_COMPARABLE, "changed since it was recorded: lock"),
    ],
)
def test_each_word(identity: Identity, made: Made, inputs: dict[str, str], word: str, detail: str) -> None:
    found = compare(RECORD, identity, lambda: made, inputs)
    assert (found.word, found.detail) == (word, detail)
    assert str(found) == f"{word}: {detail}"


def test_a_layer_more_is_a_difference() -> None:
    longer = replace(IDENTITY, layers=(*IDENTITY.layers, "sha256:3"))
    assert difference(IDENTITY, longer) == "layer 3 of 3"
    assert difference(IDENTITY, IDENTITY) == ""


@pytest.mark.parametrize(
    ("changed", "maker", "word"),
    [
        (0, True, DIFFERS),
        (1, True, DIFFERS),
        (2, True, NOT_COMPARABLE),
        (3, True, NOT_COMPARABLE),
        (1, False, NOT_COMPARABLE),
    ],
)
def test_only_the_last_two_layers_of_an_env_depend_on_buildkit(changed: int, maker: bool, word: str) -> None:
    """Below them are the base's and the wheels', which no engine writes."""
    inputs = {**INPUTS, **({"layers": "m"} if maker else {})}
    layers = ("sha256:base", "sha256:wheels", "sha256:finish", "sha256:checks")
    record = replace(RECORD, identity=replace(IDENTITY, layers=layers), inputs=inputs)
    other = tuple("sha256:other" if n == changed else layer for n, layer in enumerate(layers))
    found = replace(IDENTITY, manifest="sha256:other", layers=other)
    assert compare(record, found, lambda: replace(MADE, buildkit="v0.25.0"), inputs).word == word
    assert compare(record, found, lambda: MADE, inputs).word == DIFFERS


@pytest.mark.parametrize(
    ("changed", "others", "word", "detail"),
    [
        (3, {}, NOT_COMPARABLE, "changed since it was recorded: smoke; every layer below it is as recorded"),
        (2, {}, DIFFERS, "layer 3 of 4"),
        (1, {}, DIFFERS, "layer 2 of 4"),
        (1, {"lock": "x"}, NOT_COMPARABLE, "changed since it was recorded: lock, smoke"),
        (3, {"lock": "x"}, NOT_COMPARABLE, "changed since it was recorded: lock, smoke"),
    ],
)
def test_checks_that_changed_excuse_the_last_layer_alone(
    changed: int, others: dict[str, str], word: str, detail: str
) -> None:
    layers = ("sha256:base", "sha256:wheels", "sha256:finish", "sha256:checks")
    before = {**INPUTS, "layers": "m", "smoke": "old"}
    record = replace(RECORD, identity=replace(IDENTITY, layers=layers), inputs=before)
    other = tuple("sha256:other" if n == changed else layer for n, layer in enumerate(layers))
    found = replace(IDENTITY, manifest="sha256:other", layers=other)
    told = compare(record, found, lambda: MADE, {**before, "smoke": "new", **others})
    assert (told.word, told.detail) == (word, detail)


@pytest.mark.parametrize(
    ("built", "equal"),
    [
        ("new a b finish checks", "; as recorded: every layer of its wheels"),
        ("new a b other other", "; as recorded: every layer of its wheels"),
        ("new extra a b finish checks", "; as recorded: the last 2 layers of its wheels"),
        ("new other b finish checks", "; as recorded: the last 1 layers of its wheels"),
        ("new other other finish checks", ""),
    ],
)
@pytest.mark.parametrize("others", [{}, {"smoke": "new"}])
def test_of_another_base_the_wheels_layers_are_held_against_the_record(
    built: str, equal: str, others: dict[str, str]
) -> None:
    """Debian's packages change within hours; what stands upon them is a function of the lock."""
    before = {**INPUTS, "layers": "m", "base": "old", "smoke": "old"}
    identity = replace(IDENTITY, layers=("base", "a", "b", "finish", "checks"))
    record = replace(RECORD, identity=identity, inputs=before)
    found = Identity(manifest="sha256:other", config="sha256:other", layers=tuple(built.split()))
    told = compare(record, found, lambda: MADE, {**before, "base": "new", **others})
    changed = ", ".join(["base", *others])
    assert (told.word, told.detail) == (NOT_COMPARABLE, f"changed since it was recorded: {changed}{equal}")
    more = compare(record, found, lambda: MADE, {**before, "base": "new", "lock": "new"})
    assert more.detail == "changed since it was recorded: base, lock"
