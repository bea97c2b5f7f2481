"""A run rewritten as a dataset: its pictures with the labels of their contents."""
