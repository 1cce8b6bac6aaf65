"""What to do about a cause, as whoever is in the place where it was met can do it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from dlmatrix.system.toml import read_toml

#: Where the doctor may stand, each with the tags by which a remedy may be meant for it, the most telling first.
PLACES: Mapping[str, tuple[str, ...]] = MappingProxyType({
    "host": ("host",),
    "guest": ("guest", "host"),
    "wsl": ("wsl",),
    "container": ("container",),
    "podman": ("podman", "container"),
    "rootless": ("rootless", "podman", "container"),
    "apptainer": ("apptainer", "container"),
    "pod": ("pod", "container"),
    "lxc": ("lxc",),
    "nspawn": ("nspawn", "container"),
    "slurm": ("slurm", "job"),
    "batch": ("batch", "job"),
})  # fmt: skip
#: Distributions by their packages, and the ID or ID_LIKE of os-release that tells each.
FAMILIES: Mapping[str, tuple[str, ...]] = MappingProxyType({
    "ubuntu": ("ubuntu",),
    "debian": ("debian",),
    "fedora": ("fedora", "rhel", "centos"),
    "suse": ("suse", "opensuse", "sles"),
    "arch": ("arch",),
})  # fmt: skip
#: Places that see a machine which is somebody else's to administer, and the prefix that says so.
_FOREIGN = ("container", "pod", "lxc", "slurm", "batch")
_ENGINE = ("host", "guest", "wsl")
_IN_CONTAINERS = ("container", "podman", "rootless", "apptainer", "pod", "lxc", "nspawn", "slurm", "batch")
_BARE_METAL = tuple(place for place in PLACES if place != "wsl")
_BY_LAYER = {
    "hardware": _BARE_METAL,
    "kernel module": _BARE_METAL,
    "device nodes": _BARE_METAL,
    "container start": _ENGINE,
    "container": _IN_CONTAINERS,
}


@dataclass(frozen=True, kw_only=True)
class Remedy:
    """The remedies of one cause; see the head of remedies.toml."""

    text: str
    machine: bool
    only: tuple[str, ...]
    not_in: tuple[str, ...]
    source: str
    by_tag: Mapping[str, str]

    def key(self, tags: Iterable[str]) -> str:
        """The tag whose text is taken, "text" where none of these has one."""
        return next((tag for tag in tags if tag in self.by_tag), "text")

    def words(self, key: str) -> str:
        """The text under a tag, or under "text"."""
        return self.by_tag.get(key, self.text)

    def seen(self) -> tuple[str, ...]:
        """The tags that are neither a place nor a family: what the evidence says."""
        places = {tag for tags in PLACES.values() for tag in tags}
        return tuple(tag for tag in self.by_tag if tag not in places and tag not in FAMILIES)


@cache
def remedies() -> Mapping[str, Remedy]:
    """The remedies of every cause, by its label."""
    return {label: _remedy(dict(entry)) for label, entry in _data().items() if label != "prefix"}


@cache
def prefixes() -> Mapping[str, str]:
    """What stands before a text that is for the machine's administrators, by place."""
    return dict(_data()["prefix"])


@cache
def _data() -> dict[str, Any]:
    return read_toml(Path(__file__).with_name("remedies.toml"))


def _remedy(entry: dict[str, Any]) -> Remedy:
    return Remedy(
        text=entry.pop("text"),
        machine=entry.pop("machine", False),
        only=tuple(entry.pop("only", ())),
        not_in=tuple(entry.pop("not_in", ())),
        source=entry.pop("source", ""),
        by_tag=entry,
    )


def choice(remedy: Remedy, tags: tuple[str, ...]) -> tuple[str, str]:
    """What a case of these tags is told: the key of the prefix ("" for none) and the key of the text."""
    key = remedy.key(tags)
    for_a_place = key != "text" and key not in FAMILIES and key not in remedy.seen()
    foreign = next((tag for tag in tags if tag in _FOREIGN), "")
    return (foreign if remedy.machine and not for_a_place else "", key)


def told(label: str, tags: tuple[str, ...]) -> str:
    """The remedy of a cause for a case of these tags."""
    remedy = remedies()[label]
    prefix, key = choice(remedy, tags)
    return prefixes().get(prefix, "") + remedy.words(key)


def places(label: str, layer: str) -> tuple[str, ...]:
    """The places where a cause of this layer can occur."""
    remedy = remedies()[label]
    found = remedy.only or _BY_LAYER.get(layer, tuple(PLACES))
    return tuple(place for place in found if place not in remedy.not_in)


def cases(label: str, layer: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Every (place, tags) in which a cause can occur: each place, with each thing seen and each family told apart."""
    remedy = remedies()[label]
    for place in places(label, layer):
        own = PLACES[place]
        yield place, own
        families = FAMILIES if place in ("host", "guest", "slurm", "batch") else ()
        yield from ((place, (*own, family)) for family in families if family in remedy.by_tag)
        for tag in remedy.seen():
            if place_of_tag(tag) in ("", place):
                yield place, (tag, *own)


def place_of_tag(tag: str) -> str:
    """The place before what was seen, for the tags that are meant for one place alone (guest_bar); else ""."""
    place = tag.partition("_")[0]
    return place if place in PLACES else ""


def tagged(seen: Iterable[str], places: tuple[str, ...]) -> tuple[str, ...]:
    """All tags of a case: what was seen, at this place before anywhere, and then the places themselves."""
    seen = tuple(seen)
    return (*(f"{place}_{tag}" for place in places for tag in seen), *seen, *places)
