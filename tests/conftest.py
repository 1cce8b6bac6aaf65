"""What every test gets."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any

import pytest

from tests.image.groups import Groups


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Groups | None:
    """Image tests run beside those that they do not disturb; all others as the command says."""
    return Groups(config, log) if config.getoption("markexpr") == "image" else None


@pytest.fixture(autouse=True)
def interruptible() -> Iterator[None]:
    """A shell without job control starts its background jobs, and so their children, with SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
