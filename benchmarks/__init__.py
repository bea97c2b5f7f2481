"""What the project claims about its speed and memory, each claim measured by one module.

A measurement takes its own frozen options and returns a `Table`; ratios are within one run.
Importing this package loads neither torch nor ray.
"""
