"""Parquet files with pictures in a column and labels in others, in the layout of Hugging Face."""

from styleid_ray.datasets.parquet.pictures import recognises, source
from styleid_ray.datasets.parquet.reader import labels
from styleid_ray.datasets.parquet.writer import Writer
