"""What the machine reaches in this framework, whatever the network: the measure of every row."""

#: Bytes of each of the two arrays of ``copy``, where an eighth of the memory is not less.
COPY_BYTES = 1 << 30
TRANSFER_BYTES = 1 << 28


class Roof:
    """One figure: run(n) of ``make`` takes n steps, each of ``amount`` units."""

    def __init__(self, name, unit, detail, amount, make):
        self.name = name
        self.unit = unit
        self.detail = detail
        self.amount = amount
        self.make = make

    def described(self):
        """The part of its entry that is known before it is measured."""
        return {"name": self.name, "unit": self.unit, "detail": self.detail}

    def value(self, steps_per_second):
        """In its unit: seconds of one step for a launch, units per second for the others."""
        return 1.0 / steps_per_second if self.unit == "s" else self.amount * steps_per_second


def planned(device, memory, speed, backend):
    """The figures for ``cpu`` or ``cuda``; ``speed`` is the backend's module of workloads, ``memory`` the device's."""
    gpu = device == "cuda"
    size = 8192 if gpu else 2048
    kinds = ("float32", "float16") if gpu else ("float32",)
    found = [
        Roof(
            "matmul",
            "FLOP/s",
            "{0}x{0} {1}".format(size, kind),
            2 * size**3,
            lambda half=kind == "float16": speed.matmul(backend, size, half),
        )
        for kind in kinds
    ]
    numbers = min(COPY_BYTES, memory // 8) // 4
    moved = "{:.2f} GiB added in place to as much: three times as much moved".format(4 * numbers / 2**30)
    found.append(Roof("copy", "B/s", moved, 12 * numbers, lambda: speed.add(backend, numbers)))
    if gpu:
        sent = "{} MiB at a time".format(TRANSFER_BYTES >> 20)
        make = lambda: speed.host_to_device(backend, TRANSFER_BYTES // 4)  # noqa: E731
        found.append(Roof("host_to_device", "B/s", sent, TRANSFER_BYTES, make))
    found.append(Roof("launch", "s", "one number added in place", 1, lambda: speed.launch(backend)))
    return found
