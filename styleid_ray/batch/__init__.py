"""A run on Ray: prepare, plan or resume, work through the shards, sum up."""
