"""reStructuredText: docutils, with a stub for every directive and role that only Sphinx knows."""

from __future__ import annotations

import re
from collections.abc import Iterator

from docutils import nodes
from docutils.core import publish_doctree
from docutils.parsers.rst import Directive, directives

from dlmatrix.guides.read.assemble import TAB, Code, Event, Finder, Heading, Words
from dlmatrix.guides.read.fences import LANGUAGES

_SETTINGS = {
    "report_level": 5, "halt_level": 5, "file_insertion_enabled": False, "raw_enabled": False,
    "input_encoding": "unicode", "_disable_config": True, "warning_stream": False, "doctitle_xform": False,
}  # fmt: skip
_CODE = (
    "code-block",
    "code",
    "sourcecode",
    "prompt",
    "ipython",
    "doctest",
    "testcode",
    "testsetup",
    "testoutput",
    "parsed-literal",
    "plot",
)
_OURS = {"image", "figure", "table", "list-table", "csv-table", "math", "contents", "footnote", "replace", "unicode"}
_DROPPED = ("toctree", "raw", "index", "only-html", "highlight", "meta", "include")
_ROLE = re.compile(r"(?<![\w`]):(?P<role>[\w:+.-]+):`(?P<text>[^`]*)`")
_TABS = ("tab", "group-tab", "tab-item", "code-tab")
_NAMED = re.compile(r"^[ \t]*\.\.[ \t]+([\w:+.-]+)::", re.M)
_INLINE_ROLES = ("code", "command", "bash", "kbd")


class _AnyOption(dict[str, object]):
    """Takes every option there is."""

    def __getitem__(self, key: str) -> object:
        return directives.unchanged

    def __bool__(self) -> bool:
        return True


class _Stub(Directive):  # type: ignore[misc] # docutils has no types
    """Any directive: code stays code, all else is what it holds."""

    required_arguments = 0
    optional_arguments = 100
    final_argument_whitespace = True
    has_content = True

    option_spec = _AnyOption()

    def run(self) -> list[nodes.Node]:
        """Its nodes."""
        title = " ".join(self.arguments)
        if self.name == "literalinclude":
            return [nodes.literal_block(title, title, elsewhere=True)]
        if self.name in _CODE or self.name == "code-tab":
            block = nodes.literal_block("\n".join(self.content), "\n".join(self.content))
            block["language"] = LANGUAGES.get(self.name) or (title.split()[0] if title and self.name != "plot" else "")
            return [block]
        if self.name in _DROPPED:
            return []
        box = nodes.container()
        box["tab"] = title if self.name in _TABS else ""
        box["ends"] = self.name in (*_TABS, "tabs", "tab-set")
        if title and self.name not in _TABS:
            box += nodes.paragraph(title, title)
        self.state.nested_parse(self.content, self.content_offset, box)
        return [box]


def read_rst(text: str) -> Iterator[Event]:
    """The events of a reStructuredText file; nothing that it names is opened."""
    for name in {*_NAMED.findall(text), *_CODE} - _OURS:
        directives.register_directive(name, _Stub)
    plain = _ROLE.sub(lambda m: f"``{m['text']}``" if m["role"] in _INLINE_ROLES else m["text"], text)
    tree = publish_doctree(plain, settings_overrides=_SETTINGS)
    yield from _walk(tree, Finder(text), 1)


def _walk(node: nodes.Node, finder: Finder, level: int) -> Iterator[Event]:
    for child in node.children:
        if isinstance(child, nodes.section):
            yield from _walk(child, finder, level + 1)
            yield Heading(level + 1, "")
        elif isinstance(child, nodes.title):
            yield Heading(min(level, TAB - 1), child.astext())
        elif isinstance(child, nodes.literal_block | nodes.doctest_block):
            language = child.get("language", "") or " ".join(c for c in child.get("classes", []) if c != "code")
            code = child.astext()
            kind = "elsewhere" if child.get("elsewhere") else "code"
            yield Code(code, "" if language in ("default", "none", "text") else language, kind, finder.line(code))
        elif isinstance(child, nodes.paragraph | nodes.term | nodes.line):
            yield from _paragraph(child, finder)
        elif isinstance(child, nodes.system_message | nodes.comment | nodes.substitution_definition):
            continue
        elif isinstance(child, nodes.container) and child.get("tab"):
            yield Heading(TAB, "{" + child["tab"] + "}")
            yield from _walk(child, finder, level)
            yield Heading(TAB, "")
        elif isinstance(child, nodes.Text):
            yield Words(child.astext())
        else:
            yield from _walk(child, finder, level)


def _paragraph(node: nodes.Node, finder: Finder) -> Iterator[Event]:
    literals = list(node.findall(nodes.literal))
    only = len(literals) == 1 and literals[0].astext().strip() == node.astext().strip()
    words = ""
    for child in node.children:
        if isinstance(child, nodes.literal):
            if words.strip():
                yield Words(words)
                words = ""
            text = child.astext()
            yield Code(text, "", "alone" if only else "inline", finder.line(text))
        else:
            words += child.astext()
    if words.strip():
        yield Words(words)
