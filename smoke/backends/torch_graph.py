"""A whole step as one CUDA graph (PyTorch's notes on CUDA graphs, "Whole-network capture"); imports no framework."""

from __future__ import annotations

from typing import Any, Callable, Iterable

#: Steps before the capture: what is made in a first step (momenta, workspaces, plans of cuDNN) is not to be captured.
WARM_UP = 3


def captured(cuda: Any, step: Callable[[], Any], forget: Callable[[], None]) -> Callable[[], Any]:
    """A function that takes one step by replaying it.

    ``cuda`` is torch.cuda. ``step`` takes its batch from tensors that stay where they are and waits for nothing;
    ``forget`` lets go of the gradients, so that the graph's own memory holds those of the capture.
    """
    aside = cuda.Stream()
    aside.wait_stream(cuda.current_stream())
    with cuda.stream(aside):
        for _ in range(WARM_UP):
            step()
    cuda.current_stream().wait_stream(aside)
    graph = cuda.CUDAGraph()
    forget()
    with cuda.graph(graph):
        step()
    return graph.replay


def settings(known: Iterable[str]) -> dict[str, bool]:
    """The options, of those that an optimiser knows, that keep its count of steps on the GPU and launch once."""
    return {name: True for name in ("capturable", "fused") if name in known}
