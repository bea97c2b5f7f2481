"""A run written again as a dataset: its pictures with the labels of their contents."""
