"""The name of a run."""

from __future__ import annotations

from styleid_ray.storage.secrets import without_secrets


def run_name(output: str) -> str:
    """The name that tells a run from others: the URL of its output, without secrets."""
    return without_secrets(output.rstrip("/") or output)
