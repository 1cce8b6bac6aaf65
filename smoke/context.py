"""What a check is given, and what it gives back."""

from __future__ import annotations

from typing import Any, Callable

from smoke import backends, blame, distributions


class Result:
    """passed, failed, skipped or error; with the reason, and what was expected and found."""

    def __init__(
        self,
        outcome: str,
        reason: str = "",
        expected: Any = None,
        found: Any = None,
        data: dict[str, Any] | None = None,
    ) -> None:
        self.outcome = outcome
        self.reason = reason
        self.expected = expected
        self.found = found
        self.data = data or {}

    def as_dict(self) -> dict[str, Any]:
        """The part of a check's entry that its run decides."""
        return dict(vars(self))


class SkipError(Exception):
    """The check does not make sense here; the text says why."""


class NoRoomError(SkipError):
    """Others hold the GPU's memory; the text says how much is free. What is skipped so has not been tried."""


class FailedError(Exception):
    """The check's verdict from deep inside it."""

    def __init__(self, reason: str, expected: Any = None, found: Any = None, **data: Any) -> None:
        super().__init__(reason)
        self.result = Result("failed", reason, expected, found, data)


def passed(found: Any = None, expected: Any = None, **data: Any) -> Result:
    """The assertion holds."""
    return Result("passed", "", expected, found, data)


def failed(reason: str, expected: Any = None, found: Any = None, **data: Any) -> Result:
    """The assertion does not hold; ``reason`` says what to do."""
    return Result("failed", reason, expected, found, data)


class Context:
    """One run inside an environment: what is expected of it, and its framework, imported once."""

    def __init__(
        self,
        framework: str,
        expect: dict[str, Any],
        threads: int,
        folder: str | None,
        record: Callable[[str, Any], object],
    ) -> None:
        self.framework = framework
        self.expect = expect
        self.threads = threads
        #: None in the parent, whose checks write nothing
        self.folder: Any = folder
        self.record = record
        self.log: list[str] = []
        #: for the checks that run in the parent: what smoke/throughput measured, a sentence why nothing, True: not yet
        self.throughput: Any = None
        #: likewise: the detection facts that the child recorded
        self.detection: dict[str, Any] | None = None
        self._memory: dict[str, tuple[Any, Exception | None]] = {}

    def once(self, key: str, make: Callable[[], Any]) -> Any:
        """The value of ``make()``, or the exception it raised, from the first call with this key."""
        if key not in self._memory:
            try:
                self._memory[key] = (make(), None)
            except Exception as raised:
                self._memory[key] = (None, raised)
        value, problem = self._memory[key]
        if problem is not None:
            raise problem
        return value

    @property
    def backend(self) -> Any:
        """The framework's adapter; Skip where it cannot be imported (the check ``imports`` fails then)."""
        try:
            return self.once("backend", lambda: backends.load(self.framework, self.threads))
        except Exception as problem:
            raise SkipError(f"the framework cannot be used, see the check imports: {blame.cause(problem)}") from problem

    def load(self) -> Any:
        """Import the framework, and let its own exception through."""
        return self.once("backend", lambda: backends.load(self.framework, self.threads))

    def want(self, key: str) -> Any:
        """A value of --expect; Skip where it was not given."""
        if key not in self.expect:
            raise SkipError(f"--expect gives no {key!r}")
        return self.expect[key]

    def distributions(self) -> dict[str, str]:
        """{normalised name: version} of what is installed."""
        return self.once("distributions", distributions.installed)

    def versions(self) -> dict[str, str]:
        """What the document names: the framework's distributions, and NumPy."""
        named = ("torch", "torchvision", "tensorflow", "tensorflow-cpu", "tensorflow-gpu", "keras", "numpy")
        found = self.distributions()
        return {name: found[name] for name in named if name in found}
