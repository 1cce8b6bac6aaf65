"""The version is the pin, exactly."""

from __future__ import annotations

from smoke.context import Context, Result, failed, passed

ID = "version-pin"
KIND = "verify"
ASSERTS = "the installed version equals the pin exactly, local part included"
APPLIES: dict[str, tuple[str, ...]] = {}
FRESH = True


def agrees(own: str, pin: str, cuda: str | None) -> bool:
    """Whether ``__version__`` is the pin; PyPI's torch wheels say +cuXYZ where their metadata does not."""
    public, plus, local = own.partition("+")
    if own == pin:
        return True
    return bool("+" not in pin and public == pin and plus and cuda and local == "cu" + cuda.replace(".", ""))


def run(context: Context) -> Result:
    """Compare the metadata's version and the module's own word with the pin."""
    pin, name = context.want("version"), context.want("distribution")
    installed = context.distributions().get(name.lower())
    if installed != pin:
        return failed(f"{name} {installed} is installed, the pin is {pin}; rebuild from the lock", pin, installed)
    for module, own in context.backend.versions().items():
        if not agrees(own, pin, context.expect.get("cuda")):
            return failed(
                f"{module}.__version__ is {own} although {name} {installed} is installed; another copy "
                f"comes first on sys.path ({context.backend.module.__file__})",
                pin,
                own,
            )
    return passed(installed, pin)
