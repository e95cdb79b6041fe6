"""A page as tests see it: its elements and texts, by the parser of the standard library."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from itertools import pairwise

VOID = {"meta", "link", "input", "br", "hr", "img"}


@dataclass
class Element:
    """An element with its attributes, in the order of the page; `text` is all text in it."""

    tag: str
    attributes: dict[str, str]
    parents: tuple[str, ...]
    text: str = ""


@dataclass
class Parsed(HTMLParser):
    """A page; an element that is not closed, or closed twice, is an error."""

    source: str
    elements: list[Element] = field(default_factory=list)
    open: list[Element] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.feed(self.source)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs), (tag, attrs)
        attributes = {name: value or "" for name, value in attrs}
        element = Element(tag, attributes, tuple(each.tag for each in self.open))
        self.elements.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].tag == tag, (tag, self.open[-1])
        self.open.pop()

    def handle_data(self, data: str) -> None:
        for element in self.open:
            element.text += data

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")

    def all(self, *tags: str) -> list[Element]:
        return [element for element in self.elements if element.tag in tags]

    def one(self, tag: str) -> Element:
        """The only element of this name outside of pictures, which have titles of their own."""
        (found,) = (element for element in self.all(tag) if "svg" not in element.parents)
        return found

    @property
    def shape(self) -> list[tuple[str, tuple[str, ...]]]:
        """The elements with the names of their attributes, which no text may change.

        Pictures break and shorten their texts; what may be in them is checked below.
        """
        outside = [element for element in self.elements if "svg" not in element.parents]
        return [(element.tag, tuple(element.attributes)) for element in outside]

    @property
    def policy(self) -> dict[str, str]:
        """The rules of the Content-Security-Policy."""
        (meta,) = [m for m in self.all("meta") if "http-equiv" in m.attributes]
        assert meta.attributes["http-equiv"] == "Content-Security-Policy"
        rules = meta.attributes["content"].split("; ")
        return dict(rule.split(" ", 1) for rule in rules)


def check(source: str) -> Parsed:
    """Check what holds for every page, and return its elements."""
    page = Parsed(source)
    assert source.startswith("<!doctype html>\n<html lang=")
    # Only the page's own style and script, and nothing from elsewhere.
    for tag in ("style", "script"):
        digest = hashlib.sha256(page.one(tag).text.encode()).digest()
        assert page.policy[f"{tag}-src"] == f"'sha256-{base64.b64encode(digest).decode()}'"
        assert not page.one(tag).attributes
        assert not re.search(
            r"https?:|@import|url\(|fetch|XMLHttp|import\(|eval", page.one(tag).text
        )
    assert {name: rule for name, rule in page.policy.items() if "sha" not in rule} == {
        "default-src": "'none'", "img-src": "data:", "base-uri": "'none'", "form-action": "'none'",
    }  # fmt: skip
    assert not page.all("iframe", "object", "embed", "form", "base", "img", "audio", "video")
    for element in page.elements:
        for name, value in element.attributes.items():
            assert not name.startswith("on"), element
            assert name not in ("style", "src", "srcset", "action", "ping", "xlink:href"), element
            if name == "href":
                assert value == "data:," if element.tag == "link" else value.startswith("#"), (
                    element
                )
    # What refers to something finds it, and it is the only one.
    names = [element.attributes["id"] for element in page.elements if "id" in element.attributes]
    assert len(names) == len({*names}), sorted(n for n in names if names.count(n) > 1)[:3]
    for element in page.elements:
        for name in ("for", "aria-labelledby", "aria-describedby", "data-of"):
            assert {*element.attributes.get(name, "").split()} <= {*names}, element
        if element.attributes.get("href", "").startswith("#"):
            assert element.attributes["href"][1:] in names, element
    # For who listens: headings in order, pictures and tables that say what they are.
    levels = [int(heading.tag[1]) for heading in page.all("h1", "h2", "h3", "h4", "h5", "h6")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert all(heading.text.strip() for heading in page.all("h1", "h2", "h3", "h4"))
    for tag in ("header", "nav", "main", "footer"):
        assert page.one(tag)
    assert len(page.all("caption")) == len(page.all("table"))
    assert all(caption.text.strip() for caption in page.all("caption"))
    assert all(cell.attributes.get("scope") in ("col", "row") for cell in page.all("th"))
    assert all(cell.text.strip() for cell in page.all("th"))
    regions = [e.attributes for e in page.elements if e.attributes.get("role") == "region"]
    assert all(region["tabindex"] == "0" for region in regions)
    labels = [region["aria-label"] for region in regions]
    assert len(labels) == len({*labels})
    pictures = [e for e in page.all("svg") if "svg" not in e.parents]
    assert all(picture.attributes["role"] == "img" for picture in pictures)
    assert all("aria-labelledby" in picture.attributes for picture in pictures)
    drawn = {element.tag for element in page.elements if "svg" in element.parents}
    assert drawn <= {"svg", "g", "path", "rect", "circle", "line", "text", "tspan", "title", "desc"}
    # Without the script, only what it would do is away.
    hidden = [e for e in page.elements if "hidden" in e.attributes]
    assert all(e.tag == "button" or e.attributes["class"] == "control" for e in hidden)
    return page
