"""`styleid-ray stylize` as an entry point for `ray job submit -- python jobs/stylize.py …`."""

import sys

from styleid_ray.cli import main

if __name__ == "__main__":
    sys.exit(main(["stylize", *sys.argv[1:]]))
