"""What the framework's metadata requires is installed, and so is what that requires."""

from __future__ import annotations

from smoke import distributions
from smoke.context import Context, Result, failed, passed
from smoke.requirement import normalised

ID = "requirements"
KIND = "verify"
ASSERTS = (
    "whatever the framework requires is installed within the ranges asked for, extras followed, and fits its users"
)
APPLIES: dict[str, tuple[str, ...]] = {}


def run(context: Context) -> Result:
    """Judge each line of metadata: of all that the framework needs, and of whoever else asks for a part of that.

    What two other distributions ask of each other is no matter of the framework's: it is named, and fails nothing.
    """
    name, installed = context.want("distribution"), context.distributions()
    own = normalised(name)
    if own not in {found for found, _, _ in distributions.folders()}:
        return failed(f"{name} is not installed: its metadata is nowhere on sys.path", name, None)
    needed = distributions.required(name)
    extras: dict[str, tuple[str, ...]] = {}
    for who, asked in needed:
        extras[who] = (*extras.get(who, ()), *asked)
    judged = []
    wrong: list[str] = []
    elsewhere: list[str] = []
    unread: list[str] = []
    seen: set[str] = set()
    for who, _, folder in distributions.folders():
        if who in seen:
            continue
        seen.add(who)
        lines, unreadable = distributions.requirements(folder)
        unread += [f"{who}: {line}" for line in unreadable]
        for line in lines:
            if not distributions.applies(line, extras.get(who, ())):
                continue
            judged.append(line)
            problem = distributions.told(line, installed, "" if who == own else who)
            ours = wrong if who in extras or line.name in extras else elsewhere
            if problem and problem not in ours:
                ours.append(problem)
    data = {"elsewhere": elsewhere, "unread": unread}
    if wrong:
        return failed(
            "{}; install what is required, or all of it anew from its lock".format("; ".join(wrong)),
            None,
            wrong,
            **data,
        )
    shown = [f"{len(judged)} requirements of {len(seen)} distributions"]
    return passed("; ".join(shown + [f"not the framework's: {problem}" for problem in elsewhere]), **data)
