"""Second copies of a distribution or a module are named; only those that mix or mislead fail."""

import json
import os
import sys

import pytest

from smoke import copies, distributions
from smoke.checks import duplicates
from tests.unit.smoke.facts import context


def install(folder, name, version, *requires, module=None, editable=False):
    """A distribution with its module, as pip lays it out."""
    module = module or name
    place = folder / f"{name}-{version}.dist-info"
    place.mkdir(parents=True)
    lines = "".join(f"Requires-Dist: {line}\n" for line in requires)
    (place / "METADATA").write_text(f"Name: {name}\nVersion: {version}\n{lines}\n")
    (place / "RECORD").write_text(f"{module}/__init__.py,,\n{module}/data.txt,,\n../../bin/x,,\nnot-a-name.py,,\n")
    (place / "direct_url.json").write_text(json.dumps({"url": "file:///x", "dir_info": {"editable": editable}}))
    source(folder, module)


def egg(folder, name, version, *requires, in_name=True, as_file=False):
    """A distribution as Debian's packages, or an old installer, leave it."""
    place = folder / (f"{name}-{version}-py3.11.egg-info" if in_name else f"{name}.egg-info")
    said = f"Metadata-Version: 1.2\nName: {name}\nVersion: {version}\n\nwords\n"
    if as_file:
        place.write_text(said)
    else:
        place.mkdir(parents=True)
        (place / "PKG-INFO").write_text(said)
        (place / "top_level.txt").write_text(name + "\nanother\n")
        (place / "requires.txt").write_text("".join(line + "\n" for line in requires))
    source(folder, name)


def source(folder, module):
    (folder / module).mkdir(parents=True, exist_ok=True)
    (folder / module / "__init__.py").write_text("")


@pytest.fixture
def places(tmp_path, monkeypatch):
    """Three folders of sys.path, in their order."""
    made = [tmp_path / name for name in ("user", "site", "system")]
    for folder in made:
        folder.mkdir()
    for name in ("torch", "needed", "numpy"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setattr(sys, "path", [str(folder) for folder in made])
    return made


def ran():
    found = duplicates.run(context({"distribution": "torch"}))
    return found.outcome, found.reason, found


def test_one_of_each_passes(places):
    install(places[1], "torch", "2.13.0", "needed")
    install(places[1], "needed", "1.0")
    outcome, reason, found = ran()
    assert (outcome, reason, found.found) == ("passed", "", ["torch 2.13.0"])


def test_none_is_told_with_what_to_install(places):
    outcome, reason, _ = ran()
    assert (outcome, reason) == ("failed", "no distribution provides torch: pip install torch")


def test_a_copy_in_a_later_folder_is_named_and_fails_nothing(places):
    install(places[0], "numpy", "2.0")
    install(places[1], "torch", "2.13.0")
    install(places[2], "numpy", "1.26.4")
    install(places[2], "torch", "1.13.1")
    outcome, _, found = ran()
    assert outcome == "passed"
    assert [words.split(" in ")[0] for words in found.data["shadowed"]] == ["numpy 1.26.4", "torch 1.13.1"]
    assert "not used: torch 1.13.1" in str(found.found)


@pytest.mark.parametrize("name", ["torch", "needed"])
def test_two_versions_in_one_folder_fail(places, name):
    install(places[1], "torch", "2.13.0", "needed")
    install(places[1], "needed", "1.0")
    install(places[1], name, "0.9")
    outcome, reason, _ = ran()
    assert outcome == "failed"
    assert "uninstall" in reason


@pytest.mark.parametrize("name", ["torch", "needed", "numpy"])
def test_a_module_that_comes_from_elsewhere_than_its_distribution_fails(places, monkeypatch, name):
    for each in ("torch", "needed", "numpy"):
        install(places[1], each, "2.0", *(["needed"] if each == "torch" else []))
    source(places[0], name)
    monkeypatch.setenv("PYTHONPATH", str(places[0]))
    outcome, reason, _ = ran()
    assert outcome == "failed"
    assert reason.startswith(f"{name} is imported from {places[0]} (by PYTHONPATH), and {name} 2.0 is installed in")


def test_an_editable_installation_is_told_apart(places):
    install(places[1], "torch", "2.13.0", editable=True)
    source(places[0], "torch")
    assert ran()[0] == "passed"


def test_a_backport_of_what_the_standard_library_has_is_no_stranger(places, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path, os.path.dirname(os.__file__)])
    install(places[1], "torch", "2.13.0", "backport")
    install(places[1], "backport", "1.0", module="json")
    assert ran()[0] == "passed"


def test_where_a_folder_comes_from(monkeypatch, tmp_path):
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert copies.origin(str(tmp_path)) == "by PYTHONPATH"
    assert copies.origin(os.path.join(sys.prefix, "lib")) == "of this environment"
    assert copies.origin("/usr/lib/python3/dist-packages") == "of the system"
    assert copies.imported("no_such_module") == copies.imported("sys") == ""
    assert list(distributions.folders([str(tmp_path)])) == []


@pytest.mark.parametrize(("in_name", "as_file"), [(True, False), (False, False), (True, True), (False, True)])
def test_an_egg_info_is_a_distribution(places, in_name, as_file):
    egg(places[1], "numpy", "1.24.2", in_name=in_name, as_file=as_file)
    assert distributions.installed() == {"numpy": "1.24.2"}


def test_what_an_egg_info_requires_is_read(places):
    egg(
        places[1],
        "torch",
        "1.0",
        "needed>=2",
        "",
        "[fast:python_version < '99']",
        "quick",
        '[:os_name == "none"]',
        "no",
    )
    install(places[1], "needed", "1.0")
    install(places[1], "quick", "1.0")
    (folder,) = [folder for name, _, folder in distributions.folders() if name == "torch"]
    found, unread = distributions.requirements(folder)
    assert [line.name for line in found if distributions.applies(line)] == ["needed"]
    assert [line.name for line in found if distributions.applies(line, ["fast"])] == ["needed", "quick"]
    assert unread == []
    assert set(distributions.required("torch")) == {("torch", ()), ("needed", ())}


def test_a_module_of_an_egg_info_that_comes_from_elsewhere_is_told(places):
    egg(places[1], "torch", "1.0")
    source(places[0], "torch")
    outcome, reason, _ = ran()
    assert outcome == "failed"
    assert reason.startswith(f"torch is imported from {places[0]}")


def test_the_framework_behind_the_one_that_is_imported_is_told_with_whether_it_has_cuda(places):
    install(places[0], "torch", "2.13.0+cpu")
    install(places[1], "torch", "2.11.0+cu130")
    (places[1] / "torch" / "lib").mkdir()
    (places[1] / "torch" / "lib" / "libtorch_cuda.so").write_text("")
    there = copies.seen("torch")
    assert [(row["version"], row["cuda"]) for row in there["providers"]] == [("2.13.0+cpu", False)]
    assert [(row["version"], row["cuda"]) for row in there["others"]] == [("2.11.0+cu130", True)]
    assert copies.seen("tensorflow")["providers"] == []
