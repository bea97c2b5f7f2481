"""COCO: boxes, polygons, keypoints, captions and panoptic segments, in annotation files."""

from styleid_ray.datasets.coco.pictures import recognises, source
from styleid_ray.datasets.coco.reader import labels
from styleid_ray.datasets.coco.writer import Writer
