"""What layers say together is what the whole image says; each is taken as it was kept and read again."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path

from dlmatrix.inspection.filesystem import Folder, Stacked
from dlmatrix.inspection.layer import Facts, read_layer
from dlmatrix.inspection.private import Private

#: A path, and what stands there: a content, a link's target, or nothing for a folder.
Tree = Mapping[str, str | None]
OWN = "me:s3cret"
CONF = "etc/ld.so.conf"
LAYERS: tuple[Tree, ...] = (
    {
        "usr": None,
        "usr/lib/libkept.so": "'libone.so'",
        "usr/lib/gone.py": "'libtwo.so'",
        "lib": "-> usr/lib",
        CONF: "/usr/lib",
        "opt/all/a.py": "'libthree.so'",
        "opt/all/in/b.py": "'libfour.so'",
        "opt/folder": None,
        "opt/folder/c.py": "'libfive.so'",
        "opt/file": "once a file",
        "opt/link": "-> /usr/lib",
        "opt/other/d.py": "'libsix.so'",
        "opt/other/e.py": "'libseven.so'",
    },
    {
        # What a layer takes away, and puts back in the same breath; through a link, too.
        "usr/lib/.wh.gone.py": "",
        "opt/all/.wh..wh..opq": "",
        "opt/all/new.py": "'libnew.so'",
        "opt/.wh.other": "",
        "opt/other/e.py": "'libagain.so'",
        "lib/through.py": "'libthrough.so'",
    },
    {
        "opt/folder": "now a file",
        "opt/file": None,
        "opt/file/f.py": "'libeight.so'",
        "opt/link": None,
        "opt/link/own.py": "'libown.so'",
        CONF: "/opt/lib",
        "usr/lib/alias.py": "=> usr/lib/own.py",
        "usr/lib/own.py": "'libhard.so'",
    },
)
#: What a machine has that unpacks them.
WHOLE: Tree = {
    "usr/lib/libkept.so": "'libone.so'",
    "usr/lib/through.py": "'libthrough.so'",
    "usr/lib/own.py": "'libhard.so'",
    "usr/lib/alias.py": "'libhard.so'",
    "lib": "-> usr/lib",
    CONF: "/opt/lib",
    "opt/all/new.py": "'libnew.so'",
    "opt/other/e.py": "'libagain.so'",
    "opt/folder": "now a file",
    "opt/file/f.py": "'libeight.so'",
    "opt/link/own.py": "'libown.so'",
}


def layer(tree: Tree) -> Facts:
    """A layer, as it was read, kept and read again."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for path, content in tree.items():
            member = tarfile.TarInfo(path)
            if content is None:
                member.type = tarfile.DIRTYPE
            elif content.startswith(("-> ", "=> ")):
                member.type = tarfile.SYMTYPE if content.startswith("-") else tarfile.LNKTYPE
                member.linkname = content[3:]
            elif content:
                member.size = len(content)
            tar.addfile(member, io.BytesIO((content or "").encode()))
    stream.seek(0)
    facts = read_layer(stream, Private(passwords=(OWN,)))
    again = Facts.from_json(json.loads(json.dumps(facts.as_json())))
    assert again == facts
    return again


def put(root: Path, tree: Tree) -> Folder:
    for path, content in tree.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        if content and content.startswith("-> "):
            file.symlink_to(content[3:])
        else:
            file.write_text(content or "")
    return Folder(root)


def test_layers_are_what_a_machine_has_that_unpacks_them(tmp_path: Path) -> None:
    found, wanted = Stacked([layer(tree) for tree in LAYERS]), put(tmp_path, WHOLE)
    paths = list(wanted.files("/"))
    assert list(found.files("/")) == paths
    assert {path: found.quoted(path) for path in paths if path.endswith(".py")} == {
        path: wanted.quoted(path) for path in paths if path.endswith(".py")
    }
    assert found.text(f"/{CONF}") == wanted.text(f"/{CONF}")
    assert [found.real(f"/{path}") for path in ("lib/own.py", "opt/link/libkept.so", "usr/lib/gone.py")] == [
        wanted.real(f"/{path}") for path in ("lib/own.py", "opt/link/libkept.so", "usr/lib/gone.py")
    ]


def test_a_text_that_holds_a_secret_is_suspected_wherever_the_secret_lies_and_its_text_is_not_kept() -> None:
    long = "x" * (1 << 24)
    facts = layer(
        {
            "opt/a": f"key {OWN}",
            "opt/late": long[: -len(OWN) // 2] + OWN + long,
            "opt/other": long,
            "opt/binary": f"\0{OWN}",
            "usr/lib/debians": OWN,
        }
    )
    assert facts.suspects.keys() == {"/opt/a", "/opt/late"}
    assert facts.suspects["/opt/a"].holds == ["secret"]
    digest = hashlib.sha256(f"key {OWN}".encode()).digest()
    assert facts.suspects["/opt/a"].digest == base64.urlsafe_b64encode(digest).decode().rstrip("=")
    assert OWN not in json.dumps(facts.as_json())
