"""What a user has set for programs of his own lets the framework work, too."""

from __future__ import annotations

from smoke import gpu, settings, trial
from smoke.context import Context, Result, failed, passed

ID = "user-settings"
KIND = "verify"
ASSERTS = "the user's own settings, without which all else here runs, let a small network train"
APPLIES: dict[str, tuple[str, ...]] = {}

#: Seconds for one start of the framework and a step; and for those that look for the guilty one, all together, since a
#: setting that hangs would else use up the run's own limit.
LIMIT, SEARCH = 120.0, 180.0


def run(context: Context) -> Result:
    """Where there are settings, train a step with them; where that fails, find the one without which it works."""
    taken, kept = settings.taken(), settings.kept()
    said = {"taken away": taken, "kept": kept}
    if not taken:
        return passed(said)
    context.backend.versions()
    problem = trained(context)
    if not problem:
        return passed(said)
    guilty = trial.guilty(taken, SEARCH, LIMIT, lambda name, limit: trained(context, name, limit))
    who = ", ".join(_shown(name, taken[name]) for name in guilty or sorted(taken))
    step = f"unset or correct {'it' if len(guilty) == 1 else 'them'}; the other checks ran without"
    return failed(f"with the user's own {who} the framework fails: {problem}; {step}", None, guilty, **said)


def _shown(name: str, value: str) -> str:
    return f"{name} ({value})" if name.startswith("/") else f"{name}={value}"


def trained(context: Context, left_out: str = "", limit: float = LIMIT) -> str:
    """What a step of training says, with the user's settings but one, when it fails; "" when it does not."""
    problem, text = trial.step(context.framework, settings.given_back(left_out), limit)
    if problem:
        gpu.refuse_without_room(context, text)
    return problem
