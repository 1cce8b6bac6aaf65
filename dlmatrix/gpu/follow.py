"""The doctor's tree on a terminal while the witnesses still answer, layer by layer; what it ends as is `show`'s."""

from __future__ import annotations

import json
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.text import Text

from dlmatrix.gpu.diagnosis.layers import LayerState, heard_states
from dlmatrix.gpu.diagnosis.view import View
from dlmatrix.gpu.show import tree_of


class Following:
    """Shows what has been heard so far of each place (host, container); nothing where there is no terminal."""

    def __init__(self, console: Console, about: str) -> None:
        self._console, self._about = console, about
        self._facts: dict[str, dict[str, Any]] = {}
        # Without a refreshing thread: it is drawn when there is news, and gone before the examination is shown whole.
        self._live = Live(console=console, transient=True, auto_refresh=False) if console.is_terminal else None

    def __enter__(self) -> Following:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._live is not None:
            self._live.stop()

    def hear(self, place: str, line: str) -> None:
        """Take a line that `smoke.detect --follow` wrote to stderr there; any other line is left alone."""
        try:
            news = json.loads(line)
        except (ValueError, RecursionError):
            return
        if self._live is None or not isinstance(news, dict) or not isinstance(news.get("witness"), str):
            return
        self._facts.setdefault(place, {})[news["witness"]] = news.get("facts")
        title = Text.assemble(("looking", "bold"), f": {self._about}")
        self._live.update(tree_of(title, self._states(), self._console), refresh=True)

    def _states(self) -> list[LayerState]:
        return [state for place, facts in self._facts.items() for state in heard_states(View(facts, place=place))]
