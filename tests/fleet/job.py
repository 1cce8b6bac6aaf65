"""Stands for the checks on a machine of a lab: as long as it is told, then a result; or as ``~/behaves`` says."""

import json
import os
import platform
import signal
import sys
import time

seconds, document = float(sys.argv[1]), json.loads(sys.argv[2])
try:
    with open(os.path.expanduser("~/behaves")) as stream:
        how = stream.read().strip()
except OSError:
    how = "passed"
until = time.monotonic() + seconds
while time.monotonic() < until:
    print("conv2d passed 0.1s", flush=True)
    time.sleep(0.5)
if how == "hangs":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        signal.pause()
document["host"]["name"] = platform.node()
document["envs"][0]["outcome"] = how
os.makedirs("report")
with open("report/result.json", "w") as stream:
    json.dump(document, stream)
sys.exit(how != "passed")
