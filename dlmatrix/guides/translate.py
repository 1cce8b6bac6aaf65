"""What a guide's commands become in a world without conda, GPU and mirrors: always said, no change of it."""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.version import Version

from dlmatrix.guides.classify import project, requirements, without_comment, words
from dlmatrix.guides.repair import HOLE
from dlmatrix.guides.shell import first_word

#: Projects that bring torch, whose wheel on the default index is a CUDA build of 3 GB with its libraries.
_BRING_TORCH = frozenset(
    "torch torchvision torchaudio lightning pytorch-lightning fastai timm ultralytics".split()  # noqa: SIM905
)
_INDEX = re.compile(r"(?:-i|--index-url|--extra-index-url|-f|--find-links)(?:\s+|=)(\S+)")
_CONDA = ("conda", "mamba", "micromamba")
#: conda's names of what an index calls otherwise, and what only conda has: none.
_NAMES = {
    "pytorch": "torch",
    "opencv": "opencv-python",
    "pytables": "tables",
    "py-xgboost": "xgboost",
    "tensorflow-mkl": "tensorflow",
    **dict.fromkeys(("cudatoolkit", "cudnn", "cpuonly", "pytorch-cuda", "python", "pip", "conda"), ""),
}


@dataclass(frozen=True, kw_only=True)
class Translated:
    """A command as it is run, with what was changed in it; ``left`` says why it is not run at all."""

    text: str
    notes: tuple[str, ...] = ()
    left: str = ""
    #: an environment to make, or to go into, instead of a command: its name and its Python
    env: str = ""
    python: str = ""


def translate(command: str, answers: Callable[[str], bool]) -> Translated:
    """A command for a world without conda; ``answers`` says whether an index, or a page of links, does."""
    bare = without_comment(command).strip()
    bare = re.sub(r"^sudo\s+(?:-\w+\s+)*", "", bare)
    if first_word(bare) in _CONDA or re.match(r"(?:source\s+)?activate\s+[\w.-]+$", bare):
        return _conda(bare)
    notes = []
    if re.match(r"virtualenv\s", bare):
        found = re.sub(r"^virtualenv\s+(?:-p\s+\S+\s+|--\S+\s+)*", "python -m venv ", bare)
        return Translated(text=found, notes=("virtualenv: carried out by python -m venv",))
    if re.match(r"easy_install\s", bare):
        bare = re.sub(r"^easy_install\s+", "python -m pip install ", bare)
        notes.append("easy_install: by pip, since no Python brings it today")
    for option in list(_INDEX.finditer(bare)):
        url = option[1].strip("'\"")
        if HOLE in url or not answers(url):
            why = "its address is lost" if HOLE in url else "it does not answer"
            notes.append(f"{option[0].split()[0].split('=')[0]} {url}: {why}; this site's index takes its place")
            bare = bare.replace(option[0], " ").strip()
    if re.search(r"\s--user\b", bare):
        bare = re.sub(r"\s--user\b", "", bare)
        notes.append("--user: the environment is the user's own")
    if "[and-cuda]" in bare:
        bare = bare.replace("[and-cuda]", "")
        notes.append("[and-cuda]: left out, since there is no GPU to use it")
    return Translated(text=re.sub(r" {2,}", " ", bare) if notes else bare, notes=tuple(notes))


def _conda(bare: str) -> Translated:
    listed = words(bare)
    verb = listed[1] if len(listed) > 1 else ""
    if listed[0] in ("source", "activate") or verb == "activate":
        name = listed[-1] if listed[-1] != "activate" else "base"
        return Translated(text="", env=name, notes=(f"conda: goes into the virtual environment {name}",))
    if verb == "create":
        name = next((b for a, b in itertools.pairwise(listed) if a in ("-n", "--name")), "env")
        python = next((m[1] for w in listed if (m := re.match(r"python=+(3\.\d+)", w))), "")
        more = [found for one in listed[2:] if (found := _named(one)) and found != name]
        text = f"python -m pip install {shlex.join(more)}" if more else ""
        what = f"conda: {name} is a virtual environment" + (f" of Python {python}" if python else "")
        return Translated(text=text, env=name, python=python, notes=(what,))
    if verb == "install":
        asked = [found for one in requirements(bare) if (found := _named(one))]
        if not asked:
            return Translated(text="", left="conda's own, or for a GPU: nothing to carry out")
        return Translated(text=f"python -m pip install {shlex.join(asked)}", notes=("conda install: by pip",))
    if verb == "env" and "create" in listed:
        return Translated(text="", left="unjudged: it needs the environment file of another place")
    return Translated(text="", left="conda's own: nothing to carry out")


def _named(word: str) -> str:
    """A requirement of conda's as pip writes it; empty for what an index does not have, and for options."""
    if word.startswith("-") or word in ("anaconda", "conda-forge", "defaults", "pytorch-nightly", "nvidia"):
        return ""
    plain = re.sub(r"(=[\w.*]+)=[\w.*]+$", r"\1", word.rpartition("::")[2]).removesuffix("=*")  # a build of conda's
    found = re.fullmatch(r"([\w.-]+?)(?:(=+)([\w.*]+)|([<>!~].*))?", plain)
    if not found:
        return ""
    name = _NAMES.get(found[1].lower(), found[1])
    version = (
        f"=={found[3]}{'' if found[2] == '==' or found[3].count('.') > 1 else '.*'}" if found[3] else found[4] or ""
    )
    return f"{name}{version}" if name else ""


def cpu_torch(command: str, python: str, links: tuple[Path, ...]) -> tuple[str, str]:
    """The build of torch without CUDA that a command is held to, and why it cannot be had where there is none.

    Both are empty for a command that brings no torch.
    """
    asked = [one for one in requirements(command) if project(one) in _BRING_TORCH]
    if not asked:
        return "", ""
    tag = f"cp{python.replace('.', '')}"
    wheels = [w for link in links for w in sorted(link.glob(f"torch-*+cpu-{tag}-*.whl"))]
    version = max((Version(w.name.split("-")[1]) for w in wheels if _admits(asked, w.name.split("-")[1])), default=None)
    if version is None:
        named = next((one for one in asked if project(one) == "torch"), "torch")
        return (
            "",
            f"it needs {named} without CUDA for Python {python}, which cannot be had here; its CUDA build is 3 GB",
        )
    return f"torch=={version}", ""


def _admits(asked: list[str], version: str) -> bool:
    for one in asked:
        try:
            wanted = Requirement(one)
        except InvalidRequirement:
            continue
        if wanted.name.lower() == "torch" and not wanted.specifier.contains(
            version.partition("+")[0], prereleases=True
        ):
            return str(wanted.specifier) == f"=={version}"
    return True
