"""What a GPU is able to do, as far as rows depend on it."""

from __future__ import annotations

from typing import Sequence

#: Batches that a card may be filled with.
FULL = (256, 512, 1024, 2048)
#: Bytes that training ResNet-18 takes for each image in half precision: its activations (networks.count: 8.2 million
#: numbers, of which some are computed in place). Filled is a card of which they take half.
FULL_BYTES = 2 * 16.5e6
#: The first compute capability with the arithmetic of a precision (CUDA C++ Programming Guide, tensor cores).
SINCE = {"tf32": (8, 0), "bf16": (8, 0)}
NAMES = {"tf32": "TF32", "bf16": "bfloat16"}


def full_batch(memory: int | None) -> int:
    """The batch that fills a card of so many bytes; the smallest one where it does not say."""
    fitting = [batch for batch in FULL if batch * FULL_BYTES <= (memory or 0)]
    return max(fitting, default=FULL[0])


def refused(precision: str, capability: Sequence[int] | None) -> str:
    """Why a card of this compute capability does not compute in a precision, or nothing."""
    since = SINCE.get(precision)
    if since is None or capability is None or tuple(capability) >= since:
        return ""
    words = "{} needs compute capability {}.{}, and this card has {}.{}"
    return words.format(NAMES[precision], *since, *capability)
