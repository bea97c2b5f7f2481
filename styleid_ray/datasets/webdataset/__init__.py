"""WebDataset: tars in which a sample's picture and labels lie side by side."""

from styleid_ray.datasets.webdataset.pictures import recognises, source
from styleid_ray.datasets.webdataset.reader import labels
from styleid_ray.datasets.webdataset.writer import Writer
