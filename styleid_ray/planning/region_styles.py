"""`--region-styles`: the column of a table that names the style of a class of the label maps."""

from __future__ import annotations

import re

from styleid_ray.errors import ConfigError
from styleid_ray.planning.columns import STYLE_COLUMNS


def parse_region_styles(text: str) -> dict[int, str]:
    """Columns by class, of a text such as 1=style2,7=style3. Classes may share a column.

    Raises:
        ConfigError: it is no such text, or it names a class twice.
    """
    columns: dict[int, str] = {}
    for part in text.replace(" ", "").split(","):
        match = re.fullmatch(r"(\d{1,3})=(\w+)", part)
        if not match or int(match[1]) > 255:
            raise ConfigError(
                f"--region-styles {text!r}: must be classes, 0 to 255, and their columns, such as "
                "1=style2,7=style3"
            )
        number, column = int(match[1]), match[2]
        if column not in STYLE_COLUMNS:
            raise ConfigError(
                f"--region-styles {text!r}: {column} is none of {STYLE_COLUMNS[0]} to "
                f"{STYLE_COLUMNS[-1]}, the columns of further styles"
            )
        if number in columns:
            raise ConfigError(f"--region-styles {text!r}: class {number} is named twice")
        columns[number] = column
    return columns
