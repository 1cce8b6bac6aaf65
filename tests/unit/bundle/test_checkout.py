"""What of a checkout goes into a bundle: what git knows or would take, and nothing that lies behind a link."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from dlmatrix.bundle.contents import checkout
from dlmatrix.bundle.write import in_order


@pytest.fixture
def committed(tmp_path: Path) -> Path:
    root = tmp_path / "checkout"
    (root / "folder").mkdir(parents=True)
    git = ["git", "-C", str(root), "-c", "user.name=x", "-c", "user.email=x@example.org"]
    subprocess.run([*git, "init", "--quiet"], check=True)
    for name in ("kept", "changed", "removed", "run", "folder/inside"):
        (root / name).write_text(name)
    (root / "run").chmod(0o755)
    (root / ".gitignore").write_text("ignored\n")
    (root / "known-link").symlink_to("kept")
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "--quiet", "-m", "x"], check=True)
    return root


def test_the_checkout_goes_as_it_is_less_what_git_ignores(committed: Path) -> None:
    said: list[str] = []
    assert " and changes" not in checkout(committed, said.append)[1]
    said.clear()
    (committed / "changed").write_text("otherwise")
    (committed / "removed").unlink()
    (committed / "ignored").write_text("secret")
    (committed / "new").write_text("new")
    found, commit = checkout(committed, said.append)
    assert [(one.path, one.executable) for one in in_order(found)] == [
        (".gitignore", False), ("changed", False), ("folder/inside", False), ("kept", False), ("new", False),
        ("run", True)
    ]  # fmt: skip
    assert commit.endswith(" and changes")
    assert [line.rpartition(": ")[2] for line in said if "does not know" in line] == ["new"]


def test_what_lies_behind_a_link_is_not_of_the_checkout(committed: Path, tmp_path: Path) -> None:
    (committed / "folder").rename(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "inside").write_text("another's")
    (committed / "folder").symlink_to(tmp_path / "elsewhere")
    (committed / "out").symlink_to("/etc/passwd")
    said: list[str] = []
    found, commit = checkout(committed, said.append)
    assert [one.path for one in in_order(found)] == [".gitignore", "changed", "kept", "removed", "run"]
    assert [line.rpartition(": ")[2] for line in said if "links are left out" in line] == ["folder, known-link, out"]
    assert commit.endswith(" and changes"), "a file is missing"


def test_a_link_that_git_does_not_know_is_no_change_of_what_is_carried(committed: Path) -> None:
    (committed / "out").symlink_to("/")
    assert " and changes" not in checkout(committed, lambda line: None)[1]


@pytest.mark.parametrize("name", [".venv", ".nox", ".tox", ".dlmatrix", "bundle", "reports"])
def test_a_folder_of_the_product_s_own_is_ignored_where_it_is_a_link_too(name: str, root: Path, tmp_path: Path) -> None:
    """Whoever has little room puts it on another disk."""
    subprocess.run(["git", "-C", str(tmp_path), "init", "--quiet"], check=True)
    (tmp_path / ".gitignore").write_text((root / ".gitignore").read_text())
    (tmp_path / name).symlink_to("/")
    done = subprocess.run(["git", "-C", str(tmp_path), "check-ignore", "--quiet", name], check=False)
    assert done.returncode == 0
