"""The Ray cluster: connecting to it, what a job takes of it, and the model on each node."""
