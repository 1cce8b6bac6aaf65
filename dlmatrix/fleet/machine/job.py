#!/usr/bin/env python3
"""Runs on a node of a cluster, as a Slurm job: carries the checks out, and writes their end whole.

    sbatch ... job.py FOLDER ORDER

FOLDER is the node's, on the shared file system; supervisor.py lies in the folder above it. ORDER is JSON in base64:
base, command ({python}, {base} and {folder} are filled in), code (a folder to copy for this node, or nothing), limit
in seconds, attempt. Slurm is what starts this once only, and what tells of a node that died; no lock is taken, since
file systems that are shared have none at times.
"""

from __future__ import annotations

import base64
import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any


def main(place: str, packed: str) -> None:
    """Carry out an order."""
    folder, order = Path(place), json.loads(base64.b64decode(packed))
    sys.path.insert(0, str(folder.parent))
    supervisor = importlib.import_module("supervisor")  # Slurm runs a copy of this file, from a folder of its own

    supervisor.clear(folder)
    began, attempt = time.time(), order["attempt"]
    supervisor.write(
        folder / "started.json", {"attempt": attempt, "boot": supervisor.boot(), "host": os.uname().nodename}
    )
    if order["code"]:
        shutil.rmtree(str(folder / "code"), ignore_errors=True)
        shutil.copytree(order["code"].replace("{base}", order["base"]), str(folder / "code"))
    command = [word.replace("{base}", order["base"]).replace("{folder}", place) for word in order["command"]]
    command = [os.path.expanduser(word.replace("{python}", sys.executable)) for word in command]
    ended: dict[str, Any] = {"attempt": attempt, "timed_out": False, "stopped": False}
    signal.signal(signal.SIGTERM, supervisor.interrupt)
    with (folder / "log").open("ab") as log:
        job = subprocess.Popen(
            command, cwd=place, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
        try:
            job.wait(order["limit"])
        except (subprocess.TimeoutExpired, InterruptedError) as why:
            ended["stopped" if isinstance(why, InterruptedError) else "timed_out"] = True
            supervisor.end(job)
    code = job.returncode
    ended.update(exit_code=code, seconds=round(time.time() - began, 1), files=supervisor.home(folder))
    supervisor.write(folder / "ended.json", ended)
    sys.exit(code if code >= 0 else 128 - code)


if __name__ == "__main__":
    main(*sys.argv[1:])
