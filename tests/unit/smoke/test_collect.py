"""What is put together from what the measuring processes tell. Nothing is measured here."""

import itertools
import signal

import pytest

from smoke import document, supervise, validate
from smoke.checks import throughput as check
from smoke.context import Context, SkipError
from smoke.throughput import collect, process, rows

FIRST, SECOND = "cnn/train/eager/128/fp32/device", "cnn/infer/eager/128/fp32/device"


def told(*events, ended="done", log=(), seconds=10.0, returncode=0):
    """An Outcome of a measuring process."""
    outcome = supervise.Outcome()
    outcome.events, outcome.ended, outcome.log = list(events), ended, list(log)
    outcome.seconds, outcome.returncode = seconds, returncode
    return outcome


def measured(name, *samples, first=0.5, peak=1000):
    values = {"first_step_seconds": first, "peak_host_bytes": peak, "peak_device_bytes": None}
    return dict(values, event="measured", id=name, samples=list(samples), fastest=max(samples), seconds=3.0)


HELLO = {"event": "hello", "device": "cpu", "seconds": 2.0}


def begin(name):
    return {"event": "begin", "id": name}


def collected(outcomes, named=(FIRST, SECOND), processes=2, budget=100.0):
    """What a Collector makes of processes that end like this, one after the other, the last again and again."""
    waiting, commands, now = list(outcomes), [], itertools.count(0.0, 5.0)

    def supervised(command, limit, environ, report):
        commands.append((command, limit, environ))
        return waiting.pop(0) if len(waiting) > 1 else waiting[0]

    job = collect.Job("torch", 2, budget, processes, named)
    collector = collect.Collector(job, lambda line: None, 0.5, clock=lambda: next(now), supervised=supervised)
    found = collector.run()
    return found, commands


def by_id(found):
    return {row["id"]: row for row in found.document["rows"]}


def judged(found):
    context = Context("torch", {}, 2, None, None)
    context.throughput = found
    return check.run(context)


def assembled(found, schema):
    """The whole document is sound, whatever happened."""
    done = told()
    whole = document.assemble("torch", {}, 2, 300.0, done, measured=found, only="throughput")
    assert validate.problems(whole, schema) == []
    return whole, document.exit_code(whole, done, found)


def test_a_measuring_that_goes_well(schema):
    outcomes = [
        told(HELLO, measured(SECOND, 200.0, 202.0), measured(FIRST, 100.0, 102.0, first=0.9, peak=1500)),
        told(HELLO, measured(FIRST, 98.0, 99.0, first=0.1, peak=1200), measured(SECOND, 201.0, 201.0)),
    ]
    found, commands = collected(outcomes)
    row = by_id(found)[FIRST]
    assert (row["outcome"], row["samples"]) == ("measured", [[100.0, 102.0], [98.0, 99.0]])
    assert row["images_per_second"]["median"] == pytest.approx((101 + 98.5) / 2)
    assert row["fastest"] == [102.0, 99.0]
    # The first process's, whose caches were cold; the lowest peak.
    assert (row["first_step_seconds"], row["peak_host_bytes"]) == (0.9, 1200)
    assert (row["best"], row["roof_share"], row["stopped"]) == (True, None, "")
    assert by_id(found)[SECOND]["stopped"] == "narrow"
    assert judged(found).outcome == "passed"
    whole, code = assembled(found, schema)
    assert (code, [entry["id"] for entry in whole["checks"]]) == (0, ["throughput"])
    command, limit, environ = commands[0]
    assert command[1:3] == ["-m", "smoke.throughput.process"]
    assert "--roof" not in command
    assert limit == 95.0 + collect.GRACE
    assert environ["OMP_NUM_THREADS"] == "2"


def test_a_row_that_mostly_takes_longer_than_it_needs_marks_the_machine(schema):
    slow = dict(measured(FIRST, 100.0, 100.0), fastest=115.0)
    found, _ = collected([told(HELLO, slow)], named=(FIRST,), processes=1)
    (mark,) = found.document["machine"]["marks"]
    assert mark.startswith("disturbed: steps took 15% longer than the fastest ones")
    assembled(found, schema)
    gpu, _ = collected([told(dict(HELLO, device="cuda"), slow)], named=(FIRST,), processes=1)
    assert gpu.document["machine"]["marks"] == []


