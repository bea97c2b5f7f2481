"""The stages of a shard: read plan → load → stylise → commit."""
