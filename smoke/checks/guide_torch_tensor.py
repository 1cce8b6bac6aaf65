"""The first program of PyTorch's guides."""

from smoke import guides

ID = "guide-torch-tensor"
KIND = "verify"
ASSERTS = "torch.tensor([[1, 2], [3, 4]]) prints itself"
APPLIES = {"frameworks": ("torch",)}
FRESH = True


def run(context):
    """Run it as written."""
    return guides.judge(context, "torch_tensor", "tensor([[1, 2],\n        [3, 4]])")
