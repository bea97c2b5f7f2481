"""The Ray cluster: the connection, a job's share of it, and the model on each node."""
