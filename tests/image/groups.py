"""Which image tests may run at once, for pytest-xdist.

Its own marker for groups does nothing with pytest 9.2: xdist 3.8 writes the group where that no longer looks for it.
"""

from __future__ import annotations

import re

from xdist.scheduler import LoadScopeScheduling

#: Modules whose tests build, in a checkout of their own, an env that no other module has, or a base.
SMALL = ("test_apptainer", "test_base", "test_contents", "test_layers", "test_poisoned", "test_reproduce")
#: Modules whose tests only use images, one for each env; and the env whose image the tests of other modules change.
READING, CHANGED = ("test_closure", "test_compatibility", "test_hardening", "test_mutations"), "cpu-torch-2.13"


def group_of(test: str) -> str:
    """Tests of one group never run at once: those of one name of an image, or of the containers of one checkout."""
    file, _, name = test.partition("::")
    module = file.rpartition("/")[2].removesuffix(".py")
    if module in SMALL:
        return "small images"
    stays = module in READING and re.search(r"\[[cg]pu-", name) and CHANGED not in name
    return "images that stay" if stays else "this checkout's images"


class Groups(LoadScopeScheduling):
    """Each group in a process of its own."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)
