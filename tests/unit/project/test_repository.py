"""What holds for the repository as a whole. Patterns are put together from pieces, so that none is found here."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from dlmatrix.matrix.model import Matrix, Status
from dlmatrix.upkeep.relock import PROJECT

#: The folders of the host side, floor by floor: a folder imports only what stands on a lower floor, and itself.
FLOORS = (
    {"errors"},
    {"system"},
    {"document"},
    {"layers"},
    {"matrix", "comparison"},
    {"inspection", "gpu"},
    {"engines"},
    {"run", "upkeep", "guides"},
    {"bundle"},
    {"fleet"},
    {"report"},
    {"cli"},
    {"__main__"},
)
#: Lines a module of the host side may have; about 250 is the aim.
LONGEST = 300

REGISTRIES = (
    *("pyp" + r"i\.org", "python" + r"hosted\.org", "download.pyt" + r"orch\.org", "anaconda" + r"\.org"),
    # docker and io alone, with a dot between, are also a Debian package.
    *("registry-1" + r"\.docker", "docker" + r"\.io/", "hub.docker" + r"\.com", "index.docker" + r"\.io"),
    *("ghcr" + r"\.io", "nvcr" + r"\.io", "quay" + r"\.io", "gcr" + r"\.io", "public.ecr" + r"\.aws"),
    *("pypi.nv" + r"idia\.com", "deb.deb" + r"ian\.org", "security.deb" + r"ian\.org", "mirror.gcr" + r"\.io"),
)
MACHINE = (
    *("/wo" + r"rk/(main|shared|\.library)", "/ro" + r"ot/", "/opt/(wh" + r"eels|py" + "pi)"),
    *(r"\bshared/(fa" + "cts|st" + "yle)", r"\.libr" + "ary/"),
)


def committed(root: Path) -> list[Path]:
    if not (root / ".git").exists():
        pytest.skip("not a git checkout: what is committed is not known")
    names = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, check=True).stdout
    return [root / name for name in names.decode().split("\0") if name and (root / name).is_file()]


def modules(root: Path, package: str) -> dict[str, Path]:
    """Dotted name, without the package's, of each module of a package."""
    found = {}
    for file in sorted((root / package).rglob("*.py")):
        parts = file.relative_to(root / package).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


