"""Parquet files with pictures in a column, as Hugging Face has them."""

from styleid_ray.datasets.parquet.pictures import recognises, source
from styleid_ray.datasets.parquet.reader import labels
from styleid_ray.datasets.parquet.writer import Writer

__all__ = ["Writer", "labels", "recognises", "source"]
