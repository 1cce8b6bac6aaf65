"""A GPU whose memory others hold is a skip that says how much is free; out of memory on an empty one is a fault."""

import pytest

from smoke import catalog, child, gpu, guides, interpreter
from smoke.checks import log_clean, training_reload
from smoke.context import Context, NoRoomError
from tests.unit.smoke.test_gpu_facts import GPU, witnesses

#: torch 2.11 with cuBLAS and cuDNN, TensorFlow 2.15, and what TensorFlow's allocator writes beside it.
WORDS = [
    "CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of 79.18 GiB",
    "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    "OOM when allocating tensor with shape[64,32,24,24] and type float on /job:localhost/replica:0/task:0/device:GPU:0",
    "Failed copying input tensor from CPU:0 to GPU:0 in order to run _EagerConst: Dst tensor is not initialized.",
]
LOG = [
    "2023-04-23 01:00:16.820335: W tensorflow/core/common_runtime/bfc_allocator.cc:479] Allocator (GPU_0_bfc) ran out "
    "of memory trying to allocate 560.44MiB (rounded to 587661312)requested by op _EagerConst",
    "2023-04-23 01:00:16.820345: W tensorflow/core/common_runtime/bfc_allocator.cc:491] ****************___xxxx",
]
FULL, EMPTY = 300 << 20, 79 << 30


def refusing(words, free, expect=GPU):
    """A context, and in it a check that the framework refuses in these words."""
    context = Context("torch", expect, 1, None, None)

    class Computing:
        """A check that computes on the GPU."""

        ID, KIND, ASSERTS, APPLIES = "computing", "smoke", "it computes", {}

        @staticmethod
        def run(context):
            raise RuntimeError(words)

    context.check = catalog.Check(Computing)
    context.once("detection", lambda: witnesses(8, 1, 1, free=free))
    return context


def one(context):
    return child.one(context.check, context)


@pytest.mark.parametrize("words", WORDS)
def test_without_room_a_check_is_skipped(words, capfd):
    found = one(refusing(words, FULL))
    assert (found["outcome"], found["data"]) == ("skipped", {"no_room": True})
    assert found["reason"].startswith("300 of 81920 MiB free")
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize("words", WORDS)
def test_out_of_memory_with_room_is_a_fault(words, capfd):
    assert one(refusing(words, EMPTY))["outcome"] == "error"
    assert "Traceback" in capfd.readouterr().err


def test_a_full_gpu_excuses_nothing_else():
    assert one(refusing("CUDA error: an illegal memory access was encountered", FULL))["outcome"] == "error"
    assert one(refusing(WORDS[0], FULL, expect={"gpu": False}))["outcome"] == "error"


def test_a_card_with_four_gigabytes_has_room():
    assert gpu.no_room(witnesses(1, 1, 1, free=int(3.4 * 2**30)), WORDS[0]) is None


def test_without_nvml_nothing_is_excused():
    assert gpu.no_room(witnesses(None, 1, 1), WORDS[0]) is None


@pytest.mark.parametrize(("free", "outcome"), [(FULL, "passed"), (EMPTY, "failed")])
def test_the_log_of_a_full_gpu_is_a_mark(free, outcome):
    context = Context("tf2", GPU, 1, None, None)
    context.log, context.detection = LOG, witnesses(1, 1, 1, free=free)
    found = log_clean.run(context)
    assert found.outcome == outcome
    assert outcome == "failed" or list(found.data["marks"].values()) == [2]


def test_the_process_that_restores_finds_no_room_either(monkeypatch, tmp_path, capfd):
    context = refusing("", FULL)
    context.folder = str(tmp_path)
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\necho 'torch.OutOfMemoryError: CUDA out of memory.'\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setattr(interpreter.sys, "executable", str(program))

    class Classifier:
        def weights(self):
            return {}

        def logits(self, images):
            return images

        def save(self, folder):
            assert folder

    context.once("trained", lambda: type("Trained", (), {"classifier": Classifier()}))
    found = child.one(catalog.Check(training_reload), context)
    assert (found["outcome"], found["data"]) == ("skipped", {"no_room": True})
    assert "OutOfMemoryError" not in capfd.readouterr().out


def test_a_guides_program_finds_no_room_either(monkeypatch):
    context = refusing("", FULL)
    context.once("backend", lambda: type("Backend", (), {"versions": staticmethod(dict)}))
    last = "tensorflow.python.framework.errors_impl.InternalError: Dst tensor is not initialized."
    monkeypatch.setattr(guides, "run", lambda program: (1, "", last))
    with pytest.raises(NoRoomError, match="300 of 81920 MiB free"):
        guides.judge(context, "eager_add", "3")
