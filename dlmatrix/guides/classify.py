"""What a command of a guide is for, by its words, and whether it is one to carry out at all."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from dlmatrix.guides.shell import first_word
from dlmatrix.system.toml import read_toml

#: Kinds of steps that are carried out.
RUN = ("install", "check", "world", "program")
#: Kinds that are left out and leave the rest of the guide unjudged where it needs them; what each needs.
NEEDS = {
    "get": "the network: it fetches something that is no package",
    "docker": "a Docker engine and a registry",
    "gpu": "a GPU",
    "machine": "a machine of another architecture",
    "interactive": "a person, or a server that stays",
    "placeholder": "words that only the reader knows",
    "hole": "what was lost from the page",
    "system": "an administrator: it changes the system",
    "unknown": "a program that the guide does not install",
    "unreadable": "a reader who can make sense of it",
}
#: Why a step is of kind ``gpu`` that could be carried out: only a tab for a GPU says it.
ONLY_GPU = "it needs a GPU: only a tab for one says it"
#: Kinds that are no step for this reader.
NO_STEP = {
    "synopsis": "the general form of a command, or a list to look things up in",
    "mention": "named in a sentence, not told to do",
    "other system": "for another operating system or shell",
    "other branch": "the other way of a choice",
    "remove": "takes away again what the guide made",
    "output": "what something prints",
    "file": "the content of a file, or another language",
}
#: Never carried out, whatever it is for.
NEVER = {"destructive": "never run: it deletes, restarts, or runs what it fetches"}

_CHINESE = re.compile("[\u4e00-\u9fff]")
_TABLE = read_toml(Path(__file__).with_name("commands.toml"))
_KINDS = {kind: re.compile("|".join(patterns)) for kind, patterns in _TABLE["kinds"].items()}


#: An index whose address is lost: this site's takes its place.
_LOST_INDEX = re.compile(r"\s(?:-i|-f|--(?:extra-)?index-url|--find-links)[ =]\*{3}(?=\s|$)")


def kind_of(command: str) -> tuple[str, str]:
    """A command's kind, one of the words above, and why it is one that is left out."""
    bare = command.strip().lstrip("!%").strip()
    if _KINDS["destructive"].search(bare):
        return "destructive", NEVER["destructive"]
    simple = re.sub(
        r"^(?:env\s+(?=\w+=))?(?:\w+=\S*\s+)*(?:(?:sudo|time|nohup)\s+(?:-\w+\s+)*)*", "", without_comment(bare)
    )
    outside = re.sub(r"\"(?:\\.|[^\"\\])*\"|'[^']*'", "''", simple)
    if "***" in _LOST_INDEX.sub("", outside):
        return _needs("hole")
    if _KINDS["other system"].search(f"{simple}\n{bare}") and not simple.startswith("docker"):  # CONDA_SUBDIR=…
        return "other system", NO_STEP["other system"]
    if _KINDS["synopsis"].search(outside) and not outside.startswith(("[ ", "[[", "if ", "test ")):
        return "synopsis", NO_STEP["synopsis"]
    if _KINDS["remove"].search(simple):
        return "remove", NO_STEP["remove"]
    if _KINDS["placeholder"].search(outside) or (
        _CHINESE.search(outside) and not outside.startswith(("echo", "mkdir", "cd"))
    ):
        return _needs("placeholder")
    for kind in ("docker", "machine", "gpu", "interactive", "system"):
        if _KINDS[kind].search(simple):
            return _needs(kind)
    if _KINDS["get"].search(outside) or (
        _KINDS["install"].match(simple)
        and re.search(
            r"(?:git\+|@\s*)(?:https?|git|ssh)|\s['\"]?https?://\S+\.(?:whl|egg|zip|tar\.(?:gz|bz2))\b", simple
        )
    ):
        return _needs("get")
    for kind in ("install", "world"):
        if _KINDS[kind].search(simple):
            return kind, ""
    if re.match(r"python[\d.]*\s+(?:-[uBWO]\S*\s+)*(?:-m\s+(?!pip\b)[\w.]+|[\w./~-]+\.py\b)", simple):
        return "program", ""
    if _KINDS["check"].search(simple):
        return "check", ""
    return ("program", "") if re.match(r"(?:bash|sh|make|cmake|\./)", simple) else _needs("unknown")


def _needs(kind: str) -> tuple[str, str]:
    return kind, f"it needs {NEEDS[kind]}"


def without_comment(command: str) -> str:
    """A command less the comment behind it; quotes hold what looks like one."""
    quote = ""
    for number, sign in enumerate(command):
        if quote:
            quote = "" if sign == quote and command[number - 1] != "\\" else quote
        elif sign in "\"'":
            quote = sign
        elif sign == "#" and (number == 0 or command[number - 1].isspace()) and "\n" not in command[number:]:
            return command[:number].rstrip()
    return command


def words(command: str) -> list[str]:
    """A command's words as the shell sees them, or split at blanks where it could not."""
    try:
        lexer = shlex.shlex(without_comment(command), posix=True, punctuation_chars=";|")
        lexer.whitespace_split, lexer.commenters = True, ""
        return list(lexer)
    except ValueError:
        return without_comment(command).split()


#: Options of pip whose word behind them is no requirement.
VALUED = (
    *("-i", "--index-url", "--extra-index-url", "-f", "--find-links", "-r", "--requirement", "-c", "--constraint"),
    *("-e", "--editable", "-t", "--target", "--trusted-host", "--timeout", "--default-timeout", "--proxy", "--cert"),
    *("-n", "--name", "-p", "--prefix", "--channel", "--python-version", "--platform", "--retries"),
)


def requirements(command: str) -> list[str]:
    """What an install command asks for, less options: ``torch==2.1`` of ``pip install -U torch==2.1``."""
    listed = words(command)
    start = next((n for n, word in enumerate(listed) if word in ("install", "add", "easy_install")), len(listed))
    found, skip = [], False
    conda = first_word(command) in ("conda", "mamba", "micromamba")
    for word in listed[start + 1 :]:
        if word in ("&&", ";", "||", "|"):
            break
        if skip:
            skip = False
        elif word in VALUED or (conda and word == "-c"):
            skip = True
        elif not word.startswith("-"):
            found.append(word)
    return found


def project(requirement: str) -> str:
    """The project that a requirement asks for, less CPU and GPU: ``tensorflow`` of ``tensorflow-gpu==2.3``."""
    name = re.split(r"[\[<>=!~; @]", requirement, maxsplit=1)[0].lower().replace("_", "-")
    name = re.sub(r"\.whl$|-(?:gpu|cpu|cu\d+)$", "", name)
    return {"pytorch": "torch", "tf-nightly": "tensorflow", "sklearn": "scikit-learn"}.get(name, name)
