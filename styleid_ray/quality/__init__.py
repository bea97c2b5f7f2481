"""The quality columns of a run: cheap measures of every picture, and rules that reject by them."""
