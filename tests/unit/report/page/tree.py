"""An HTML page as a tree, strictly: what is opened is closed, in order."""

from __future__ import annotations

from collections.abc import Iterator
from html.parser import HTMLParser
from xml.etree.ElementTree import Element, SubElement

_INLINE = frozenset({"span", "q", "code", "strong", "a", "i"})
_VOID = frozenset({"meta", "br", "link", "img", "input", "hr"})


class Page(HTMLParser):
    """The tree of a page, and each element's parent."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.root = Element("page")
        self.parents: dict[Element, Element] = {}
        self._open = [self.root]
        self.feed(html)
        self.close()
        assert self._open == [self.root], f"not closed: {self._open[-1].tag}"

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attributes]
        assert len(names) == len(set(names)), f"{tag}: an attribute twice"
        element = SubElement(self._open[-1], tag, {name: value or "" for name, value in attributes})
        self.parents[element] = self._open[-1]
        if tag not in _VOID:
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        if tag not in _VOID:
            assert self._open.pop().tag == tag

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attributes)
        if tag not in _VOID:
            self.handle_endtag(tag)

    def handle_data(self, data: str) -> None:
        last = list(self._open[-1])
        if last:
            last[-1].tail = (last[-1].tail or "") + data
        else:
            self._open[-1].text = (self._open[-1].text or "") + data

    def above(self, element: Element) -> Iterator[Element]:
        """The element, and those around it from the inside out."""
        while element is not self.root:
            yield element
            element = self.parents[element]

    def by_id(self, name: str) -> Element:
        """The one element of an id."""
        (found,) = [element for element in self.root.iter() if element.get("id") == name]
        return found

    def text(self, element: Element, lang: str = "en") -> str:
        """What a reader of a language sees in an element on a wide screen, with single spaces."""
        other = {"en": "zh-Hans", "zh-Hans": "en"}[lang]
        pieces = [element.text or ""]
        for child in element:
            hidden = child.get("lang") == other or child.get("class") == "label"
            if not (child.tag == "span" and hidden) and child.tag not in ("script", "style"):
                edge = "" if child.tag in _INLINE else " "
                pieces += (edge, self.text(child, lang), edge)
            pieces.append(child.tail or "")
        return " ".join("".join(pieces).split())

    def classed(self, name: str) -> list[Element]:
        """Elements of a class."""
        return [element for element in self.root.iter() if name in element.get("class", "").split()]
