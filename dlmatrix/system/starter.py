"""A process that ends with the one that started it, however that one ends."""

from __future__ import annotations

import ctypes
import os
import signal

#: PR_SET_PDEATHSIG of prctl(2)
_ON_PARENTS_DEATH = 1


def end_with(starter: int) -> None:
    """Let the kernel send this process SIGTERM when its parent, the process ``starter``, ends.

    Raises KeyboardInterrupt where that has ended already.
    """
    ctypes.CDLL(None).prctl(_ON_PARENTS_DEATH, int(signal.SIGTERM), 0, 0, 0)
    if os.getppid() != starter:
        raise KeyboardInterrupt
