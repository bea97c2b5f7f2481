"""Arrow's compute functions, which type checkers do not see: pyarrow makes them on import."""

from typing import Any

import pyarrow.compute

pc: Any = pyarrow.compute
