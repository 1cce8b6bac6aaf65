"""Predicates on what could not be looked at."""

from __future__ import annotations

from dlmatrix.gpu.diagnosis.predicates.state import busy
from dlmatrix.gpu.diagnosis.view import Case, Match, View, found, predicate


@predicate
def _pci_unreadable(_case: Case, view: View) -> Match | None:
    why = view.text("kernel.pci.error") or "no facts from the kernel"
    return found(why, when=not view.flag("kernel.pci.readable") and not view.wsl)


@predicate
def _log_unreadable(_case: Case, view: View) -> Match | None:
    why = view.text("kernel.log.error")
    return found(why, when=why)


@predicate
def _modules_unreadable(_case: Case, view: View) -> Match | None:
    why = view.text("kernel.module_files.error")
    return found(f"/lib/modules: {why}", when=why and view.gpus and not view.module_version and not view.container)


@predicate
def _no_pynvml(_case: Case, view: View) -> Match | None:
    return found(view.text("nvml.pynvml.error"), when=view.flag("nvml.pynvml.imported") is False)


@predicate
def _host_unknown(case: Case, view: View) -> Match | None:
    return found("only the container was looked at", when=case.host is None and view.container)


@predicate
def _gpu_idle(_case: Case, view: View) -> Match | None:
    devices = view.rows("nvml.devices")
    return found("no GPU is under load", when=view.cuda_works and devices and not busy(view))


@predicate
def _witness_lost(_case: Case, view: View) -> Match | None:
    lost = [f"{name}: {view.text(f'{name}.witness.detail')}" for name in ("kernel", "nvml", "cuda", "framework")
            if view.text(f"{name}.witness.status") not in ("", "ok")]  # fmt: skip
    return found(*lost, when=lost)


@predicate
def _framework_not_asked(_case: Case, view: View) -> Match | None:
    return found("no framework was named", when=view.get("framework") is None and view.cuda_works)
