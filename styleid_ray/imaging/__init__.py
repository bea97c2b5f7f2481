"""Pictures in and out: decode anything, bring it to the model's size, bring it back, encode."""

from styleid_ray.imaging.decode import decode
from styleid_ray.imaging.encode import encode, extension
from styleid_ray.imaging.fit import fit_picture, restore, working_size

__all__ = ["decode", "encode", "extension", "fit_picture", "restore", "working_size"]
