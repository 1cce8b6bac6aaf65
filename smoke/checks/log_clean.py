"""The framework's log holds no warning or error that is not known."""

from __future__ import annotations

from smoke import gpu, logs
from smoke.context import Context, Result, failed, passed

ID = "log-clean"
KIND = "verify"
ASSERTS = "no warning or error in the framework's log that is neither known, with its reason, nor the machine's moment"
APPLIES: dict[str, tuple[str, ...]] = {}
AFTER = True


def run(context: Context) -> Result:
    """Judge the log of the whole run; what tells of the machine's moment alone is shown and fails nothing."""
    known, marks, unknown = logs.judge(context.log, context.framework, bool(context.expect.get("gpu")))
    full = [line for line in unknown if gpu.no_room(context.detection, line)]
    if full:
        unknown = [line for line in unknown if line not in full]
        marks["the GPU had no room: others hold its memory"] = len(full)
    data = {"known": known, "marks": marks}
    if unknown:
        reason = "{} unknown line(s), the first: {}; explain it in smoke/data/known_log_lines.json or cure it"
        return failed(reason.format(len(unknown), unknown[0]), [], unknown[:20], **data)
    shown = [f"{len(context.log)} lines"]
    shown += [f"{reason} ({count} times)" for reason, count in sorted(marks.items())]
    return passed("; ".join(shown), **data)
