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

from dlmatrix.errors import ContractError
from dlmatrix.inspection.contents import (
    Contents,
    Entry,
    brought,
    check,
    own_certificates,
    parse_listing,
    parse_matches,
    patterns,
)
from dlmatrix.inspection.sbom import make_sbom
from dlmatrix.matrix.load import load_matrix, lock_of, select
from dlmatrix.matrix.model import Site
from dlmatrix.matrix.plan import Limits, Plan, make_plan


def entry(kind: str = "f", mode: int = 0o644, owner: str = "0:0", size: int = 10, inode: int = 0) -> Entry:
    return Entry(kind=kind, mode=mode, owner=owner, size=size, inode=inode)


BASE = {
    "/etc": entry("d", 0o755, size=4096),
    "/usr/bin/su": entry(mode=0o4755),
    "/tmp": entry("d", 0o1777),
    "/etc/hosts": entry(size=174),
}
ADDED = {
    "/opt/venv": entry("d", 0o755),
    "/opt/venv/lib/python3.11/site-packages/torch/a.py": entry(size=3_000_000, inode=1),
    "/opt/venv/bin/python": entry("l", 0o777),
    "/srv/smoke/model.py": entry(inode=2),
}
GOOD = Contents(files=BASE | ADDED, base=BASE, matches=(), certificates=(), size_budget_mb=10)


def outcomes(contents: Contents) -> dict[str, tuple[str, str]]:
    return {found["id"]: (found["outcome"], found["reason"]) for found in check(contents)}


def test_a_good_image_passes_every_check() -> None:
    assert set(outcomes(GOOD).values()) == {("passed", "")}


def test_a_file_that_the_engine_puts_there_and_a_folder_that_grew_are_no_addition() -> None:
    grown = {"/etc": entry("d", 0o755, size=8192), "/etc/hosts": entry(size=200), "/.dockerenv": entry(size=0)}
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
        f"{site}/torch/a.so": entry(size=8_000_000, inode=7),
        f"{site}/torch/b.so": entry(size=8_000_000, inode=7),
        f"{site}/numpy/c.so": entry(size=2_000_000, inode=8),
    }
    (found,) = (f for f in check(dataclasses.replace(GOOD, files=files)) if f["id"] == "image-size")
    assert found["outcome"] == "passed"
    assert (found["expected"], found["found"]) == (10, 10)
    (found,) = (f for f in check(dataclasses.replace(GOOD, files=files, size_budget_mb=9)) if f["id"] == "image-size")
    assert found["outcome"] == "failed"
    assert found["reason"] == f"10 MB, budget 9 MB; largest: {site}/torch 8, {site}/numpy 2"


def test_matches_are_told_apart_and_their_text_is_not_shown() -> None:
    matches = (("/opt/venv/a", "AKIA" + "A" * 16), ("/srv/smoke/ca.pem", "CERT"))
    found = outcomes(dataclasses.replace(GOOD, matches=matches, certificates=("CERT",)))
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
    lines = patterns(site, ["AB+/"]).splitlines()
    assert r"me:s3cret\+\(x\)" in lines
    assert r"AB\+/" in lines
    assert not any("example" in line for line in lines)


def test_what_find_and_grep_print_is_read() -> None:
    listing = b"d 755 0 0 4096 2 /\0f 4755 0 1 12 9 /a b\nc\0"
    assert parse_listing(listing) == {
        "/": entry("d", 0o755, size=4096, inode=2),
        "/a b\nc": entry("f", 0o4755, "0:1", 12, 9),
    }
    assert parse_matches(b"/a:b\0x\n/c\0y:z\n") == (("/a:b", "x"), ("/c", "y:z"))


@pytest.mark.parametrize(
    "printed",
    [
        b"no listing\0",
        b"f 9999 0 0 1 1 /x\0",
        b"f 644 0 0 1 /x\0",
        b"f 644 0 0 -1 1 /x\0",
        b"f 644 0 0 %s 1 /x\0" % (b"9" * 5000),
        b"\x1b[2J\0",
        b"\0",
    ],
)
def test_what_no_find_prints_is_refused(printed: bytes) -> None:
    with pytest.raises(ContractError, match="no entry of a listing"):
        parse_listing(b"f 644 0 0 12 7 /a b\n\0" + printed)


@pytest.mark.parametrize("line", [b"\\0a  /opt/x\\ny", b"zz  /x", b"  ", b"\xff  /x", b"9" * 5000 + b"  /x"])
def test_a_sum_that_is_none_brings_nothing(line: bytes) -> None:
    assert brought(["/x"], line + b"\n", b"/x,sha256=,\n/x,sha256=None,") == frozenset()


def test_only_a_file_that_is_as_its_record_says_was_brought_by_a_distribution() -> None:
    site = "/opt/venv/lib/python3.11/site-packages"
    digest = hashlib.sha256(b"content")
    sums = "".join(f"{digest.hexdigest()}  {site}/{name}\n" for name in ("a/roots.pem", "b/mine.pem", "c/changed.pem"))
    right = base64.urlsafe_b64encode(digest.digest()).rstrip(b"=").decode()
    records = f"a/roots.pem,sha256={right},7\nc/changed.pem,sha256={'A' * 43},7\n"
    paths = [f"{site}/{name}" for name in ("a/roots.pem", "b/mine.pem", "c/changed.pem")]
    assert brought(paths, sums.encode(), records.encode()) == {paths[0]}


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
