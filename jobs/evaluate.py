"""`styleid-ray evaluate` as an entry point for `ray job submit -- python jobs/evaluate.py …`."""

import sys

from styleid_ray.cli import main

if __name__ == "__main__":
    sys.exit(main(["evaluate", *sys.argv[1:]]))
