"""Each remedy is a command that somebody will paste where he is: held for every cause in every place it can occur."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dlmatrix.gpu.diagnosis import diagnose
from dlmatrix.gpu.diagnosis.catalogue import catalogue
from dlmatrix.gpu.diagnosis.remedies import (
    FAMILIES,
    PLACES,
    Remedy,
    cases,
    choice,
    place_of_tag,
    places,
    prefixes,
    remedies,
    told,
)
from dlmatrix.gpu.surroundings import system_of

ROWS = catalogue().rows
LAYER = {row.label: row.layer for row in ROWS}
CASES = [(row.label, place, tags) for row in ROWS for place, tags in cases(row.label, row.layer)]
TEXTS = [(label, key, remedy.words(key)) for label, remedy in remedies().items() for key in ("text", *remedy.by_tag)]
#: What deletes, stops, resets or takes away something, and a word for it that must stand before.
DANGEROUS = re.compile(
    r"\b(?:purge|uninstall|rmmod|modprobe -r|nodedev-reattach|delete|remount)\b|apt(?:-get)? remove NAME|dnf remove"
    r"|--gpu-reset|nvidia-smi -r\b|-mig 0|nvidia-smi mig -d|nvidia-smi (?:-i N )?-c \d|--shutdown"
    r"|restart (?:docker|UNIT)|docker rm\b|\brm -"
)
SAID = re.compile(
    r"\b(?:removes|replaces|unloads|ends|stops|resets|deletes|takes|take|lets|changes|inside, )", re.IGNORECASE
)


def commands(text: str) -> Iterator[tuple[str, str]]:
    """Each command of a text, and what stands before it."""
    for match in re.finditer("`([^`]+)`", text):
        yield match[1], text[: match.start()]


def whose(label: str, tags: tuple[str, ...]) -> str:
    """The text without what a prefix or its own words say to type on another machine."""
    prefix, _ = choice(remedies()[label], tags)
    text = told(label, tags)
    elsewhere = re.search(
        r"\b(?:on (?:the|its|this machine's) (?:host|node)|for whoever|by whoever|whoever runs)", text
    )
    return text[: elsewhere.start()] if elsewhere else "" if prefix else text


def test_every_cause_has_remedies_and_nothing_else_has() -> None:
    assert set(remedies()) == set(LAYER)


def test_a_tag_is_a_place_a_family_or_something_that_a_predicate_says() -> None:
    code = "".join(path.read_text() for path in Path("dlmatrix/gpu/diagnosis/predicates").glob("*.py"))
    for label, remedy in remedies().items():
        for tag in remedy.seen():
            seen = tag.removeprefix(f"{place_of_tag(tag)}_")
            assert f'"{seen}"' in code, (label, tag)
        assert set(remedy.only) <= set(PLACES), label


def test_every_place_that_is_somebody_elses_has_words_for_whom_it_is() -> None:
    foreign = {"container", "pod", "lxc", "slurm", "batch"}
    assert set(prefixes()) == foreign
    assert {tags[-1] for place, tags in PLACES.items() if place not in ("host", "guest", "wsl")} <= foreign | {"job"}


@pytest.mark.parametrize(("label", "key", "text"), TEXTS, ids=lambda value: value[:40])
def test_what_deletes_stops_or_resets_says_so_before(label: str, key: str, text: str) -> None:
    for command, before in commands(text):
        if DANGEROUS.search(command):
            assert SAID.search(before[-90:]), (label, key, command)


@pytest.mark.parametrize(("label", "key", "text"), TEXTS, ids=lambda value: value[:40])
def test_no_pattern_takes_more_than_it_names(label: str, key: str, text: str) -> None:
    for command, _ in commands(text):
        if re.search(r"\b(?:remove|purge|uninstall)\b", command):
            assert "*" not in command, (label, key, command)
        if "dmesg" in command and "NVRM" in command.upper():
            assert "grep -iE" in command, command
            assert "nvidia" in command, command


@pytest.mark.parametrize(("label", "place", "tags"), CASES, ids=lambda value: str(value)[:40])
def test_a_remedy_can_be_followed_where_it_is_given(label: str, place: str, tags: tuple[str, ...]) -> None:
    text, here = told(label, tags), whose(label, tags)
    assert text.strip()
    typed = [command for command, _ in commands(here)]
    if place not in ("host", "guest", "wsl"):
        # What only the machine's own administrator can do, outside of any container.
        rights = (
            r"modprobe|rmmod|mokutil|dkms|initramfs|systemctl|setsebool|nvidia-smi (?:mig -[cd]|.*-mig|.*-c \d)|reset"
        )
        assert not [c for c in typed if re.search(rights, c)], text
    if place in ("slurm", "batch", "pod"):
        assert not [c for c in typed if re.search(r"\bsudo\b", c)], text
    if place in ("pod", "lxc", "slurm", "batch", "podman", "rootless", "apptainer", "nspawn"):
        assert "docker" not in here, text
        assert "--gpus all" not in here, text
    if place == "lxc":
        assert "recreate" not in text, text
    if place != "pod":
        assert "kubectl" not in text, text
        assert "nvidia.com/gpu: 1" not in text, text
    if place not in ("slurm", "batch"):
        assert not re.search(r"\b(?:srun|sbatch|qsub|bsub)\b", text), text
    if place == "wsl":
        assert not re.search(r"modprobe|dkms|initramfs|NVreg", text), text


@pytest.mark.parametrize("family", [f for f in FAMILIES if f not in ("ubuntu", "debian")])
def test_a_distribution_is_given_its_own_packager(family: str) -> None:
    for label, remedy in remedies().items():
        if family in remedy.by_tag:
            assert not re.search(r"\bapt(?:-get)?\b|update-initramfs", remedy.by_tag[family]), label


def test_ubuntu_and_debian_have_their_own_key() -> None:
    secure = remedies()["SECURE_BOOT"].by_tag
    assert "/var/lib/dkms" not in secure["ubuntu"]
    assert "shim-signed" in secure["ubuntu"]
    assert "/var/lib/dkms/mok.pub" in secure["debian"]


def test_what_is_not_for_here_says_for_whom_it_is() -> None:
    assert told("SECURE_BOOT", PLACES["pod"]).startswith(prefixes()["pod"])
    assert told("GPU_LOST", (*PLACES["slurm"], *PLACES["apptainer"])).startswith(prefixes()["slurm"])
    assert told("GPU_LOST", PLACES["guest"]).startswith("shut this virtual machine down")
    assert told("UVM_MISSING", PLACES["host"]).startswith("`sudo nvidia-modprobe")


def test_firmware_and_permission_are_not_sent_to_above_4g() -> None:
    remedy = remedies()["RM_INIT_FAILED"]
    assert "Above 4G" not in remedy.text
    assert "Above 4G" in remedy.words("bar")


@pytest.mark.parametrize(
    ("release", "family"),
    [
        ("ID=ubuntu\nID_LIKE=debian\n", "ubuntu"),
        ('ID=linuxmint\nID_LIKE="ubuntu debian"\n', "ubuntu"),
        ("ID=debian\n", "debian"),
        ('NAME="Rocky Linux"\nID="rocky"\nID_LIKE="rhel centos fedora"\n', "fedora"),
        ("ID=fedora\n", "fedora"),
        ('ID="opensuse-leap"\nID_LIKE="suse opensuse"\n', "suse"),
        ("ID=manjaro\nID_LIKE=arch\n", "arch"),
        ("ID=nixos\n", None),
        ("", None),
    ],
)
def test_the_distribution_is_read_from_os_release(release: str, family: str | None, tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/os-release").write_text(release)
    unknown = dict.fromkeys(("virtual", "bbswitch", "toolkit_root", "preload"))
    assert system_of(tmp_path) == {"family": family} | unknown


@pytest.mark.parametrize(("flags", "virtual"), [("fpu vme hypervisor avx", True), ("fpu vme avx", False)])
def test_a_virtual_machine_is_told_by_its_processors(flags: str, virtual: bool, tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_text(f"processor\t: 0\nflags\t\t: {flags}\n")
    assert system_of(tmp_path)["virtual"] is virtual


@pytest.mark.parametrize(
    ("name", "path", "text", "told"),
    [
        ("bbswitch", "proc/acpi/bbswitch", "0000:01:00.0 OFF\n", "0000:01:00.0 OFF"),
        ("bbswitch", "proc/acpi/bbswitch", "\x1b[2J\n", None),
        (
            "preload",
            "etc/ld.so.preload",
            "/usr/local/vgpu/libvgpu.so\nlibjemalloc.so.2\n",
            "/usr/local/vgpu/libvgpu.so libjemalloc.so.2",
        ),
        (
            "toolkit_root",
            "etc/nvidia-container-runtime/config.toml",
            '[nvidia-container-cli]\nroot = "/run/x"\n',
            "/run/x",
        ),
        ("toolkit_root", "etc/nvidia-container-runtime/config.toml", '#root = "/run/nvidia/driver"\n', None),
    ],
)
def test_what_switches_a_card_off_or_misleads_the_toolkit_is_read(
    name: str, path: str, text: str, told: str | None, tmp_path: Path
) -> None:
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_text(text)
    assert system_of(tmp_path)[name] == told
    assert system_of(tmp_path / "nowhere")[name] is None


def test_a_case_is_told_what_its_place_needs() -> None:
    gpu = {"address": "0000:01:00.0", "device": "0x20b0", "driver": ""}
    kernel: dict[str, Any] = {"pci": {"readable": True, "gpus": [gpu]}, "secure_boot": True, "release": "6.8",
                              "module_files": {"error": None, "kernels": {"6.8": "nvidia.ko"}}}  # fmt: skip
    system = {"family": "ubuntu", "virtual": False}
    assert "shim-signed" in diagnose({"kernel": kernel, "system": system}).causes[0].remedy
    job = kernel | {"variables": {"SLURM_JOB_ID": "1"}}
    said = diagnose({"kernel": job, "system": system}).causes[0].remedy
    assert said.startswith(prefixes()["slurm"])
    assert "shim-signed" in said


def test_places_are_those_of_the_layer_unless_the_cause_says_fewer() -> None:
    assert places("WSL_BLOCKED", "driver library") == ("wsl",)
    assert "wsl" not in places("SECURE_BOOT", "kernel module")
    assert isinstance(remedies()["NO_GPU"], Remedy)
