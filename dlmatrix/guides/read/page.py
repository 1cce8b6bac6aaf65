"""Saved HTML pages: the article, less menus, scripts, line numbers and buttons."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bs4 import BeautifulSoup
from bs4.element import NavigableString, Tag

from dlmatrix.guides.read.assemble import TAB, Code, Event, Finder, Heading, Words

_DROPPED = ("script", "style", "nav", "footer", "aside", "noscript", "template", "svg", "button", "form", "iframe")
_NOISE = (
    *("td.gutter", "td.linenos", ".linenodiv", ".gutter", ".lineno", ".linenos", ".line-numbers-rows", ".ln-num"),
    *(".line-numbers-wrapper", ".hljs-ln-numbers", ".copybtn", ".headerlink", "[role=navigation]", ".sphinxsidebar"),
    *(".wy-nav-side", ".toctree-wrapper", ".related", ".sidebar", ".hljs-button", "[hidden]"),
    *(".pre-numbering", ".code-line-numbers"),
)
_ARTICLE = (
    *("[itemprop=articleBody]", ".devsite-article-body", "#content_views", ".markdown-body", ".post-content"),
    *(".article-content", ".entry-content", ".theme-default-content", "[role=main]", "article", "main", "#content"),
)
_LANGUAGE = re.compile(r"(?:^|\s)(?:lang(?:uage)?|highlight(?:-source)?|brush:?|prism|prettyprint lang)[-: ]+([\w+#]+)")
_BARE = re.compile(r"(?:^|\s)(python3?|bash|shell|console|pycon|sh|powershell|json|yaml|cpp)(?=\s|$)")
_TITLED = re.compile(r"h([1-6])")


def read_html(text: str, first: int = 0) -> Iterator[Event]:
    """The events of a page, or of a piece of HTML that begins behind ``first`` lines of its file."""
    soup = BeautifulSoup(text, "html.parser")
    for tag in [*soup.find_all(_DROPPED), *soup.select(", ".join(_NOISE))]:
        if not tag.decomposed:
            tag.decompose()
    body: Tag = next((found for rule in _ARTICLE if (found := _largest(soup.select(rule)))), None) or soup.body or soup
    yield from _walk(body, Finder(text), first)


def preformatted(text: str, first: int) -> Iterator[Event]:
    """The events of ``<pre>…</pre>`` inside Markdown."""
    yield from _walk(BeautifulSoup(text, "html.parser"), Finder(text), first)


def _largest(found: list[Tag]) -> Tag | None:
    """The largest of several, if it holds code or enough words: a page may have an empty one, or many teasers."""
    best = max(found, key=lambda tag: len(tag.get_text()), default=None)
    return best if best and (best.find(["pre", "code"]) or len(best.get_text()) > 400) else None


def _walk(tag: Tag, finder: Finder, first: int) -> Iterator[Event]:
    for child in tag.children:
        if isinstance(child, NavigableString):
            if type(child) is NavigableString and child.strip():
                yield Words(re.sub(r"\s+", " ", child))
        elif isinstance(child, Tag):
            yield from _element(child, finder, first)


def _element(tag: Tag, finder: Finder, first: int) -> Iterator[Event]:
    titled = _TITLED.fullmatch(tag.name)
    if titled:
        yield Heading(int(titled[1]), tag.get_text(" ", strip=True))
    elif tag.name in ("pre", "textarea"):
        code = _text(tag)
        yield Code(code.strip("\n"), _language(tag), "code", first + finder.line(_escaped(code), tag.sourceline))
    elif tag.name in ("code", "tt", "kbd", "samp"):
        text = tag.get_text()
        if "\n" in text.strip():
            yield Code(text.strip("\n"), _language(tag), "code", first + (tag.sourceline or 1))
        elif text.strip():
            kind = "alone" if _alone(tag) else "inline"
            yield Code(text, "", kind, first + (tag.sourceline or 1))
    elif tag.name in ("devsite-selector", "tab-container") or "tabs" in _classes(tag):
        yield from _walk(tag, finder, first)
        yield Heading(TAB, "")
    else:
        name = tag.get("data-title") or tag.get("aria-label") if "tab" in " ".join(_classes(tag)) else None
        if isinstance(name, str) and name:
            yield Heading(TAB, f"{{{name}}}")
        yield from _walk(tag, finder, first)


def _text(tag: Tag) -> str:
    """The text of a block, a line of it for each ``<br>`` and each item of a numbered list."""
    for line in tag.find_all("br"):
        line.replace_with("\n")
    items = [item for item in tag.find_all("li") if not item.get_text().strip().isdigit()]
    if items:
        return "\n".join(item.get_text().rstrip("\n") for item in items)
    lines = tag.select("code > .line, code > div, pre > div")
    text = tag.get_text()
    if len(lines) > 1 and text.count("\n") < len(lines) - 1:
        return "\n".join(line.get_text().rstrip("\n") for line in lines)
    if len(codes := tag.find_all("code", recursive=False)) > 1 and "\n" not in text.strip():
        return "\n".join(code.get_text() for code in codes)
    return text.replace("\xa0", " ")


def _escaped(text: str) -> str:
    first = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return re.split(r"[&<>\"']", first)[0] or first


def _classes(tag: Tag) -> list[str]:
    return tag.get_attribute_list("class") if tag.has_attr("class") else []


def _language(tag: Tag) -> str:
    near = [tag, *tag.find_all("code", limit=1), *list(tag.parents)[:3]]
    for one in near:
        words = " ".join(str(word) for word in _classes(one))
        for attribute in ("data-lang", "data-language", "lang", "syntax"):
            if isinstance(value := one.get(attribute), str) and value and one.name != "html":
                words += f" language-{value}"
        if found := _LANGUAGE.search(words) or _BARE.search(words):
            return "" if found[1] in ("default", "none", "plaintext", "text", "notranslate") else found[1].lower()
    return ""


def _alone(tag: Tag) -> bool:
    """Whether code has its paragraph, or its line of it, for itself."""
    sides = (tag.previous_sibling, tag.next_sibling)
    return all(s is None or (isinstance(s, Tag) and s.name == "br") or not s.get_text().strip() for s in sides)
