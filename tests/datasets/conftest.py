"""The folders and buckets of the planning tests."""

from tests.planning.conftest import bucket, folder

__all__ = ["bucket", "folder"]
