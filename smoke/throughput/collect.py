"""Plan, start the processes, and put together ``document["throughput"]``. Imports no framework."""

from __future__ import annotations

import sys
import time
from typing import Any, Callable, Iterable

from smoke import document, supervise
from smoke.throughput import cards, gpus, machine, memory, networks, roof, rows, schedule, sharing, stats, windows

#: Seconds after the budget at which a process that is still at it has hung.
GRACE = 60.0


class Job:
    """What is asked for: the framework and its threads, the budget, and the rows where not all."""

    def __init__(self, framework: str, threads: int, budget: float, processes: int, named: Iterable[str] = ()) -> None:
        self.framework = framework
        self.threads = threads
        self.budget = budget
        self.processes = processes
        #: ids; the roof belongs to the whole plan only
        self.named = tuple(named)
        #: NVML's indices of the GPUs that are this run's, None where nobody has looked
        self.gpus: list[int] | None = None


class Measured:
    """The document's object, and what went wrong."""

    def __init__(self) -> None:
        self.document: dict[str, Any] | None = None
        #: [(row's id, what happened)]
        self.errors: list[tuple[str, str]] = []
        #: how the first process that went wrong ended: hang, killed or exited
        self.ended = "done"
        self.log: list[str] = []
        self.seconds = 0.0


class Collector:
    """One measuring of one framework."""

    def __init__(
        self,
        job: Job,
        report: Callable[[str], None],
        load_start: float,
        clock: Callable[[], float] = time.monotonic,
        supervised: Callable[..., supervise.Outcome] = supervise.supervise,
    ) -> None:
        self.job = job
        self.report = report
        self.load_start = load_start
        self.clock = clock
        self.supervised = supervised
        self.device = "cpu"
        self.schedule = schedule.Schedule(self._rows(None), job.processes, not job.named)
        self.roof: dict[tuple[str, str], tuple[dict[str, Any], list[list[float]]]] = {}
        self.result = Measured()

    def _rows(self, card: dict[str, Any] | None) -> list[rows.Row]:
        if self.job.named:
            return [rows.parse(name, self.job.framework) for name in self.job.named]
        return rows.planned(self.job.framework, self.device, cards.full_batch(card["memory"] if card else None))

    def _greeted(self, event: dict[str, Any]) -> None:
        """The first process has found out what there is; on a GPU that is another plan."""
        self.device = event["device"]
        if self.device == "cuda" and not self.job.named and not isinstance(self.schedule, sharing.Shared):
            planned, number = self._rows(event["card"]), self.schedule.round
            self.schedule = sharing.Shared(
                self.job.framework, planned, event["card"], processes=self.job.processes, number=number
            )
        self.schedule.add(self._rows(event.get("card")))

    def run(self) -> Measured:
        """Measure until nothing more fits; the Measured."""
        before, started = machine.Moment(self.clock), self.clock()
        with gpus.sampler(self.job.gpus) as sampled:
            going_on = True
            while going_on:
                left = self.job.budget - (self.clock() - started)
                following = self.schedule.next(left)
                going_on = following is not None and self._process(*following, left)
            self.result.document = self._document(before, machine.Moment(self.clock), sampled)
        self.result.seconds = self.clock() - started
        return self.result

    def _process(self, wanted: list[rows.Row], with_roof: bool, left: float) -> bool:
        """One fresh process; what it told is tallied. False where another is of no use."""
        words = "throughput ... process {}: {} rows, {:.0f} of {:.0f} s left"
        self.report(words.format(self.schedule.round, len(wanted), max(0.0, left), self.job.budget))
        command = [sys.executable, "-m", "smoke.throughput.process", "--framework", self.job.framework]
        command += ["--threads", str(self.job.threads), *self.schedule.arguments(wanted, left)]
        command += ["--rows", ",".join(row.id for row in wanted), *(["--roof"] if with_roof else [])]
        environ = environment(self.job.threads)
        limit = max(left, self.schedule.expected(wanted, with_roof)) + GRACE
        outcome = self.supervised(command, limit, environ, self.report)
        running, used = None, 0.0
        for event in outcome.events:
            kind = event["event"]
            running = event["id"] if kind == "begin" else None
            on_gpu = isinstance(self.schedule, sharing.Shared)
            used += event["seconds"] if kind in ("measured", "roof_done") or (on_gpu and kind == "skipped") else 0.0
            if kind == "hello":
                self._greeted(event)
            elif kind == "roof":
                key = (event["figure"]["name"], event["figure"]["detail"])
                self.roof.setdefault(key, (event["figure"], []))[1].append(event["samples"])
                if key[0] == "matmul" and key[1].endswith("float32"):
                    self.schedule.flops = schedule.ROOF_SHARE * min(event["samples"])
            elif kind == "roof_done":
                self.schedule.roofs += 1
                self.schedule.roof_seconds = event["seconds"]
            elif kind == "measured":
                self._tally(event)
            elif kind == "skipped":
                self.schedule.tallies[event["id"]].reason = event["reason"]
        if outcome.ended == "done":
            self.schedule.start_seconds = max(0.0, outcome.seconds - used)
            return True
        return self._failed(running, outcome, limit)

    def _tally(self, event: dict[str, Any]) -> None:
        tally = self.schedule.tallies[event["id"]]
        tally.samples.append(event["samples"])
        tally.fastest.append(event["fastest"])
        # Most of a long first step is compiling, which later processes need not do again.
        tally.seconds = event["seconds"] - max(0.0, event["first_step_seconds"] - schedule.ROW_SECONDS)
        if tally.first_step is None:
            tally.first_step = event["first_step_seconds"]
        tally.peaks_host.append(event["peak_host_bytes"])
        tally.peaks_device.append(event["peak_device_bytes"])

    def _failed(self, running: str | None, outcome: supervise.Outcome, limit: float) -> bool:
        """A process that did not come to its end: what it was at is not tried again, and without that nothing is."""
        why = document.how(outcome, limit, "--throughput")
        self.result.errors.append((running or "the measuring process", why))
        self.result.log += outcome.log
        if self.result.ended == "done":
            self.result.ended = outcome.ended
        if running in self.schedule.tallies:
            self.schedule.tallies[running].error = why
        elif running is not None:
            self.schedule.roofs_wanted = 0
        else:
            for tally in self.schedule.tallies.values():
                if tally.open and not tally.samples:
                    tally.error = "not reached: the measuring process " + why.split(";")[0]
        return running is not None

    def _document(
        self, before: machine.Moment, after: machine.Moment, sampled: gpus.Sampler | gpus.Nothing
    ) -> dict[str, Any]:
        cpus, others = machine.cpus(), after.others(before)
        marks = machine.marks(
            online=after.online,
            cpus=cpus,
            load_start=self.load_start,
            others=others,
            throttled=after.throttled - before.throttled,
        )
        on_gpu, entries = self.device == "cuda", self._entries()
        if any((row["roof_share"] or 0.0) > 1.0 for row in entries):
            marks.append("busy: a row was faster than the roof, so something slowed down the measuring of the roof")
        if not on_gpu:
            marks += machine.disturbed(entries)
        return {
            "budget_seconds": self.job.budget,
            "processes": self.schedule.most,
            "threads": self.job.threads,
            "settings": settings(self.device),
            "machine": {
                "cpu": machine.processor(),
                "cpus": cpus,
                "governor": machine.governor(),
                "load_start": self.load_start,
                "load_end": machine.load(),
                "others": others,
                "gpus": sampled.described() if on_gpu else [],
                "marks": marks + (sampled.marks() if on_gpu else []),
            },
            "roof": [dict(figure, value=stats.stat(samples)) for figure, samples in self.roof.values()],
            "rows": entries,
        }

    def _entries(self) -> list[dict[str, Any]]:
        roofs = roof.of((*key, stats.stat(samples)["median"]) for key, (_, samples) in self.roof.items())
        entries = []
        for tally in self.schedule.tallies.values():
            all_had = self.job.named and len(tally.samples) >= self.job.processes
            entries.append(entry(tally, self.device, roofs, self.job.budget, "" if all_had else "budget"))
        mark_best(entries)
        return entries


