"""envs/ is read strictly: whatever is not understood is refused, with file, key and what to do."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from dlmatrix.errors import ConfigError, UsageError
from dlmatrix.matrix.load import load_matrix, lock_of, select
from dlmatrix.matrix.model import Matrix, Status
from dlmatrix.system.checkout import find_root
from tests.unit import hostile

BASES = f"""\
[python."3.11"]
image = "python@sha256:{"0" * 64}"
debian.suite = "bookworm"
debian.packages = ["python3"]
"""
TORCH = """\
series = "torch"
version = "2.13.0"
python = "3.11"
exclude-newer = "2026-11-01T00:00:00Z"
[cpu]
requirements = ["torch==2.13.0+cpu", "numpy"]
size-budget-mb = 1100
[gpu]
status = "impossible"
reason = "no wheels of it"
"""
CPU_END = "size-budget-mb = 1100\n"
WHEEL = f'[[cpu.wheels]]\nfile = "a-1-py3-none-any.whl"\nsha256 = "{"0" * 64}"\nrequires = []\n'


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "envs" / "locks").mkdir(parents=True)
    (tmp_path / "envs" / "bases.toml").write_text(BASES)
    (tmp_path / "envs" / "torch-2.13.toml").write_text(TORCH)
    return tmp_path


def test_the_smallest_tree_loads(tree: Path) -> None:
    cpu, gpu = load_matrix(tree).envs
    assert (cpu.name, cpu.tag, cpu.session, cpu.framework) == (
        "cpu-torch-2.13",
        "dlmatrix:cpu-torch-2.13",
        "cpu-torch",
        "torch",
    )
    assert (cpu.status, cpu.version, cpu.size_budget_mb) == (Status.SUPPORTED, "2.13.0", 1100)
    assert (gpu.status, gpu.reason, gpu.requirements) == (Status.IMPOSSIBLE, "no wheels of it", ())


@pytest.mark.parametrize(
    ("old", "new", "key", "next_step"),
    [
        ('series = "torch"', 'sereis = "torch"', "series: is missing", "rename sereis"),
        ('series = "torch"', "", "series: is missing", "add it"),
        ("[cpu]", 'note = "x"\n[cpu]', "note: is not known", "known keys: cpu, exclude-newer, gpu"),
        (CPU_END, CPU_END + 'constraint = ["a"]\n', "cpu.constraint: is not known", "did you mean constraints?"),
        ('reason = "no', 'reasons = "no', "gpu.reason: is missing", "rename reasons"),
        ('series = "torch"', 'series = "pytorch"', "series: 'pytorch' is not one of torch, tf2", "correct it"),
        ('version = "2.13.0"', 'version = "2.14.0"', "version: torch 2.14.0 does not fit", "torch-2.14.toml"),
        ('version = "2.13.0"', 'version = "2.13.x"', "version: '2.13.x' is no release", "write it like 2.13.0"),
        ('version = "2.13.0"', "version = 2.13", "version: must be a string, not 2.13", "correct it"),
        ('python = "3.11"', 'python = "3.99"', "python: no base for '3.99'", "envs/bases.toml"),
        ("2026-11-01T00:00:00Z", "2026-11-01", "exclude-newer: '2026-11-01' is no UTC time", "write it like"),
        ("2026-11-01T00:00:00Z", "2026-13-41T00:00:00Z", "exclude-newer: '2026-13-41T00:00:00Z' is no", "like"),
        ('status = "impossible"', 'status = "broken"', "gpu.status: 'broken' is not one of supported, ", "correct it"),
        ('reason = "no wheels of it"', "", "gpu.reason: is missing", "add it"),
        (CPU_END, "", "cpu.size-budget-mb: is missing", "add it"),
        (CPU_END, 'size-budget-mb = "1 GB"\n', "cpu.size-budget-mb: must be a number, not '1 GB'", "correct it"),
        (CPU_END, "size-budget-mb = true\n", "cpu.size-budget-mb: must be a number, not True", "correct it"),
        ('"numpy"]', "1]", "cpu.requirements: must be an array of strings", "correct it"),
        ('["torch==2.13.0+cpu", "numpy"]', "[]", "cpu.requirements: the first must pin", "torch==2.13.0"),
        ("torch==2.13.0+cpu", "torch", "cpu.requirements: the first must pin", "torch==2.13.0"),
        ("torch==2.13.0+cpu", "torch==2.12.0", "cpu.requirements: the first must pin", "torch==2.13.0"),
        (
            'status = "impossible"',
            'status = "impossible"\nrequirements = ["torch"]',
            "gpu.requirements: is not",
            "known",
        ),
        (CPU_END, CPU_END + 'wheels = ["a.whl"]\n', "cpu.wheels: must be an array of tables", "[[cpu.wheels]]"),
        (CPU_END, CPU_END + WHEEL.replace("a-1-", "../a-1-"), "cpu.wheels[1].file:", "correct it"),
        (CPU_END, CPU_END + WHEEL.replace("0" * 64, "0" * 63), "cpu.wheels[1].sha256:", "64 hexadecimal digits"),
        (CPU_END, CPU_END + WHEEL + "url = 1\n", "cpu.wheels[1].url: is not known", "known keys"),
        ("[cpu]", "[cpu", "not valid TOML", "correct the file"),
    ],
)
def test_what_is_not_understood_in_a_version_file_is_refused(
    tree: Path, old: str, new: str, key: str, next_step: str
) -> None:
    file = tree / "envs" / "torch-2.13.toml"
    assert old in TORCH
    file.write_text(TORCH.replace(old, new, 1))
    with pytest.raises(ConfigError) as refused:
        load_matrix(tree)
    assert refused.value.message.startswith(f"{file}: {key}")
    assert next_step in refused.value.next_step


@pytest.mark.parametrize(
    ("old", "new", "key", "next_step"),
    [
        (f"@sha256:{'0' * 64}", ":3.11-slim", 'python."3.11".image: ', "name@sha256:"),
        ("debian.suite", "debian.suit", 'python."3.11".debian.suite: is missing', "rename suit"),
        ("[python.", '[pyhton."3"]\n[python.', "pyhton: is not known", "did you mean python?"),
        ('["python3"]', '["python3"]\ndebian.extra = 1', 'python."3.11".debian.extra: is not known', "known keys"),
        (BASES, "python.x = 1", 'python."x": must be a table', "correct it"),
        (BASES, "python = 1", "python: must be a table, not 1", "correct it"),
        (BASES, "", "python: is missing", "add it"),
    ],
)
def test_what_is_not_understood_in_bases_is_refused(tree: Path, old: str, new: str, key: str, next_step: str) -> None:
    file = tree / "envs" / "bases.toml"
    file.write_text(BASES.replace(old, new, 1))
    with pytest.raises(ConfigError) as refused:
        load_matrix(tree)
    assert refused.value.message.startswith(f"{file}: {key}")
    assert next_step in refused.value.next_step


def test_a_version_file_that_is_not_text_is_refused(tree: Path) -> None:
    (tree / "envs" / "torch-2.13.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"torch-2\.13\.toml: not valid TOML"):
        load_matrix(tree)


def test_without_bases_the_message_names_the_file(tree: Path) -> None:
    (tree / "envs" / "bases.toml").unlink()
    with pytest.raises(ConfigError, match=r"bases\.toml: no such file\n  next: restore it from git"):
        load_matrix(tree)


def test_versions_are_ordered_as_versions_and_a_session_name_means_the_newest_supported(tree: Path) -> None:
    for short in ("2.9", "2.14"):
        text = TORCH.replace("2.13.0", f"{short}.0")
        if short == "2.14":
            text = text.replace("[cpu]", '[cpu]\nstatus = "unverified"\nreason = "never run"')
        (tree / "envs" / f"torch-{short}.toml").write_text(text)
    matrix = load_matrix(tree)
    assert [env.short for env in matrix.envs if env.variant == "cpu"] == ["2.9", "2.13", "2.14"]
    assert [env.name for env in select(matrix, ["cpu-torch"])] == ["cpu-torch-2.13"]


def test_a_session_with_no_supported_version_means_its_newest(tree: Path) -> None:
    assert [env.name for env in select(load_matrix(tree), ["gpu-torch"])] == ["gpu-torch-2.13"]


def test_an_env_named_twice_runs_once(tree: Path) -> None:
    names = ["cpu-torch-2.13", "cpu-torch", "gpu-torch-2.13"]
    assert [env.name for env in select(load_matrix(tree), names)] == ["cpu-torch-2.13", "gpu-torch-2.13"]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("cpu-torch-2.31", "cpu-torch-2.13"), ("cpu-trch", "cpu-torch"), ("cpu_torch_2.13", "cpu-torch-2.13")],
)
def test_an_unknown_env_suggests_the_nearest(tree: Path, typed: str, meant: str) -> None:
    with pytest.raises(UsageError) as refused:
        select(load_matrix(tree), [typed])
    assert refused.value.message == f"there is no env named {typed}"
    assert refused.value.next_step.startswith(f"did you mean {meant}? ")


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("torch", "cpu-torch"),
        ("tf1-compat", "cpu-tf1-compat"),
        ("torhc", "cpu-torch"),
        ("torch-2.13", "cpu-torch-2.13"),
        ("gpu_torch_2.13", "gpu-torch-2.13"),
        ("cpu-torch(2.13)", "cpu-torch-2.13"),
        ("cpu-tf2-2.21.0", "cpu-tf2-2.21"),
        ("cpu-torch-2.12", "cpu-torch-2.13, or cpu-torch-2.11"),
        ("gpu-torch-2.14", "gpu-torch-2.15, or gpu-torch-2.13"),
        ("cpu-torch-2.14", "cpu-torch-2.13"),  # 2.15 is impossible there
        ("cpu-torch-1.12", "cpu-torch-1.13"),
    ],
)
def test_of_the_real_matrix_the_nearest_names_are_those_that_were_meant(matrix: Matrix, typed: str, meant: str) -> None:
    with pytest.raises(UsageError) as refused:
        select(matrix, [typed])
    assert refused.value.next_step.startswith(f"did you mean {meant}? ")


def test_a_name_like_no_other_gets_no_guess(tree: Path) -> None:
    with pytest.raises(UsageError) as refused:
        select(load_matrix(tree), ["zzz"])
    assert refused.value.next_step == "`.venv/bin/python -m dlmatrix list` shows them all"


@pytest.mark.parametrize(
    ("requirements", "constraints", "says"),
    [
        ('"torch==2.13.0+cpu", "numpy"', "", None),
        ('"torch==2.13.0+cpu", "NumPy>=2,<3"', "", None),
        ('"torch==2.13.0+cpu", "numpy[dev]>=2"', "", None),
        ("""'torch==2.13.0+cpu', 'matplotlib==3.9.0; python_version < "3.11"'""", "", None),
        ('"torch==2.13.0+cpu", "matplotlib==3.9.0"', "", "'matplotlib==3.9.0': it holds no matplotlib"),
        ('"torch==2.13.0+cpu", "numpy<2"', "", "'numpy<2': it holds numpy 2.4.6"),
        ('"torch==2.13.0", "numpy"', "", "'torch==2.13.0': it holds torch 2.13.0+cpu"),
        ('"torch==2.13.0+cu130", "numpy"', "", "'torch==2.13.0+cu130': it holds torch 2.13.0+cpu"),
        ('"torch==2.13.0+cpu"', '"numpy<2.4", "absent<1"', "'numpy<2.4': it holds numpy 2.4.6"),
    ],
)
def test_a_lock_is_held_against_the_file_that_it_was_made_from(
    tree: Path, requirements: str, constraints: str, says: str | None
) -> None:
    file = tree / "envs" / "torch-2.13.toml"
    text = TORCH.replace('"torch==2.13.0+cpu", "numpy"', requirements)
    file.write_text(text.replace("[gpu]", f"constraints = [{constraints}]\n[gpu]"))
    locked = "".join(f"{name} --hash=sha256:{'0' * 64}\n" for name in ("torch==2.13.0+cpu", "numpy==2.4.6"))
    (tree / "envs" / "locks" / "cpu-torch-2.13.txt").write_text(locked)
    matrix = load_matrix(tree)
    if says is None:
        assert len(lock_of(matrix, matrix.envs[0]).entries) == 2
        return
    with pytest.raises(ConfigError) as refused:
        lock_of(matrix, matrix.envs[0])
    assert f"does not satisfy torch-2.13.toml: {says}" in refused.value.message
    assert refused.value.next_step == "generate it again: .venv/bin/nox -s lock -- cpu-torch-2.13 --write"


@pytest.mark.parametrize("text", ["\\u001b[31mred", "\\u001b]0;title\\u0007", "\\u202etxt", "one\\ntwo"])
def test_what_a_terminal_would_obey_is_refused_by_its_key(tree: Path, text: str) -> None:
    file = tree / "envs" / "torch-2.13.toml"
    file.write_text(TORCH.replace("no wheels of it", text))
    with pytest.raises(ConfigError, match=r"gpu\.reason: holds .* which cannot be shown"):
        load_matrix(tree)


def test_a_folder_where_a_file_belongs_is_refused(tree: Path) -> None:
    (tree / "envs" / "torch-9.8.toml").mkdir()
    with pytest.raises(ConfigError, match=r"torch-9.8.toml: Is a directory"):
        load_matrix(tree)


@pytest.mark.parametrize("key", ["requirements", "constraints", "build-requirements", "wheels[1].requires"])
@pytest.mark.parametrize(
    "line",
    [
        "numpy=>2",
        "--index-url https://example.invalid",
        "-e .",
        "-r /etc/passwd",
        "numpy @ https://index.example/numpy-2.4.6-py3-none-any.whl",
        'numpy; python_version ~= "3"',
        'numpy; sys_platform === "x"',
        'numpy; "x" in extras',
        f"numpy; {'(' * 3000}os_name == 'a'{')' * 3000}",
    ],
)
def test_a_requirement_that_is_none_is_refused_by_its_key(tree: Path, key: str, line: str) -> None:
    lines = [line] if key != "requirements" else ["torch==2.13.0+cpu", line]
    cell = {"requirements": ["torch==2.13.0+cpu"], "size-budget-mb": 1100, key: lines}
    if key.startswith("wheels"):
        cell["wheels"] = [{"file": "a-1-py3-none-any.whl", "sha256": "0" * 64, "requires": cell.pop(key)}]
    written(tree, cell)
    matrix = load_matrix(tree)
    with pytest.raises(ConfigError, match=rf"torch-2.13.toml: cpu.{re.escape(key)}: .* is no requirement"):
        lock_of(matrix, matrix.envs[0])


def written(tree: Path, cell: dict[str, Any]) -> None:
    head, _, gpu = TORCH.partition("[cpu]")
    text = head + "[cpu]\n" + hostile.toml(cell) + "[gpu]" + gpu.partition("[gpu]")[2]
    (tree / "envs" / "torch-2.13.toml").write_text(text)
    (tree / "envs" / "locks" / "cpu-torch-2.13.txt").write_text(f"torch==2.13.0+cpu --hash=sha256:{'0' * 64}\n")


def test_a_wheel_whose_name_is_none_is_refused_by_its_key(tree: Path) -> None:
    wheel = {"file": "a-1.whl", "sha256": "0" * 64, "requires": []}
    written(tree, {"requirements": ["torch==2.13.0+cpu"], "size-budget-mb": 1100, "wheels": [wheel]})
    matrix = load_matrix(tree)
    with pytest.raises(ConfigError, match=r"torch-2.13.toml: cpu.wheels\[1\].file: 'a-1.whl' is no wheel's name"):
        lock_of(matrix, matrix.envs[0])


@pytest.mark.parametrize("version", ["latest", "9" * 5000])
def test_a_locked_version_that_is_none_is_refused_by_its_name(tree: Path, version: str) -> None:
    lock = tree / "envs" / "locks" / "cpu-torch-2.13.txt"
    lock.write_text("".join(f"{one} --hash=sha256:{'0' * 64}\n" for one in ("torch==2.13.0+cpu", f"numpy=={version}")))
    matrix = load_matrix(tree)
    with pytest.raises(ConfigError, match=r"cpu-torch-2.13.txt: numpy is locked to .{1,80} is no version"):
        lock_of(matrix, matrix.envs[0])


def test_the_checkout_is_found_from_inside_and_from_elsewhere(tree: Path, root: Path) -> None:
    assert find_root(tree / "envs" / "locks") == tree
    assert find_root(Path("/")) == root


def test_every_lock_of_the_project_belongs_to_its_env(matrix: Matrix) -> None:
    locked = [env for env in matrix.envs if (matrix.root / "envs" / "locks" / f"{env.name}.txt").exists()]
    assert locked
    for env in locked:
        assert len(lock_of(matrix, env).entries) >= len(env.requirements)
