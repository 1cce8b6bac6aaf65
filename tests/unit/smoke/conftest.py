"""These tests run on every Python from 3.7 on, with pytest and NumPy only."""

import json
import os
import signal
import sys

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)


@pytest.fixture(autouse=True)
def interruptible():
    """As in tests/conftest.py, which is not read where smoke/ is tested alone."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def checkout():
    """The repository's root."""
    return ROOT


@pytest.fixture(scope="session")
def schema():
    with open(os.path.join(ROOT, "smoke", "schema.json")) as stream:
        return json.load(stream)
