"""One TensorFlow, one torch, and what is imported is what is installed.

Two distributions write into the same folder, and the last one wins by halves; a module that comes from elsewhere than
its distribution is another version than every check of versions sees.
"""

from __future__ import annotations

from smoke import copies
from smoke.context import Context, Result, failed, passed

ID = "duplicates"
KIND = "verify"
ASSERTS = "one distribution provides the framework, once in its folder, and each module is its own distribution's"
APPLIES: dict[str, tuple[str, ...]] = {}
FRESH = True


def run(context: Context) -> Result:
    """Look for every name that puts a framework's package on the path, then for second copies of all that it needs."""
    module = "torch" if context.framework == "torch" else "tensorflow"
    there = copies.seen(module)
    every = [f"{row['name']} {row['version']}" for row in there["providers"] + there["others"]]
    beside = [f"{row['name']} {row['version']}" for row in there["providers"]]
    if not beside:
        reason = f"no distribution provides {module}: pip install {context.expect.get('distribution', module)}"
        return failed(reason, "one of " + ", ".join(copies.PROVIDERS[module]), every)
    if len(beside) != 1:
        reason = f"{len(beside)} distributions provide the framework; uninstall all of them, then install one"
        return failed(reason, "one of " + ", ".join(copies.PROVIDERS[module]), beside)
    wrong, shadowed = there["twice"] + there["strangers"], there["shadowed"]
    if wrong:
        return failed("; ".join(wrong), [], wrong, shadowed=shadowed)
    return passed(every[:1] + [f"not used: {words}" for words in shadowed], shadowed=shadowed)
