"""Locations and messages without secrets, for every reader of the page."""

from typing import Any

from styleid_ray.storage.locations import shown


def public_location(location: str) -> str:
    """A key, path or URL without user part, query and fragment, which may hold secrets."""
    if "://" in location:
        scheme, rest = location.split("://", 1)
        rest = rest.split("?", 1)[0].split("#", 1)[0]
        host, slash, path = rest.partition("/")
        location = f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"
    return shown(location)


def public_message(message: str, *locations: str) -> str:
    """A message without the secrets in these locations, which it may quote."""
    for location in locations:
        if "://" in location:
            message = message.replace(location, public_location(location))
    return shown(message)


def public_values(value: Any) -> Any:
    """A JSON-like value with every string made public."""
    if isinstance(value, dict):
        return {name: public_values(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [public_values(inner) for inner in value]
    return public_location(value) if isinstance(value, str) else value
