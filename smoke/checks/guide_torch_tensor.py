"""The first program of PyTorch's guides."""

from __future__ import annotations

from smoke import guides
from smoke.context import Context, Result

ID = "guide-torch-tensor"
KIND = "verify"
ASSERTS = "torch.tensor([[1, 2], [3, 4]]) prints itself"
APPLIES = {"frameworks": ("torch",)}
FRESH = True


def run(context: Context) -> Result:
    """Run it as written."""
    return guides.judge(context, "torch_tensor", "tensor([[1, 2],\n        [3, 4]])")
