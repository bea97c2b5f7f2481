"""The effect of each control on a few pictures, before a job pays for all of them.

The main flow is `write.write_preview`: a handful of pairs, made in this process with every
combination of the given values, become one labelled grid and the page beside it.
"""
