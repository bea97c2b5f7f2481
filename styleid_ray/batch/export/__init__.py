"""A run exported as a dataset: its pictures with the labels of their contents."""
