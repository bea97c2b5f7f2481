"""Every option, defined once.

The command line, job files, docs/options.md and a run's stored `config.yaml` are all read off these
models, and what an option changes off its tag.
"""

from styleid_ray.config.job import ADDED, TAGS, JobConfig, changes, group_of, without_effect
from styleid_ray.config.machine import ClusterOptions, EngineOptions, FeatureDType, FeatureStore
from styleid_ray.config.model import DEMO_MODEL, PAPER_MODEL, ModelOptions
from styleid_ray.config.output import ExportFormat, OutputOptions, PictureFormat, mix_ratio
from styleid_ray.config.params import ResolvedParams, StyleParams
from styleid_ray.config.pictures import (
    PAPER_SIZE,
    PIXEL_METHODS,
    Fit,
    Method,
    MethodOptions,
    PictureOptions,
)
from styleid_ray.config.run import RunOptions
from styleid_ray.config.sources import DatasetFormat, Pairing, SourceOptions, StyleFormat
from styleid_ray.config.tags import Changes, digest, flag
