"""An annotation file of Pascal VOC: parsed, and edited in place.

All other bytes stay the same: order, comments, number formats, unknown elements.
"""

from __future__ import annotations

import codecs
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from xml.parsers import expat
from xml.sax.saxutils import escape

_BOMS = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_NO = ("", "0", "false", "no", "unspecified")


@dataclass(eq=False)
class Element:
    """An element with its place in the bytes of the file."""

    tag: str
    start: int
    end: int = 0
    """Where its end tag begins, or where `<empty/>` ends."""
    content: int | None = None
    """Where its content begins; None without content."""
    children: list[Element] = field(default_factory=list)
    pieces: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """Its own text, without surrounding blanks."""
        return "".join(self.pieces).strip()

    def find(self, *path: str) -> Element | None:
        """The first element at a path of tags below this one."""
        if not path:
            return self
        below = (child.find(*path[1:]) for child in self.children if child.tag == path[0])
        return next((element for element in below if element), None)

    def text_at(self, *path: str) -> str | None:
        """The text of the first element at a path; None without such an element."""
        element = self.find(*path)
        return element.text if element else None


class Annotation:
    """A parsed annotation file.

    Raises:
        ValueError: it is not XML, has a document type declaration (whose entities could expand
            without end), or has an object without a name, or with a box other than four numbers.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.root, declared = _parsed(data)
        self.encoding = next((e for bom, e in _BOMS.items() if data.startswith(bom)), declared)
        self.objects = [_object(e) for e in self.root.children if e.tag == "object"]

    @property
    def size(self) -> tuple[int, int] | None:
        """Width and height; None where they are missing, or 0 as some tools write."""
        sides = [self.root.text_at("size", side) or "" for side in ("width", "height")]
        width, height = (int(side) if side.isdecimal() else 0 for side in sides)
        return (width, height) if width and height else None

    def edited(self, texts: Mapping[tuple[str, ...], str]) -> bytes:
        """The file with other texts in the elements at these paths below its root. Missing elements
        are not added."""
        elements = [(self.root.find(*path), text) for path, text in texts.items()]
        data = self.data
        changed = [(e, t) for e, t in elements if e and not e.children and e.text != t]
        for element, text in sorted(changed, key=lambda one: one[0].start, reverse=True):
            start, new = self._replacement(element, text)
            data = data[:start] + new + data[element.end :]
        return data

    def _replacement(self, element: Element, text: str) -> tuple[int, bytes]:
        """The bytes that replace an element's content, and where it starts."""
        content = self._encoded(escape(text))
        if element.content is not None:
            return element.content, content
        slash = self._encoded("/>")
        if not self.data[: element.end].endswith(slash):
            return element.end, content
        closing = self._encoded(f"</{element.tag}>")
        return element.end - len(slash), self._encoded(">") + content + closing

    def _encoded(self, text: str) -> bytes:
        return text.encode(self.encoding, "xmlcharrefreplace")


def _parsed(data: bytes) -> tuple[Element, str]:
    """The root, and the declared encoding."""
    parser, top, encodings = expat.ParserCreate(), Element("", 0), ["utf-8"]
    # Not recursive: elements may be nested to any depth.
    stack = [top]

    def reached(*_: Any) -> None:
        if stack[-1].content is None:
            stack[-1].content = parser.CurrentByteIndex

    def begin(tag: str, _: Any) -> None:
        reached()
        element = Element(tag, parser.CurrentByteIndex)
        stack[-1].children.append(element)
        stack.append(element)

    def end(_: str) -> None:
        stack.pop().end = parser.CurrentByteIndex

    def text(piece: str) -> None:
        reached()
        stack[-1].pieces.append(piece)

    parser.StartElementHandler, parser.EndElementHandler = begin, end
    parser.CharacterDataHandler, parser.DefaultHandler = text, reached
    parser.XmlDeclHandler = lambda _, encoding, __: encodings.append(encoding or "utf-8")
    parser.StartDoctypeDeclHandler = _refuse
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, LookupError) as error:
        raise ValueError(str(error)) from error
    return top.children[0], encodings[-1]


def _refuse(*_: Any) -> None:
    raise ValueError("it has a document type declaration (DOCTYPE)")


def _object(element: Element) -> dict[str, Any]:
    name, pose = element.text_at("name"), element.text_at("pose")
    if not name:
        raise ValueError("an object has no name")
    return {
        "bbox": _box(element, name),
        "category": name,
        "difficult": _flag(element.text_at("difficult")),
        "truncated": _flag(element.text_at("truncated")),
        "pose": pose,
    }


def _box(element: Element, name: str) -> list[float] | None:
    """The corners of an object's box; None without a box, as for a polygon."""
    if element.find("bndbox") is None:
        return None
    texts = [element.text_at("bndbox", corner) or "" for corner in _CORNERS]
    try:
        corners = [float(text) for text in texts]
    except ValueError:
        corners = [math.nan]
    if not all(map(math.isfinite, corners)):
        raise ValueError(f"the box of an object {name!r} is not four numbers: {', '.join(texts)}")
    return corners


def _flag(text: str | None) -> bool | None:
    return None if text is None else text.lower() not in _NO
