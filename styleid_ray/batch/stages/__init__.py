"""What happens to a shard, stage by stage: read plan → load → stylise → commit."""
