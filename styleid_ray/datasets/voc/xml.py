"""An annotation file of Pascal VOC: parsed, and written with other names and sizes.

Texts, attributes, comments, unknown elements and their order stay the same.
"""

import math
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree

_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_NO = ("", "0", "false", "no", "unspecified")
_DEEPEST = 100
"""Most levels of elements."""


class Annotation:
    """A parsed annotation file.

    Raises:
        ValueError: it is not XML, nests its elements too deeply, or has an object without a name,
            or with a box other than four numbers.
    """

    def __init__(self, data: bytes) -> None:
        self.root = _parsed(data)
        self.objects = [_object(element) for element in self.root.iterfind("{*}object")]

    @property
    def size(self) -> tuple[int, int] | None:
        """Width and height; None where they are missing, or 0 as some tools write."""
        sides = [_text(self.root, "size", side) or "" for side in ("width", "height")]
        width, height = (int(side) if side.isdecimal() else 0 for side in sides)
        return (width, height) if width and height else None

    def edited(self, texts: Mapping[tuple[str, ...], str]) -> bytes:
        """The file in UTF-8 with other texts in the elements at these paths below its root. Missing
        elements are not added, and elements with others inside keep their text."""
        for path, text in texts.items():
            element = _found(self.root, *path)
            # The tag of a comment is a function.
            if element is None or any(isinstance(child.tag, str) for child in element):
                continue
            if _text(element) != text:
                del element[:]
                element.text = text
        return ElementTree.tostring(self.root, encoding="utf-8")


def _parsed(data: bytes) -> ElementTree.Element:
    """The root, with the comments in it."""
    builder = ElementTree.TreeBuilder(insert_comments=True, insert_pis=True)
    try:
        root = ElementTree.fromstring(data, ElementTree.XMLParser(target=builder))
    except (ElementTree.ParseError, LookupError) as error:
        raise ValueError(str(error)) from error
    level, depth = [root], 0
    while level := [child for element in level for child in element]:
        depth += 1
        if depth == _DEEPEST:
            raise ValueError(f"its elements are nested {_DEEPEST} levels deep")
    return root


def _found(element: ElementTree.Element, *path: str) -> ElementTree.Element | None:
    """The first element at a path of tags below this one, in any namespace."""
    return element.find("/".join(f"{{*}}{tag}" for tag in path)) if path else element


def _text(element: ElementTree.Element, *path: str) -> str | None:
    """The text of the first element at a path without surrounding blanks and comments; None
    without such an element."""
    found = _found(element, *path)
    if found is None:
        return None
    return "".join([found.text or "", *(child.tail or "" for child in found)]).strip()


def _object(element: ElementTree.Element) -> dict[str, Any]:
    name = _text(element, "name")
    if not name:
        raise ValueError("an object has no name")
    return {
        "bbox": _box(element, name),
        "category": name,
        "difficult": _flag(_text(element, "difficult")),
        "truncated": _flag(_text(element, "truncated")),
        "pose": _text(element, "pose"),
    }


def _box(element: ElementTree.Element, name: str) -> list[float] | None:
    """The corners of an object's box; None without a box, as for a polygon."""
    if _found(element, "bndbox") is None:
        return None
    texts = [_text(element, "bndbox", corner) or "" for corner in _CORNERS]
    try:
        corners = [float(text) for text in texts]
    except ValueError:
        corners = [math.nan]
    if not all(map(math.isfinite, corners)):
        raise ValueError(f"the box of an object {name!r} is not four numbers: {', '.join(texts)}")
    return corners


def _flag(text: str | None) -> bool | None:
    return None if text is None else text.lower() not in _NO