def test_the_roof_and_the_best_mode(schema):
    figure = {"name": "matmul", "unit": "FLOP/s", "detail": "2048x2048 float32"}
    other = FIRST.replace("eager", "channels_last")
    outcome = told(
        *(HELLO, measured(FIRST, 100.0, 100.0), measured(other, 120.0, 120.0)),
        *({"event": "roof", "figure": figure, "samples": [1e11]}, {"event": "roof_done", "seconds": 3.0}),
        {"event": "skipped", "id": FIRST.replace("eager", "compiled"), "reason": "torch.compile needs a compiler"},
    )
    found, commands = collected([outcome], named=(), processes=1, budget=1.0)
    assert "--roof" in commands[0][0]
    assert by_id(found)[FIRST]["roof_share"] == round(100 * 15396864 / 1e11, 4)
    assert [by_id(found)[name]["best"] for name in (FIRST, other)] == [False, True]
    assert found.document["roof"][0]["value"]["median"] == 1e11
    assert not [mark for mark in found.document["machine"]["marks"] if "roof" in mark]
    skipped = by_id(found)[FIRST.replace("eager", "compiled")]
    assert (skipped["outcome"], skipped["reason"]) == ("skipped", "torch.compile needs a compiler")
    late = by_id(found)["resnet18/train/eager/1/fp32/device"]
    assert late["reason"] == "the budget of 1 s went to rows that come first; --throughput SECONDS gives more"
    assert judged(found).outcome == "passed"
    assembled(found, schema)


def test_a_row_above_the_roof_is_marked():
    figure = {"name": "matmul", "unit": "FLOP/s", "detail": "2048x2048 float32"}
    outcome = told(HELLO, measured(FIRST, 100.0, 100.0), {"event": "roof", "figure": figure, "samples": [1e9]})
    found, _ = collected([outcome], named=(), processes=1, budget=1.0)
    assert [mark for mark in found.document["machine"]["marks"] if "faster than the roof" in mark]


def test_a_gpu_brings_the_rows_that_only_it_has(schema):
    card = {"memory": 80 << 30, "capability": [7, 5]}
    figures = [{"name": "matmul", "unit": "FLOP/s", "detail": "8192x8192 " + kind} for kind in ("float32", "float16")]
    name = "resnet18/train/eager/128/{}/device"
    outcome = told(
        *(dict(HELLO, device="cuda", card=card), measured(name.format("fp32"), 100.0, 100.0)),
        measured(name.format("amp"), 200.0, 200.0),
        *({"event": "roof", "figure": figures[0], "samples": [1e13]}, {"event": "roof_done", "seconds": 3.0}),
        {"event": "roof", "figure": figures[1], "samples": [8e13]},
    )
    found, commands = collected([outcome], named=(), processes=1, budget=1.0)
    assert commands[0][0][commands[0][0].index("--share") + 1] == "1"
    assert {row["device"] for row in found.document["rows"]} == {"cuda"}
    row = by_id(found)
    flops = row[name.format("fp32")]["flops_per_image"]
    # Each by the roof of its own precision.
    assert row[name.format("fp32")]["roof_share"] == round(100 * flops / 1e13, 4)
    assert row[name.format("amp")]["roof_share"] == round(200 * flops / 8e13, 4)
    assert row[name.format("bf16")]["reason"] == "bfloat16 needs compute capability 8.0, and this card has 7.5"
    assert "resnet18/train/channels_last/2048/amp/device" in row
    assert found.document["settings"]["tf32"] == "in rows named so"
    assert found.document["processes"] == 1
    assembled(found, schema)


def test_named_rows_on_a_gpu_are_measured_as_named():
    outcome = told(dict(HELLO, device="cuda", card={"memory": None, "capability": None}), measured(FIRST, 1.0, 1.0))
    found, commands = collected([outcome], named=(FIRST,), processes=2)
    assert [len(row["samples"]) for row in found.document["rows"]] == [2]
    assert not {"--share", "--costs"} & set(commands[1][0])


@pytest.mark.parametrize(
    ("ended", "returncode", "words", "code"),
    [
        ("hang", -9, "did not finish within", 13),
        ("killed", -int(signal.SIGSEGV), "killed by SIGSEGV", 14),
        ("exited", 1, "ended with exit code 1 before it was through; last line of its log: ValueError: bad", 1),
    ],
)
def test_a_process_that_goes_wrong_names_its_row_and_the_others_go_on(ended, returncode, words, code, schema):
    bad = told(HELLO, begin(SECOND), ended=ended, returncode=returncode, log=["ValueError: bad"])
    good = told(HELLO, begin(FIRST), measured(FIRST, 100.0, 101.0))
    found, commands = collected([bad, good, good])
    assert [name for name, _ in found.errors] == [SECOND]
    assert SECOND not in " ".join(commands[1][0])
    assert by_id(found)[FIRST]["outcome"] == "measured"
    assert by_id(found)[SECOND]["outcome"] == "skipped"
    assert words in by_id(found)[SECOND]["reason"]
    verdict = judged(found)
    assert verdict.outcome == "error"
    assert verdict.reason.startswith(SECOND + ": ")
    whole, ended_with = assembled(found, schema)
    assert ended_with == code
    assert whole["log"]["tail"] == ["ValueError: bad"]


