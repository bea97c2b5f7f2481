"""The part of a location or a message that every reader of the page may see."""

from __future__ import annotations

from typing import Any

from styleid_ray.storage.locations import shown


def public_location(location: str) -> str:
    """A key, path or URL without user part, query and fragment: those may hold secrets."""
    if "://" in location:
        scheme, rest = location.split("://", 1)
        rest = rest.split("?", 1)[0].split("#", 1)[0]
        host, slash, path = rest.partition("/")
        location = f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"
    return shown(location)


def public_message(message: str, *locations: str) -> str:
    """A message that may quote some locations, without the secrets in them."""
    for location in locations:
        if "://" in location:
            message = message.replace(location, public_location(location))
    return shown(message)


def public_values(value: Any) -> Any:
    """The same JSON-like value with every string in it made public."""
    if isinstance(value, dict):
        return {name: public_values(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [public_values(inner) for inner in value]
    return public_location(value) if isinstance(value, str) else value