def entry(tally: schedule.Tally, device: str, roofs: dict[str, float], budget: float, stopped: str) -> dict[str, Any]:
    """One row of the document."""
    found = tally.row.described()
    found.update(device=device, outcome="skipped", reason=tally.error or tally.reason, images_per_second=None)
    found.update(
        samples=tally.samples,
        fastest=tally.fastest,
        stopped="",
        first_step_seconds=tally.first_step,
        roof_share=None,
        best=False,
    )
    for where in ("host", "device"):
        peaks = [peak for peak in getattr(tally, "peaks_" + where) if peak is not None]
        found[f"peak_{where}_bytes"] = min(peaks) if peaks else None
    if tally.samples and not tally.error:
        stat = stats.stat(tally.samples)
        reached = roofs.get(tally.row.precision)
        found.update(outcome="measured", reason="", images_per_second=stat)
        found["stopped"] = "narrow" if tally.narrow() else stopped
        if reached:
            found["roof_share"] = round(stat["median"] * found["flops_per_image"] / reached, 4)
    elif not found["reason"]:
        words = "the budget of {:g} s went to rows that come first; --throughput SECONDS gives more"
        found.update(reason=words.format(budget), stopped="budget")
    return found


def mark_best(entries: list[dict[str, Any]]) -> None:
    """Name the fastest mode of each model, kind, batch, precision and feed."""
    best: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in entries:
        if row["outcome"] == "measured":
            key = tuple(row[name] for name in ("model", "kind", "batch", "precision", "feed"))
            if key not in best or row["images_per_second"]["median"] > best[key]["images_per_second"]["median"]:
                best[key] = row
    for row in best.values():
        row["best"] = True


def settings(device: str = "cpu") -> dict[str, Any]:
    """What a figure means, as flat values; runs that differ in one of them are not alike."""
    found: dict[str, Any] = {
        "tf32": False,
        "window_seconds": windows.LEAST,
        "windows": windows.WINDOWS,
        "narrow": schedule.NARROW,
    }
    found["lap_seconds"] = windows.LAP
    if device == "cuda":
        short = windows.ON_GPU
        found.update(tf32="in rows named so", window_seconds=short["least"], windows=short["windows"])
        found["lap_seconds"] = short["least"]
    for network in networks.NETWORKS.values():
        rule, numbers = network.optimiser
        text = " ".join([rule, *(f"{key} {value:g}" for key, value in sorted(numbers.items()))])
        found[network.name + " optimiser"] = text
        found[network.name + " padding"] = network.padding
    found["padding"] = networks.NETWORKS["cnn"].padding
    found["operations at once"] = "tensorflow: as many as threads, torch: one"
    environ, waiting = environment(1), ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
    found.update({name: environ[name] for name in (*waiting, *memory.KEPT) if name in environ})
    return found


def environment(threads: int) -> dict[str, str]:
    """The environment of a process that measures; what the user has set stays, but what smoke/settings.py took away."""
    return dict(memory.KEPT, **supervise.environment(threads))
