"""A deadline as text: a time, or a duration from now."""

import re
from datetime import date, datetime, timedelta

_UNITS = {"d": "days", "h": "hours", "min": "minutes", "m": "minutes", "s": "seconds"}
_WANTED = "must be a time such as 2026-12-01T06:00, or a duration such as 6h or 90min"
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(d|h|min|m|s)\s*")


def deadline_text(value: object) -> str:
    """A deadline as stored in a config; raises ValueError if it is not one."""
    text = value.isoformat() if isinstance(value, date) else value
    if not isinstance(text, str):
        raise ValueError(_WANTED)
    parse_deadline(text.strip(), datetime.now().astimezone())
    return text.strip()


def is_duration(text: str) -> bool:
    """Whether a deadline is a duration."""
    return re.fullmatch(rf"(?:{_PART.pattern})+", text) is not None


def parse_deadline(text: str, now: datetime) -> datetime:
    """The time of a deadline.

    Args:
        text: an ISO time, in the zone of this machine unless it names another, or a duration of
            days, hours, minutes and seconds such as 1d12h, 6h, 90min.
        now: start of a duration; with its zone.

    Raises:
        ValueError: the text is neither.
    """
    try:
        if is_duration(text):
            parts = [timedelta(**{_UNITS[unit]: float(n)}) for n, unit in _PART.findall(text)]
            return now + sum(parts, timedelta())
        return datetime.fromisoformat(text).astimezone(now.tzinfo)
    except (ValueError, OverflowError):
        raise ValueError(_WANTED) from None
