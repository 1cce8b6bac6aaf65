"""The cells of the matrix as others read them: JSON for machines, a table in Markdown for docs/envs.md."""

from __future__ import annotations

from collections.abc import Sequence

from dlmatrix.matrix.model import Env, Status
from dlmatrix.system.markdown import cell


def as_json(env: Env) -> dict[str, str]:
    """One cell of the matrix for machines."""
    return {
        "name": env.name,
        "session": f"{env.session}({env.short})",
        "series": env.series,
        "variant": env.variant,
        "version": env.version,
        "python": env.python,
        "status": env.status.value,
        "reason": env.reason,
    }


def as_markdown(envs: Sequence[Env]) -> str:
    """The matrix as docs/envs.md shows it: a row for each version, a column for each variant."""
    lines = ["| series | version | Python | cpu | gpu |", "|---|---|---|---|---|"]
    notes: dict[str, int] = {}
    for file in dict.fromkeys(env.file for env in envs):
        row = {env.variant: env for env in envs if env.file == file}
        cells = []
        for env in (row["cpu"], row["gpu"]):
            name = "" if env.status is Status.IMPOSSIBLE else f"`{env.name}`"
            note = f"{env.status.value} [{notes.setdefault(env.reason, len(notes) + 1)}]" if env.reason else ""
            cells.append(" ".join(filter(None, (name, note))))
        env = row["cpu"]
        lines.append(f"| {env.series} | {env.version} | {env.python} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", *(f"{number}. {cell(reason)}." for reason, number in notes.items())])