def imported(file: Path) -> set[str]:
    """Every module a file names in an import, in functions and for type checkers too; with what it takes from it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            names |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
    return names


def imports_within(root: Path) -> dict[str, set[str]]:
    """Who imports whom inside dlmatrix."""
    known = modules(root, "dlmatrix")
    graph = {}
    for name, file in known.items():
        words = imported(file)
        assert not [word for word in words if word.startswith(".")], f"{file}: a relative import"
        graph[name] = {word.removeprefix("dlmatrix.") for word in words if word.startswith("dlmatrix.")} & known.keys()
        graph[name].discard(name)
    return graph


def reached(graph: dict[str, set[str]], start: str) -> set[str]:
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        for name in graph[waiting.pop()] - seen:
            seen.add(name)
            waiting.append(name)
    return seen


def test_the_patterns_find_what_they_are_for() -> None:
    samples = ("https://py" + "pi.org/simple", "docker" + ".io/library/python", "/ro" + "ot/.cache", "/wo" + "rk/main")
    for sample in samples:
        assert re.search("|".join((*REGISTRIES, *MACHINE)), sample)
    assert not re.search("|".join((*REGISTRIES, *MACHINE)), "--include=docker.io,docker-buildx")


def test_no_committed_file_names_a_registry_or_a_path_of_one_machine(root: Path) -> None:
    pattern = re.compile("|".join((*REGISTRIES, *MACHINE)))
    found = []
    for file in committed(root):
        text = file.read_bytes().decode("utf-8", "replace")
        found += [
            f"{file.relative_to(root)}:{number}: {match[0]}"
            for number, line in enumerate(text.splitlines(), 1)
            if (match := pattern.search(line))
        ]
    assert found == []


def test_every_lock_says_how_to_make_it_again(root: Path, matrix: Matrix) -> None:
    names = {env.name for env in matrix.envs} | PROJECT.keys()
    locks = sorted((root / "envs" / "locks").glob("*.txt"))
    assert locks
    for lock in locks:
        name = lock.name.removesuffix(".txt").removesuffix(".build")
        assert name in names, f"{lock.name} belongs to no env"
        head = [line.strip("# ") for line in lock.read_text(encoding="utf-8").splitlines() if line.startswith("#")]
        assert f"nox -s lock -- {name} --write" in head, lock.name


def test_every_env_has_a_lock_or_a_reason(root: Path, matrix: Matrix) -> None:
    for env in matrix.envs:
        lock = root / "envs" / "locks" / f"{env.name}.txt"
        assert lock.is_file() or env.reason, f"{env.name} has neither"
        assert not (lock.is_file() and env.status is Status.IMPOSSIBLE), f"{env.name} cannot exist, and has a lock"


def test_every_python_that_an_env_needs_has_a_base_and_no_base_is_unused(matrix: Matrix) -> None:
    assert {env.python for env in matrix.envs} <= {base.python for base in matrix.bases}


def test_imports_go_one_way(root: Path) -> None:
    floor = {folder: number for number, folders in enumerate(FLOORS) for folder in folders}
    graph = imports_within(root)
    assert {name.partition(".")[0] for name in graph} - {""} == floor.keys()
    upwards = []
    for name, found in graph.items():
        here = name.partition(".")[0]
        for other in found:
            there = other.partition(".")[0]
            if there not in ("", here) and floor[there] >= floor[here]:
                upwards.append(f"{name} imports {other}")
    assert upwards == []


def test_architecture_names_every_folder_in_its_order(root: Path) -> None:
    text = (root / "ARCHITECTURE.md").read_text(encoding="utf-8")
    order = re.findall(r"^\| `(\w+?)(?:/|\.py)` \|", text, re.MULTILINE)
    floor = {folder: number for number, folders in enumerate(FLOORS) for folder in folders}
    assert sorted(order) == sorted(floor)
    assert [floor[name] for name in order] == sorted(floor.values())


def test_no_module_imports_itself_in_a_circle(root: Path) -> None:
    graph = imports_within(root)
    assert [name for name in graph if name in reached(graph, name)] == []


@pytest.mark.parametrize(("package", "other"), [("dlmatrix", "smoke"), ("smoke", "dlmatrix")])
def test_the_two_sides_never_import_each_other(root: Path, package: str, other: str) -> None:
    for file in modules(root, package).values():
        assert not [name for name in imported(file) if name.partition(".")[0] == other], file


@pytest.mark.parametrize("module", ["docker", "pynvml"])
def test_only_engines_talk_to_docker_and_to_nvml(root: Path, module: str) -> None:
    for name, file in modules(root, "dlmatrix").items():
        assert name.startswith("engines.") or module not in {word.partition(".")[0] for word in imported(file)}, name


def test_the_noxfile_imports_nothing_that_a_bare_nox_lacks(root: Path) -> None:
    assert {name.partition(".")[0] for name in imported(root / "noxfile.py")} <= {"nox", *sys.stdlib_module_names}


def test_no_module_is_too_long_to_read_at_once(root: Path) -> None:
    lengths = {name: len(file.read_text("utf-8").splitlines()) for name, file in modules(root, "dlmatrix").items()}
    assert {name: length for name, length in lengths.items() if length > LONGEST} == {}


def test_no_shell_no_eval(root: Path) -> None:
    for package in ("dlmatrix", "smoke"):
        for file in modules(root, package).values():
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call):
                    assert not (isinstance(node.func, ast.Name) and node.func.id in {"eval", "exec"}), file
                    assert not any(word.arg == "shell" for word in node.keywords), file
                    assert ast.unparse(node.func) not in {"os.system", "os.popen"}, file


def test_no_advice_needs_nox_where_the_installed_package_gives_it(root: Path) -> None:
    """A lock is generated, and its mismatch seen, in a checkout, which has the sessions."""
    for file in modules(root, "dlmatrix").values():
        assert not re.search(r"nox -s (?!lock|reproduce -- ENV --write)", file.read_text(encoding="utf-8")), file


def test_uv_brings_no_python_where_it_only_resolves(root: Path) -> None:
    """For ``--python-version 3.14.0`` it would download that release, or try for seconds where it is not to be had."""
    never = re.compile(r"--no-python-downloads|\"UV_PYTHON_DOWNLOADS\": \"never\"")
    resolving = [file for file in (root / "dlmatrix").rglob("*.py") if '"compile"' in file.read_text(encoding="utf-8")]
    assert len(resolving) > 3
    for file in resolving:
        text = file.read_text(encoding="utf-8")
        for found in re.finditer('"compile"', text):
            assert never.search(text[max(0, found.start() - 300) : found.end() + 500]), file
