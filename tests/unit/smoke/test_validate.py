"""The small validator against jsonschema, where that is installed, and on its own."""

import copy
import json

import pytest

from smoke import validate

STAT = {"median": 1.5, "iqr": 0.1, "low": 1, "high": 2}
ROW = {
    "id": "cnn/train/session/128/fp32/device",
    "model": "cnn",
    "kind": "train",
    "mode": "session",
    "batch": 128,
    "precision": "fp32",
    "feed": "device",
    "device": "cpu",
    "outcome": "measured",
    "reason": "",
    "images_per_second": STAT,
    "samples": [[1.5, 1.6], [1.4]],
    "fastest": [1.7, 1.5],
    "stopped": "budget",
    "first_step_seconds": 0.5,
    "peak_host_bytes": 1 << 28,
    "peak_device_bytes": None,
    "flops_per_image": 15396864,
    "roof_share": 0.5,
    "best": True,
}
GPU = {
    "name": "a GPU",
    "driver": "580.95.05",
    "samples": 3,
    "clock_mhz": [1980, 1980, 1980],
    "temperature_c": [40, 41, 42],
    "power_w": None,
    "throttled": [],
}
THROUGHPUT = {
    "budget_seconds": 60.0,
    "processes": 5,
    "threads": 2,
    "settings": {"padding": "valid", "tf32": False},
    "machine": {
        "cpu": "a processor",
        "cpus": 2.0,
        "governor": None,
        "load_start": 0.4,
        "load_end": 2.1,
        "others": None,
        "gpus": [GPU],
        "marks": ["busy: load 3.2 on 2 processors when it started"],
    },
    "roof": [{"name": "matmul", "unit": "FLOP/s", "detail": "2048x2048 float32", "value": STAT}],
    "rows": [
        ROW,
        dict(ROW, outcome="skipped", reason="too large", images_per_second=None, samples=[], fastest=[], stopped="",
             first_step_seconds=None, peak_host_bytes=None, roof_share=None, best=False),
    ],
}  # fmt: skip
GOOD = {
    "schema_version": 2,
    "framework": "tf1",
    "expect": {},
    "python": "3.7.16",
    "threads": 2,
    "versions": {"numpy": "1.18.5"},
    "checks": [
        {
            "id": "a",
            "kind": "verify",
            "asserts": "x",
            "outcome": "passed",
            "reason": "",
            "expected": 1,
            "found": [1],
            "seconds": 0.5,
            "data": {},
        }
    ],
    "training": {"parameters": 225034, "epochs": [{"loss": "nan", "accuracy": 0.5}], "test_accuracy": 1},
    "throughput": THROUGHPUT,
    "parity": {
        "graph": {"logits": [[0.5]], "losses": [2.3], "gradients": {"conv1/bias": {"scale": 0.2, "samples": [0.1]}}}
    },
    "detection": None,
    "log": {"lines": 0, "tail": []},
    "seconds": 1.5,
}


def changed(path, value):
    document = copy.deepcopy(GOOD)
    target = document
    for key in path[:-1]:
        target = target[key]
    if value is KeyError:
        del target[path[-1]]
    else:
        target[path[-1]] = value
    return document


BAD = [
    changed(["schema_version"], 1),
    changed(["framework"], "jax"),
    changed(["threads"], 0),
    changed(["threads"], 1.5),
    changed(["threads"], True),
    changed(["versions", "numpy"], 1),
    changed(["checks", 0, "outcome"], "ok"),
    changed(["checks", 0, "reason"], KeyError),
    changed(["checks", 0, "seconds"], -1),
    changed(["checks", 0, "extra"], 1),
    changed(["checks"], {}),
    changed(["training", "epochs", 0, "loss"], None),
    changed(["throughput"], []),
    changed(["throughput", "rows", 0, "mode"], "fast"),
    changed(["throughput", "rows", 0, "images_per_second"], {"median": 1}),
    changed(["throughput", "rows", 0, "samples"], [1.0]),
    changed(["throughput", "rows", 0, "fastest"], [-1.0]),
    changed(["throughput", "rows", 0, "peak_host_bytes"], -1),
    changed(["throughput", "machine", "marks"], None),
    changed(["throughput", "roof", 0, "value"], None),
    changed(["parity", "graph", "losses"], "x"),
    changed(["detection"], []),
    changed(["log"], None),
    changed(["other"], 1),
]


def test_a_good_document_passes(schema):
    assert validate.problems(GOOD, schema) == []


@pytest.mark.parametrize("document", BAD, ids=range(len(BAD)))
def test_a_bad_document_is_refused(document, schema):
    assert len(validate.problems(document, schema)) >= 1


@pytest.mark.parametrize("document", [GOOD, *BAD], ids=range(len(BAD) + 1))
def test_jsonschema_agrees(document, schema):
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.Draft202012Validator.check_schema(schema)
    strict = jsonschema.Draft202012Validator(schema).is_valid(document)
    assert strict == (validate.problems(document, schema) == [])


def test_an_unknown_keyword_is_not_ignored():
    with pytest.raises(ValueError, match="maxLength"):
        validate.problems("x", {"type": "string", "maxLength": 1})


def test_a_problem_names_its_place(schema):
    problems = validate.problems(changed(["checks", 0, "outcome"], "ok"), schema)
    assert problems == ["$.checks[0].outcome is 'ok', not one of " + repr(["passed", "failed", "skipped", "error"])]
    assert json.dumps(problems)
