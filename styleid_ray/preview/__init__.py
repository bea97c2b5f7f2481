"""What each control does to a few pictures, before a job pays for all of them.

The main flow is `write.write_preview`: a handful of pairs, made in this process with every
combination of the values asked for, become one labelled grid and the page beside it.
"""
