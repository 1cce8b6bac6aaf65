"""What a check is told of an env, without one."""

from smoke.context import Context


class Backend:
    """What a backend says of its build; no numbers are computed here."""

    def __init__(self, **said):
        self.said = said

    def build(self):
        return {"cuda": self.said.get("cuda"), "cuda_built": self.said.get("cuda") is not None}

    def gpus(self):
        return self.said.get("gpus", 0)

    def versions(self):
        return {"torch": self.said.get("version", "2.11.0")}

    def architectures(self):
        return self.said.get("architectures", [])


def context(expect, installed=None, detection=None, **said):
    made = Context("torch", expect, 1, None, None)
    made.once("backend", lambda: Backend(**said))
    made.once("distributions", lambda: installed or {})
    if detection:
        made.once("detection", lambda: detection)
    return made
