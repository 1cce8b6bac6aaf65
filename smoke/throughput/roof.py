"""What the machine reaches in this framework, whatever the network: the measure of every row."""

from __future__ import annotations

from typing import Any, Callable, Iterable, Sequence

from smoke.throughput import cards

#: The matrix product that is the roof of a row's precision, as its detail names it, and what its numbers are.
PRODUCTS = {
    "fp32": ("float32", "float32"),
    "tf32": ("tf32", "float32"),
    "amp": ("float16", "float16"),
    "bf16": ("bfloat16", "bfloat16"),
}
#: Bytes of each of the two arrays of ``copy``, where an eighth of the memory is not less.
COPY_BYTES = 1 << 30
TRANSFER_BYTES = 1 << 28


class Roof:
    """One figure: run(n) of ``make`` takes n steps, each of ``amount`` units."""

    def __init__(
        self,
        name: str,
        unit: str,
        detail: str,
        amount: int,
        make: Callable[[], Callable[[int], None]],
        *,
        tf32: bool = False,
    ) -> None:
        self.name = name
        self.unit = unit
        self.detail = detail
        self.amount = amount
        self.make = make
        self.tf32 = tf32

    def described(self) -> dict[str, str]:
        """The part of its entry that is known before it is measured."""
        return {"name": self.name, "unit": self.unit, "detail": self.detail}

    def value(self, steps_per_second: float) -> float:
        """In its unit: seconds of one step for a launch, units per second for the others."""
        return 1.0 / steps_per_second if self.unit == "s" else self.amount * steps_per_second


def planned(device: str, memory: int, speed: Any, backend: Any, capability: Sequence[int] | None = None) -> list[Roof]:
    """The figures for ``cpu`` or ``cuda``; ``speed`` is the backend's module of workloads, ``memory`` the device's.

    On a GPU there is a product in every precision that a card of this compute capability has.
    """
    gpu = device == "cuda"
    size = 8192 if gpu else 2048
    precisions = [name for name in PRODUCTS if not cards.refused(name, capability)] if gpu else ["fp32"]
    found: list[Roof] = []
    make: Callable[[], Callable[[int], None]]
    for precision in precisions:
        detail, kind = PRODUCTS[precision]
        make = lambda kind=kind: speed.matmul(backend, size, kind)  # type: ignore[misc]  # noqa: E731
        words = f"{size}x{size} {detail}"
        found.append(Roof("matmul", "FLOP/s", words, 2 * size**3, make, tf32=precision == "tf32"))
    numbers = min(COPY_BYTES, memory // 8) // 4
    moved = f"{4 * numbers / 2**30:.2f} GiB added in place to as much: three times as much moved"
    found.append(Roof("copy", "B/s", moved, 12 * numbers, lambda: speed.add(backend, numbers)))
    if gpu:
        sent = f"{TRANSFER_BYTES >> 20} MiB at a time"
        make = lambda: speed.host_to_device(backend, TRANSFER_BYTES // 4)  # noqa: E731
        found.append(Roof("host_to_device", "B/s", sent, TRANSFER_BYTES, make))
    found.append(Roof("launch", "s", "one number added in place", 1, lambda: speed.launch(backend)))
    return found


def of(figures: Iterable[tuple[str, str, float]]) -> dict[str, float]:
    """{precision: FLOP/s} of [(name, detail, FLOP/s)]: what a row of that precision could reach."""
    reached = {detail.split(" ")[-1]: value for name, detail, value in figures if name == "matmul"}
    return {name: reached[detail] for name, (detail, _) in PRODUCTS.items() if detail in reached}
