"""The framework's log holds no warning or error that is not known."""

from smoke import logs
from smoke.context import failed, passed

ID = "log-clean"
KIND = "verify"
ASSERTS = "no warning or error in the framework's log that is not on the list of known ones, with its reason"
APPLIES = {}
AFTER = True


def run(context):
    """Judge the log of the whole run."""
    known, unknown = logs.judge(context.log, context.framework)
    data = {"known": known}
    if unknown:
        reason = "{} unknown line(s), the first: {}; explain it in smoke/data/known_log_lines.json or cure it"
        return failed(reason.format(len(unknown), unknown[0]), [], unknown[:20], **data)
    return passed("{} lines".format(len(context.log)), known=known)
