"""What NVML says of the GPUs while something measures: clocks, temperature, power, and why a clock was lowered."""

from __future__ import annotations

import threading
from typing import Any, Sequence

from smoke.throughput import stats

SECONDS = 0.2
#: nvml.h. Those of FAULTS are a fault of cooling or power; the cap is what the card is sold with.
REASONS = {
    0x04: "power cap",
    0x08: "hardware slowdown",
    0x20: "software thermal slowdown",
    0x40: "hardware thermal slowdown",
    0x80: "power brake",
}
FAULTS = 0xE8
#: Per cent of a GPU that others may use when the measuring starts.
BUSY = 5


class Sampler:
    """Samples the run's GPUs until it is closed; as a context manager it does so in a thread.

    ``only``: NVML's indices of those GPUs, None for all. What the others do is their users' affair, and no mark here.
    """

    def __init__(self, pynvml: Any, only: Sequence[int] | None = None) -> None:
        # They need ctypes, and so does pynvml; the supervisor, which imports this module, does without.
        from smoke.detect.nvml import Nvml
        from smoke.detect.witness import Notes

        self._ask = Nvml(pynvml, Notes())
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        every = range(self._ask("nvmlDeviceGetCount") or 0)
        #: NVML's numbers of the GPUs, in whose order the rest is
        self.indices = [index for index in every if only is None or index in only]
        self._handles = [self._ask("nvmlDeviceGetHandleByIndex", index) for index in self.indices]
        #: for each GPU: {what: [values]}
        self.seen: list[dict[str, list[Any]]] = [
            {"clock": [], "temperature": [], "power": [], "reasons": []} for _ in self._handles
        ]
        use = [self._ask("nvmlDeviceGetUtilizationRates", handle) for handle in self._handles]
        #: for each GPU: per cent used at the start
        self.used = [getattr(rates, "gpu", 0) for rates in use]

    def __enter__(self) -> Sampler:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()
        self._ask("nvmlShutdown")

    def _watch(self) -> None:
        while not self._stop.wait(SECONDS):
            self.sample()

    def sample(self) -> None:
        """Look once at every GPU."""
        ask, constants = self._ask, self._ask.pynvml
        for handle, seen in zip(self._handles, self.seen):
            milliwatts = ask("nvmlDeviceGetPowerUsage", handle)
            reasons = ask.first(
                ("nvmlDeviceGetCurrentClocksEventReasons", handle),
                ("nvmlDeviceGetCurrentClocksThrottleReasons", handle),
            )
            for name, value in (
                ("clock", ask("nvmlDeviceGetClockInfo", handle, constants.NVML_CLOCK_SM)),
                ("temperature", ask("nvmlDeviceGetTemperature", handle, constants.NVML_TEMPERATURE_GPU)),
                ("power", None if milliwatts is None else milliwatts / 1000.0),
                ("reasons", reasons),
            ):
                if value is not None:
                    seen[name].append(value)

    def described(self) -> list[dict[str, Any]]:
        """The document's entries, one for each GPU."""
        driver = _text(self._ask("nvmlSystemGetDriverVersion"))
        return [
            {
                "name": _text(self._ask("nvmlDeviceGetName", handle)) or "unknown",
                "driver": driver,
                "samples": max(len(values) for values in seen.values()),
                "clock_mhz": _range(seen["clock"]),
                "temperature_c": _range(seen["temperature"]),
                "power_w": _range(seen["power"]),
                "throttled": _words(seen["reasons"], sum(REASONS)),
            }
            for handle, seen in zip(self._handles, self.seen)
        ]

    def faults(self) -> list[list[str]]:
        """For each GPU the reasons of FAULTS that lowered its clock."""
        return [_words(seen["reasons"], FAULTS) for seen in self.seen]

    def marks(self) -> list[str]:
        """Why a GPU's figures are not to be trusted."""
        found = []
        for index, words, used in zip(self.indices, self.faults(), self.used):
            if words:
                found.append("throttled: GPU {}: {}".format(index, ", ".join(words)))
            if used > BUSY:
                found.append(f"busy: GPU {index} was used to {used} % when it started")
        return found


class Nothing:
    """In place of a Sampler where there is no NVML."""

    def __enter__(self) -> Nothing:
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def described(self) -> list[Any]:
        """No GPUs."""
        return []

    marks = described


def sampler(only: Sequence[int] | None = None) -> Sampler | Nothing:
    """A Sampler of these GPUs, where NVML answers."""
    try:
        import pynvml

        pynvml.nvmlInit()
    except Exception:
        return Nothing()
    return Sampler(pynvml, only)


def _words(reasons: list[int], mask: int) -> list[str]:
    return [word for bit, word in sorted(REASONS.items()) if bit & mask and any(value & bit for value in reasons)]


def _text(value: str | bytes | None) -> str | None:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _range(values: list[float]) -> list[float] | None:
    return [min(values), stats.median(values), max(values)] if values else None
