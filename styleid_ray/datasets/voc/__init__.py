"""Pascal VOC: one XML file per picture."""

from styleid_ray.datasets.voc.pictures import labels, recognises, source
from styleid_ray.datasets.voc.writer import Writer
