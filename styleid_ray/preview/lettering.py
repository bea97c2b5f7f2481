"""Text in a picture, in the font that comes with Pillow."""

import unicodedata
from collections.abc import Sequence

from PIL import ImageDraw, ImageFont

_CUT = "..."
_SIGNS = ",:=/"


class Lettering:
    """Text of one size in pixels. The font has ASCII alone: other letters lose their accents or
    become question marks."""

    def __init__(self, size: int) -> None:
        self.font = ImageFont.load_default(size)
        self.height = round(size * 1.3)

    def width(self, text: str) -> int:
        """Width of the text in pixels."""
        return round(self.font.getlength(_plain(text)))

    def wrapped(self, text: str, width: int) -> list[str]:
        """The text in lines no wider than `width` pixels, cut at spaces, or else after signs."""
        lines: list[str] = []
        for word in text.split():
            if lines and self.width(f"{lines[-1]} {word}") <= width:
                lines[-1] += f" {word}"
                continue
            while self.width(word) > width and len(word) > 1:
                part = self._part(word, width)
                lines.append(part)
                word = word.removeprefix(part)
            lines.append(word)
        return lines

    def cut(self, text: str, width: int) -> str:
        """The text in one line no wider than `width` pixels, without its middle if it is longer."""
        if self.width(text) <= width:
            return text
        for kept in range(len(text) - 1, 1, -1):
            short = text[: (kept + 1) // 2] + _CUT + text[len(text) - kept // 2 :]
            if self.width(short) <= width:
                return short
        return _CUT

    def write(
        self,
        draw: ImageDraw.ImageDraw,
        lines: Sequence[str],
        left: int,
        width: int | None,
        top: int,
        colour: str,
    ) -> None:
        """Draws lines below one another: each centred in `width` pixels, or without one
        left-aligned."""
        for number, line in enumerate(lines):
            shift = 0 if width is None else (width - self.width(line)) // 2
            draw.text((left + shift, top + number * self.height), _plain(line), colour, self.font)

    def _part(self, word: str, width: int) -> str:
        """The longest start of a word that fits, cut after its last sign if it has one."""
        fitting = (word[:n] for n in range(len(word) - 1, 1, -1))
        part = next((text for text in fitting if self.width(text) <= width), word[0])
        sign = max(map(part.rfind, _SIGNS)) + 1
        return part[:sign] or part


def _plain(text: str) -> str:
    bare = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return bare.encode("ascii", "replace").decode()
