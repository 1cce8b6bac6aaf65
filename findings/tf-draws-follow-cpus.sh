#!/usr/bin/env bash
# TensorFlow's seeded draws and the number of CPUs.
#
# Guess, written down before the first run: a seed and `enable_op_determinism()` make every operation on the CPU equal
# on any number of threads. After the first run, which showed otherwise for `tf.random.categorical`, a second one:
# that is its state; the functions called stateless, whose result is to follow from seed and shape, are equal.
#
# Seen (tensorflow-cpu 2.21.0, keras 3.15.1, CPython 3.11, x86-64), with both: `tf.random.categorical`,
# `tf.random.stateless_categorical`, `keras.random.categorical` and `stateless_parameterized_truncated_normal` draw
# other samples, not other last bits: of 4096 rows of categories seven in eight differ between one thread and two, and
# the first eighth is equal. Nothing needs to be set for that: a process that may use one processor (taskset, a
# cpuset) draws otherwise than one with two. Runs on equal numbers of threads are equal. normal, uniform,
# truncated_normal, gamma, Poisson, binomial, dropout and shuffle are equal on any number.
#
# Usage: [PYTHON=python3.11] findings/tf-draws-follow-cpus.sh     About 300 MB from the package index, one minute.
# Exit code: 0 seen as above, 1 it has changed, 2 it cannot be tried here.
set -euo pipefail

python=${PYTHON:-python3}
"$python" -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12), (3, 13)))' || {
  echo "these versions need Python 3.11 to 3.13: set PYTHON" >&2
  exit 2
}
temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT
"$python" -m venv "$temp/venv"
"$temp/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  tensorflow-cpu==2.21.0 keras==3.15.1 numpy==2.4.6 protobuf==7.36.2 ml-dtypes==0.6.0 h5py==3.14.0 || exit 2

cat > "$temp/draw.py" <<'PYTHON'
"""Draw with one seed on THREADS threads (0: as many as TensorFlow takes by itself) and keep it in FILE."""
import sys

import keras
import numpy as np
import tensorflow as tf

threads, file = int(sys.argv[1]), sys.argv[2]
if threads:
    tf.config.threading.set_intra_op_parallelism_threads(threads)
tf.config.experimental.enable_op_determinism()
tf.keras.utils.set_random_seed(1)
even = tf.zeros([4096, 10])
hundred = [tf.fill([100], value) for value in (0.0, 1.0, -3.0, 0.5)]
np.savez(
    file,
    **{
        "tf.random.categorical": tf.random.categorical(even, 4, seed=5),
        "tf.random.stateless_categorical": tf.random.stateless_categorical(even, 4, [1, 2]),
        "keras.random.categorical": keras.random.categorical(even, 4, seed=3),
        "tf.random.stateless_parameterized_truncated_normal": tf.random.stateless_parameterized_truncated_normal(
            [4096, 100], [1, 2], *hundred
        ),
        "tf.random.normal": tf.random.normal([4096, 10], seed=5),
        "tf.random.uniform": tf.random.uniform([4096, 10], seed=5),
        "tf.random.truncated_normal": tf.random.truncated_normal([4096, 10], seed=5),
        "tf.random.stateless_gamma": tf.random.stateless_gamma([4096, 10], [1, 2], 0.7),
        "tf.random.stateless_poisson": tf.random.stateless_poisson([4096, 10], [1, 2], 5.0),
        "tf.random.stateless_binomial": tf.random.stateless_binomial([4096, 10], [1, 2], 40.0, 0.3),
        "keras.random.dropout": keras.random.dropout(tf.ones([4096, 10]), 0.3, seed=3),
        "keras.random.shuffle": keras.random.shuffle(tf.range(4096), seed=3),
    },
)
PYTHON

cat > "$temp/compare.py" <<'PYTHON'
"""Hold the draws in a folder against each other and against what was seen."""
import sys

import numpy as np

FOLLOW = {
    "tf.random.categorical",
    "tf.random.stateless_categorical",
    "keras.random.categorical",
    "tf.random.stateless_parameterized_truncated_normal",
}
folder = sys.argv[1]
one, again, two, eight = (np.load(f"{folder}/{name}.npz") for name in ("1", "1-again", "2", "8"))
changed = []


def rows(a, b):
    """The share of rows (first axis) that differ."""
    return float((a != b).reshape(len(a), -1).any(axis=1).mean())


print(f"{'rows that differ':52}1, again   1 and 2   1 and 8")
for name in one.files:
    shares = [rows(one[name], other[name]) for other in (again, two, eight)]
    print(f"{name:52}" + "".join(f"{share:8.1%}  " for share in shares))
    if shares[0] or (min(shares[1:]) < 0.5 if name in FOLLOW else any(shares)):
        changed.append(name)
eighth = len(one["tf.random.categorical"]) // 8
for name in sorted(FOLLOW - {"tf.random.stateless_parameterized_truncated_normal"}):
    if rows(one[name][:eighth], two[name][:eighth]):
        changed.append(f"{name}: the first eighth")
if len(sys.argv) > 2:
    alone, pair = (np.load(f"{folder}/cpus-{count}.npz") for count in (1, 2))
    share = rows(alone["tf.random.stateless_categorical"], pair["tf.random.stateless_categorical"])
    print(f"stateless_categorical, nothing set, one processor and two: {share:.1%} of the rows differ")
    if share < 0.5:
        changed.append("stateless_categorical with one processor and two")
sys.exit(f"changed: {', '.join(changed)}" if changed else 0)
PYTHON

export TF_CPP_MIN_LOG_LEVEL=3 CUDA_VISIBLE_DEVICES=
"$temp/venv/bin/python" -m pip list --disable-pip-version-check | grep -E '^(tensorflow|keras|numpy)'
# draw THREADS NAME [COMMAND...]: keep the draws as NAME.npz; COMMAND starts Python.
draw() {
  "${@:3}" "$temp/venv/bin/python" "$temp/draw.py" "$1" "$temp/$2.npz" 2> "$temp/log" || { cat "$temp/log" >&2; exit 1; }
}
draw 1 1
draw 1 1-again
draw 2 2
draw 8 8
read -r first second _ <<< "$("$python" -c 'import os; print(*sorted(os.sched_getaffinity(0)))')"
asked=()
if [ -n "$second" ] && command -v taskset > /dev/null; then
  draw 0 cpus-1 taskset -c "$first"
  draw 0 cpus-2 taskset -c "$first,$second"
  asked=(cpus)
fi
"$temp/venv/bin/python" "$temp/compare.py" "$temp" "${asked[@]}"