def test_a_framework_that_does_not_start_is_tried_once(schema):
    found, commands = collected([told(ended="exited", returncode=1, log=["ImportError: no"])])
    assert len(commands) == 1
    assert judged(found).reason.startswith("the measuring process: ended with exit code 1")
    assembled(found, schema)


def test_a_process_that_dies_between_two_rows_takes_none_with_it(schema):
    found, commands = collected([told(HELLO, begin(FIRST), measured(FIRST, 1.0, 1.0), ended="killed", returncode=-9)])
    assert len(commands) == 1
    assert by_id(found)[FIRST]["outcome"] == "measured"
    assert judged(found).reason.startswith("the measuring process: killed by SIGKILL")
    assembled(found, schema)


def test_an_error_in_the_roof_is_named_and_rows_go_on(schema):
    bad = told(HELLO, measured(FIRST, 1.0, 1.0), begin("roof/copy"), ended="exited", returncode=1)
    good = told(HELLO, measured(FIRST, 1.0, 1.0))
    found, commands = collected([bad, good], named=(), processes=2, budget=40.0)
    assert found.errors[0][0] == "roof/copy"
    assert "--roof" not in commands[1][0]
    assert by_id(found)[FIRST]["outcome"] == "measured"
    assembled(found, schema)


def test_nothing_measured_is_a_skip_with_its_reason():
    with pytest.raises(SkipError, match="--throughput 0"):
        judged("not asked for: --throughput 0")


class InvalidCxxCompilerError(Exception):
    """As torch._inductor words it."""

    def __str__(self):
        return "No working C++ compiler found in torch._inductor.config.cpp.cxx: (None, 'g++')\nsee the notes"


class OutOfMemoryError(RuntimeError):
    """As torch.cuda names it."""


@pytest.mark.parametrize(
    ("problem", "mode", "reason"),
    [
        (SkipError("came with 2.0"), "compiled", "came with 2.0"),
        (InvalidCxxCompilerError(), "compiled", "torch.compile needs a C++ compiler, which is not here: InvalidCxxC"),
        (RuntimeError("Dynamo is not supported"), "compiled", "torch.compile does not work here: RuntimeError: Dynamo"),
        (ValueError("\n\nXLA\nlong"), "jit", "jit_compile does not work here: ValueError: XLA"),
        (OutOfMemoryError("CUDA out of memory"), "eager", "batch 128 does not fit in the memory that is there: OutOfM"),
        (
            RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
            "eager",
            "batch 128 does not fit in the memory that is there: RuntimeErr",
        ),
        (RuntimeError("cuDNN error: CUDNN_STATUS_NOT_INITIALIZED"), "eager", None),
        (ValueError("a defect"), "eager", None),
        (
            RuntimeError("operation not permitted when stream is capturing"),
            "cuda_graph",
            "a CUDA graph does not work h",
        ),
        (process.WrongNetworkError("cnn has 1 parameters instead of 225034"), "compiled", None),
    ],
)
def test_why_a_row_cannot_be_measured(problem, mode, reason):
    framework = "tf2" if mode == "jit" else "torch"
    found = process.refusal(problem, rows.parse(f"cnn/train/{mode}/128/fp32/device", framework))
    assert found == reason if reason is None else found.startswith(reason)


@pytest.mark.parametrize(
    "words",
    [
        "No OpKernel was registered to support Op 'Conv2D' used by {{node Conv2D}} with these attrs: [T=DT_BFLOAT16]",
        "Could not find device for node: {{node Conv2D}}\nAll kernels registered for op Conv2D:\n",
        "\"slow_conv2d_forward\" not implemented for 'BFloat16'",
    ],
)
def test_a_framework_without_kernels_for_bfloat16_is_a_skip_and_for_float32_an_error(words):
    name = "resnet18/train/eager/128/{}/device"
    found = process.refusal(RuntimeError(words), rows.parse(name.format("bf16"), "torch"))
    assert found.startswith("this framework has no bfloat16 kernel for it: RuntimeError: ")
    assert process.refusal(RuntimeError(words), rows.parse(name.format("fp32"), "torch")) is None
