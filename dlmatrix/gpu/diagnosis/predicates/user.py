"""Predicates on what the user brought along: second copies, and settings that break the framework (rows 132 to 134)."""

from __future__ import annotations

import re

from dlmatrix.gpu.diagnosis.view import Case, Match, View, found, predicate

_CUSTOMISED = ("sitecustomize", "usercustomize")
#: smoke's words for what puts a folder on sys.path, and the tag of remedies.toml.
_WHENCE = {"installed with --user": "user_copy", "by PYTHONPATH": "path_copy"}


def _wrong(view: View) -> list[str]:
    return view.words("framework.copies.twice") + view.words("framework.copies.strangers")


def _fails(view: View) -> bool:
    """Whether it is the framework that fails: on import, or although CUDA works."""
    return not view.usable and (bool(view.text("framework.import_error")) or view.cuda_works)


def _others(view: View) -> list[View]:
    """The copies of the framework in later folders, of other versions than the one that is imported."""
    first = [row.text("version") for row in view.rows("framework.copies.providers")]
    return [row for row in view.rows("framework.copies.others") if row.text("version") not in first]


@predicate
def _second_copy(_case: Case, view: View) -> Match | None:
    first, others, wrong = view.rows("framework.copies.providers"), _others(view), _wrong(view)
    # The one that is imported cannot use a GPU, and one that can lies behind it.
    better = not view.text("framework.built_cuda") and any(row.flag("cuda") for row in others)
    # torch says so of itself, Python of any module that a program of the same name hides.
    said = re.search(r"loaded the `torch/_C` folder|partially initialized module '(?:torch|tensorflow|numpy)' has no",
                     view.text("framework.import_error"))  # fmt: skip
    # What is imported and should not be: the framework in front of another, and modules from elsewhere.
    ahead = [row.text("from") for row in first if others] + view.words("framework.copies.strangers")
    return found(
        said[0] if said else "",
        *wrong,
        *(f"{_shown(row)} is imported" for row in first if others),
        *(f"{_shown(row)} is not" + (", and has CUDA" if row.flag("cuda") else "") for row in others),
        when=_fails(view) and (wrong or others or said),
        sure=bool(wrong or better or said),
        seen=(["of_its_name"] if said else [])
        + [tag for word, tag in _WHENCE.items() if any(word in words for words in ahead)],
    )


def _shown(row: View) -> str:
    return f"{row.text('name')} {row.text('version')} in {row.text('folder')} ({row.text('from')})"


@predicate
def _mixed_installation(_case: Case, view: View) -> Match | None:
    return found(*_wrong(view), when=_wrong(view) and not _fails(view))


@predicate
def _user_setting(_case: Case, view: View) -> Match | None:
    guilty = view.get("framework.step.guilty")
    named = guilty if isinstance(guilty, dict) else {}
    shown = [
        f"{name} ({value})" if "/" in name or name in _CUSTOMISED else f"{name}={value}"
        for name, value in named.items()
    ]
    return found(
        *shown,
        f"a step of training fails with it and works without: {view.text('framework.step.problem')}",
        when=shown,
        seen=["keras_file"] if any("/" in name for name in named) else
        ["customised"] if set(named) & set(_CUSTOMISED) else [],
    )  # fmt: skip
