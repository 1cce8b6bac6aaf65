"""What training wrote down computes the same in a fresh process."""

import os
import subprocess
import sys

import numpy

from smoke import compare, digits, supervise, training
from smoke.context import failed, passed

ID = "reload"
KIND = "smoke"
ASSERTS = "the trained network, saved and restored in a fresh process, gives equal outputs"
APPLIES = {}


def run(context):
    """Save, start a process, restore there, compare its logits."""
    classifier = training.trained(context).classifier
    images = context.once("digits", digits.Digits).test_x[:100]
    expected = classifier.logits(images)
    classifier.save(context.folder)
    command = [sys.executable, "-m", "smoke.reload", context.framework, str(context.threads), context.folder]
    done = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=supervise.environment(context.threads),
        check=False,
    )
    text = done.stdout.decode("utf-8", "replace")
    print(text, end="", flush=True)
    if done.returncode != 0:
        last = text.strip().splitlines()[-1:] or [""]
        return failed("the fresh process ended with {}: {}".format(done.returncode, last[0]), 0, done.returncode)
    found = numpy.load(os.path.join(context.folder, "logits.npy"))
    size = compare.difference(found, expected)
    if not size <= 1e-6:
        return failed("the restored network computes something else: saving loses weights", "<= 1e-6", size)
    return passed({"difference": size, "same bits": bool((found == expected).all())})
