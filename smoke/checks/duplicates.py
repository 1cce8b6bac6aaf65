"""One TensorFlow, one torch, and what is imported is what is installed.

Two distributions write into the same folder, and the last one wins by halves; a module that comes from elsewhere than
its distribution is another version than every check of versions sees.
"""

from __future__ import annotations

from smoke import copies, distributions
from smoke.context import Context, Result, failed, passed

ID = "duplicates"
KIND = "verify"
ASSERTS = "one distribution provides the framework, once in its folder, and each module is its own distribution's"
APPLIES: dict[str, tuple[str, ...]] = {}
FRESH = True

PROVIDERS = {
    "torch": ("torch",),
    "tensorflow": (
        "tensorflow",
        "tensorflow-cpu",
        "tensorflow-gpu",
        "tensorflow-intel",
        "tensorflow-rocm",
        "intel-tensorflow",
        "nvidia-tensorflow",
        "tf-nightly",
    ),
}


def run(context: Context) -> Result:
    """Look for every name that puts a framework's package on the path, then for second copies of all that it needs."""
    module = "torch" if context.framework == "torch" else "tensorflow"
    names = PROVIDERS[module]
    every = list(distributions.folders())
    providers = [entry for entry in every if entry[0] in names]
    found = [f"{name} {version}" for name, version, _ in providers]
    if not providers:
        reason = f"no distribution provides {module}: pip install {context.expect.get('distribution', module)}"
        return failed(reason, "one of " + ", ".join(names), found)
    # Of those in one folder the files are mixed; in another folder a second one is only shadowed.
    beside = [entry for entry in providers if copies.base(entry) == copies.base(providers[0])]
    if len(beside) != 1:
        reason = f"{len(beside)} distributions provide the framework; uninstall all of them, then install one"
        return failed(reason, "one of " + ", ".join(names), [f"{name} {version}" for name, version, _ in beside])
    needed = {who for who, _ in distributions.required(providers[0][0])} | {"numpy"}
    twice, shadowed = copies.second(every, needed | set(names))
    wrong = twice + copies.strangers(every, needed)
    if wrong:
        return failed("; ".join(wrong), [], wrong, shadowed=shadowed)
    return passed(found[:1] + [f"not used: {words}" for words in shadowed], shadowed=shadowed)
