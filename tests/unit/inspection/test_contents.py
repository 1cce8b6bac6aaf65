"""Each content check finds what is planted for it, and only that; the bill of materials is complete and fixed."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from dlmatrix.inspection.contents import Contents, check, foreign, own_certificates, private
from dlmatrix.inspection.layer import Entry, Suspect
from dlmatrix.inspection.private import CERTIFICATE, SECRET, Private
from dlmatrix.inspection.sbom import make_sbom
from dlmatrix.matrix.load import load_matrix, lock_of, select
from dlmatrix.matrix.model import Site
from dlmatrix.matrix.plan import Limits, Plan, make_plan


def entry(kind: str = "f", mode: int = 0o644, owner: str = "0:0", size: int | None = None) -> Entry:
    return Entry(kind, mode, owner, (10 if kind == "f" else 0) if size is None else size)


BASE = {
    "/etc": entry("d", 0o755),
    "/usr/bin/su": entry(mode=0o4755),
    "/tmp": entry("d", 0o1777),
    "/etc/hosts": entry(size=174),
}
ADDED = {
    "/opt/venv": entry("d", 0o755),
    "/opt/venv/lib/python3.11/site-packages/torch/a.py": entry(size=3_000_000),
    "/opt/venv/bin/python": entry("l", 0o777),
    "/srv/smoke/model.py": entry(),
}
GOOD = Contents(files=BASE | ADDED, base=BASE, suspects={}, size_budget_mb=10)


def outcomes(contents: Contents) -> dict[str, tuple[str, str]]:
    return {found["id"]: (found["outcome"], found["reason"]) for found in check(contents)}


def test_a_good_image_passes_every_check() -> None:
    assert set(outcomes(GOOD).values()) == {("passed", "")}


def test_a_file_that_the_engine_puts_there_is_no_addition() -> None:
    grown = {"/etc/hosts": entry(size=200), "/.dockerenv": entry(size=0)}
    assert set(outcomes(dataclasses.replace(GOOD, files=BASE | ADDED | grown)).values()) == {("passed", "")}


@pytest.mark.parametrize(
    ("path", "planted", "failing", "shown"),
    [
        ("/home/x/.cache/pip/http/x", entry(), {"image-caches", "image-root"}, "/home/x/.cache/pip/http/x"),
        ("/var/cache/apt/archives/a.deb", entry(), {"image-caches", "image-root"}, "/var/cache/apt/archives/a.deb"),
        ("/var/lib/apt/lists/debian_Packages", entry(), {"image-caches", "image-root"}, "debian_Packages"),
        ("/opt/venv/.netrc", entry(), {"image-secrets"}, "/opt/venv/.netrc (its name)"),
        ("/srv/smoke/id_ed25519", entry(), {"image-secrets"}, "/srv/smoke/id_ed25519 (its name)"),
        ("/usr/local/bin/tool", entry(), {"image-root"}, "/usr/local/bin/tool"),
        ("/etc/passwd", entry(size=99), {"image-root"}, "/etc/passwd"),
        ("/usr/bin/su", entry(mode=0o755), {"image-root"}, "/usr/bin/su"),
        ("/opt/venv/bin/sudo", entry(mode=0o4755), {"image-permissions"}, "/opt/venv/bin/sudo (mode 4755)"),
        ("/opt/venv/bin/wall", entry(mode=0o2755), {"image-permissions"}, "/opt/venv/bin/wall (mode 2755)"),
        ("/opt/venv/.lock", entry(mode=0o666), {"image-permissions"}, "/opt/venv/.lock (mode 0666)"),
        ("/opt/venv/mine", entry(owner="65532:0"), {"image-permissions"}, "/opt/venv/mine (owner 65532:0)"),
    ],
)
def test_what_should_not_be_there(path: str, planted: Entry, failing: set[str], shown: str) -> None:
    found = outcomes(dataclasses.replace(GOOD, files=BASE | ADDED | {path: planted}))
    assert {name for name, (outcome, _) in found.items() if outcome == "failed"} == failing
    assert all(shown in found[name][1] for name in failing)


def test_too_large_an_image_names_its_largest_folders_and_counts_a_hard_link_once() -> None:
    site = "/opt/venv/lib/python3.11/site-packages"
    files: Mapping[str, Entry] = {
        f"{site}/torch/a.so": entry(size=8_000_000),
        f"{site}/torch/b.so": entry("h"),
        f"{site}/numpy/c.so": entry(size=2_000_000),
    }
    (found,) = (f for f in check(dataclasses.replace(GOOD, files=files)) if f["id"] == "image-size")
    assert found["outcome"] == "passed"
    assert (found["expected"], found["found"]) == (10, 10)
    (found,) = (f for f in check(dataclasses.replace(GOOD, files=files, size_budget_mb=9)) if f["id"] == "image-size")
    assert found["outcome"] == "failed"
    assert found["reason"] == f"10 MB, budget 9 MB; largest: {site}/torch 8, {site}/numpy 2"


def test_secrets_and_certificates_are_told_apart() -> None:
    suspects = {"/opt/venv/a": Suspect("x", [SECRET]), "/srv/smoke/ca.pem": Suspect("y", [CERTIFICATE])}
    found = outcomes(dataclasses.replace(GOOD, suspects=suspects))
    assert found["image-secrets"] == ("failed", "/opt/venv/a")
    assert found["image-certificates"] == ("failed", "/srv/smoke/ca.pem")


def certificate(letter: str) -> str:
    body = base64.b64encode(letter.encode() * 300).decode()
    lines = [body[i : i + 64] for i in range(0, len(body), 64)]
    return "\n".join(["-----BEGIN CERTIFICATE-----", *lines, "-----END CERTIFICATE-----", ""])


def test_only_certificates_that_the_public_has_not_are_this_machines(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.pem"
    bundle.write_text(certificate("p") + certificate("m"))
    (own,) = own_certificates(Site(ca_bundle=bundle), certificate("p").replace("\n", "\r\n"))
    assert own in certificate("m").splitlines()
    assert own not in certificate("p")
    assert own_certificates(Site(), certificate("p")) == ()


def test_a_password_of_the_site_is_searched_for_and_an_address_without_one_is_not() -> None:
    site = Site(index="https://me:s3cret+(x)@example.org/simple", extra_indexes=("https://example.org/simple",))
    assert private(site, "") == Private(passwords=("me:s3cret+(x)",))


@pytest.mark.parametrize("end", ["@", ":@"])
def test_a_token_without_a_password_is_searched_for_and_a_name_is_not(end: str) -> None:
    token = "a1" * 12
    site = Site(index=f"https://{token}{end}example.org/simple", extra_indexes=(f"https://somebody{end}example.org/",))
    assert private(site, "") == Private(passwords=(token,))


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        (b"key = '-----BEGIN RSA PRIVATE KEY-----'", {SECRET}),
        (b"AKIA" + b"A1" * 8, {SECRET}),
        (b"ghp_" + b"a" * 36, {SECRET}),
        (b"ghp_" + b"a" * 35, set()),
        (b"https://me:s3cret+(x)@host", {SECRET}),
        (b"me:s3cret", set()),
        (b"one\nAB+/\n", {CERTIFICATE}),
        (b"AB+/ hf_" + b"x" * 34, {CERTIFICATE, SECRET}),
    ],
)
def test_what_a_text_holds(text: bytes, holds: set[str]) -> None:
    assert Private(passwords=("me:s3cret+(x)",), certificates=("AB+/",)).in_text(text) == holds


def test_only_a_file_that_is_as_its_record_says_was_brought_by_a_distribution() -> None:
    site = "/opt/venv/lib/python3.11/site-packages"
    right = base64.urlsafe_b64encode(hashlib.sha256(b"content").digest()).rstrip(b"=").decode()
    suspects = {f"{site}/{name}": Suspect(right, [SECRET]) for name in ("a/roots.pem", "b/mine.pem", "c/changed.pem")}
    records = [f"a/roots.pem,sha256={right},7\n", f"c/changed.pem,sha256={'A' * 43},7\n"]
    assert foreign(suspects, records).keys() == {f"{site}/b/mine.pem", f"{site}/c/changed.pem"}


STATUS = """\
Package: libc6
Status: install ok installed
Architecture: amd64
Version: 2.36-9+deb12u10
Description: GNU C Library
 of many lines.

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1
"""
FILES = [
    "/opt/venv/lib/python3.7/site-packages/absl_py-1.0.0.dist-info",
    "/opt/venv/lib/python3.7/site-packages/absl_py-1.0.0.dist-info/METADATA",
    "/opt/venv/lib/python3.7/site-packages/tensorflow-1.15.5.dist-info",
    "/usr/local/bin/python3.7",
]


@pytest.fixture(scope="module")
def plan(root: Path) -> Plan:
    matrix = load_matrix(root)
    (env,) = select(matrix, ["cpu-tf1-1.15"])
    return make_plan(matrix, env, lock_of(matrix, env), "0.13.9", Limits())


def test_a_bill_of_materials_is_valid_complete_and_the_same_every_time(plan: Plan) -> None:
    image = "sha256:" + "1" * 64
    text = make_sbom(plan, image, FILES, STATUS)
    assert text == make_sbom(plan, image, reversed(FILES), STATUS)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    bill = json.loads(text)
    assert bill["specVersion"] == "1.6"
    assert {part["purl"] for part in bill["components"]} == {
        "pkg:pypi/absl-py@1.0.0",
        "pkg:pypi/tensorflow@1.15.5",
        "pkg:deb/debian/libc6@2.36-9%2Bdeb12u10?arch=amd64",
        "pkg:generic/cpython@3.7",
    }
    assert bill["metadata"]["component"]["version"] == image
    assert text != make_sbom(plan, "sha256:" + "2" * 64, FILES, STATUS)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/x/site-packages/a\udcff-1.dist-info", ""),
        ("/x/site-packages/a\x1b[2J-1.dist-info", ""),
        ("/x/site-packages/---1.dist-info", ""),
        ("", "Status: install ok installed\nVersion: 1\n"),
        ("", "Package:\nStatus: install ok installed\n"),
        ("", "Package: \x1b[2J\0\nStatus: install ok installed\n"),
    ],
)
def test_what_an_image_says_otherwise_has_a_bill_too(plan: Plan, path: str, status: str) -> None:
    text = make_sbom(plan, "sha256:" + "1" * 64, [path], status)
    assert "\x1b" not in text
    assert json.loads(text.encode())["bomFormat"] == "CycloneDX"
