"""One adapter per framework; all take and give NumPy arrays, images as NHWC and kernels as HWIO.

A backend has
  DISTRIBUTIONS, MODES, module, versions(), build(), gpus(), precision(tf32), allocate(gpu)
  precisions(): the formats of smoke/precision.py that the device multiplies in; with tf32, precision(True) allows it
  architectures(), cudnn_compiled(), nccl(): what the build says, None or empty where it does not
  deterministic() -> (words, promised): the process's switch for deterministic operations, turned on, and whether
    the framework promises equal bits with it
  op(name, arrays, attributes, upstream, dtype, mode) -> output, {name: gradient}; without upstream no gradients
  NO_GRADIENT = {operation: the words in which the framework refuses its gradient on a CPU}, where there are any
  optimise(rule, settings, weight, gradients) -> [the weight after each step]
  decay(schedule, settings, steps) -> [the learning rate at each step]
  initial(scheme, shape, seed) -> array
  batch_norm(x, settings, steps) -> see smoke/checks/batch_norm.py
  dropout(x, rate, training, seed) -> array
  load_all(samples, batch) -> every sample that the framework's loader delivered, batch by batch
  classifier(seed, optimiser, rate, mode) -> the CNN of smoke/model.py, which has
    shapes(), weights(), assign(weights), step(x, y) -> loss, gradients(x, y) -> loss, {name: gradient},
    logits(x), save(folder), restore(folder), close()

What is timed is in a module beside it, `speed(framework)`, which has
  Workload(backend, row): parameters, run(n) takes n steps and waits for them, close()
  matmul(backend, size, kind), add(backend, size), host_to_device(backend, size), launch(backend) -> run(n)
  device_memory(backend), forget_peak(backend), peak(backend): bytes on the GPU, None where it is not said
  capability(backend): the GPU's compute capability, (major, minor), None where it is not said
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any


def load(framework: str, threads: int, at_once: int = 1) -> Any:
    """The adapter of ``torch``, ``tf1`` or ``tf2``; imports the framework and sets its threads.

    ``at_once`` is how many operations TensorFlow may run at a time; PyTorch runs one after the other.
    """
    return importlib.import_module(f"smoke.backends.{framework}_backend").Backend(threads, at_once)


def speed(framework: str) -> ModuleType:
    """What ``torch``, ``tf1`` or ``tf2`` does while it is timed."""
    return importlib.import_module(f"smoke.backends.{framework}_speed")
