"""Children of tests hear every signal, however the tests themselves were started."""

from __future__ import annotations

import signal


def heard() -> None:
    """What such a child does first (``preexec_fn``).

    A shell without job control starts its background jobs with SIGINT ignored, nohup what it starts with SIGHUP; a
    program that is started with a signal ignored leaves it so.
    """
    for number in (signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
