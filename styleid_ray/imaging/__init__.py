"""Pictures in and out: decode any file, resize to the model's size and back, encode."""

from styleid_ray.imaging.decode import decode, decoding_memory
from styleid_ray.imaging.encode import encode, extension
from styleid_ray.imaging.fit import fit_picture, restore, working_size
