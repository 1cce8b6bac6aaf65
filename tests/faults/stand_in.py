"""Stands in a stage's checkout for smoke/__main__.py: passes at once, or does what the fault asks for.

A file ``acts.json`` beside it says what each env is to do; nothing else here knows the project.
"""

import json
import os
import signal
import sys

here = os.path.dirname(os.path.abspath(__file__))
if sys.argv[1:] == ["wait"]:
    signal.pause()
env = json.loads(sys.argv[sys.argv.index("--expect") + 1])["env"]
with open(os.path.join(here, "acts.json")) as stream:
    act = json.load(stream).get(env, {})
with open(os.path.join(here, "passed.json")) as stream:
    document = json.load(stream)


def say(text):
    """A line of progress."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


say("smoke: stands-in ...")
if "says" in act:
    say("smoke: " + act["says"])
if "floods" in act:
    line = "x" * 65535 + "\n"
    for _ in range(act["floods"]):
        sys.stderr.write(line)
if "measures" in act and "--later" in sys.argv:
    left = dict(document["checks"][0], id="measures", outcome="skipped", reason="later", data={"later": True})
    document["checks"].append(left)
if "measures" in act and "--only" in sys.argv:
    say("smoke: measures failed 0.1s now")
    signal.pause()
if "waits" in act:
    say("smoke: waits failed 0.1s now")
    signal.pause()
if "memory" in act:
    kept = []
    while True:
        kept.append(bytearray(1 << 24))
for key, value in act.get("changes", {}).items():
    document[key] = value
text = json.dumps(document)
if "check" in act:
    document["checks"][0].update(act["check"])
    text = json.dumps(document)
if "pads" in act:
    document["checks"][0]["data"] = {"pad": "x" * act["pads"]}
    text = json.dumps(document)
if "deep" in act:
    text = "[" * act["deep"] + "]" * act["deep"]
if "lists" in act:
    text = "[" + "[]," * (act["lists"] // 3) + "[]]"
text = act.get("prints", text)
try:
    sys.stdout.write(text)
    sys.stdout.flush()
except BrokenPipeError:
    os._exit(1)
if "kills" in act:
    os.kill(os.getpid(), act["kills"])
sys.exit(act.get("ends", 0))
