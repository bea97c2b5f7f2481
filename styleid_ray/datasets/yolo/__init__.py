"""YOLO in the layout of Ultralytics: one text file per picture, and `data.yaml`."""

from styleid_ray.datasets.yolo.pictures import labels, recognises, source
from styleid_ray.datasets.yolo.writer import Writer
