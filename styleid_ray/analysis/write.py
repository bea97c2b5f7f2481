"""From the options of an analysis to its figures, numbers and page."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO

from styleid_ray.analysis.ablations import evaluations
from styleid_ray.analysis.inputs import read_inputs
from styleid_ray.analysis.options import FIGURES
from styleid_ray.batch.stages.engine import load_engine
from styleid_ray.batch.watch.progress import duration
from styleid_ray.batch.watch.progress import shown as showing
from styleid_ray.config import JobConfig
from styleid_ray.preview.progress import PreviewProgress

if TYPE_CHECKING:
    from styleid_ray.engine.pipeline import StyleIDPipeline

PAGE, NUMBERS = "index.html", "analysis.json"
_FILES = (*(f"{name}.png" for name in FIGURES), NUMBERS, PAGE)


@dataclass(frozen=True)
class Written:
    """An analysis that was written."""

    page: str
    """Path or URL."""
    summary: str


def write_analysis(
    options: Mapping[str, Any], patch: str = "0.5,0.5", stream: TextIO | None = None
) -> Written:
    """Analyses one pair and writes the figures (PNG), their numbers (JSON) and the page (HTML).

    Args:
        options: those of `options.OPTIONS` that were given, and `output`, a folder or URL. Of each
            source the first picture is taken.
        patch: point of the content, "X,Y" as fractions of its width and height.
        stream: where progress goes, standard error by default.

    Raises:
        JobError: an option is wrong, a picture cannot be read, or the model cannot be used.
        RowError: the model's values are not finite.
    """
    inputs = read_inputs(options, patch, _FILES)
    expected, began = evaluations(inputs.variants), time.perf_counter()
    progress = PreviewProgress(len(inputs.variants), expected)
    with showing(progress, stream or sys.stderr):
        pipe = load(inputs.config, inputs.checkpoint.revision)
        from styleid_ray.analysis.compose import compose
        from styleid_ray.analysis.make import analyze_pair

        progress.follow(lambda: pipe.unet_evaluations)
        count = progress.count
        analysis = analyze_pair(pipe, *inputs.pictures, inputs.variants, inputs.patch, count)
        progress.say(pipe.notes)
        progress.finish()
    took = duration(time.perf_counter() - began)
    summary = f"{pipe.unet_evaluations} UNet evaluations on {pipe.device.type} in {took}"
    figures, numbers, page = compose(inputs, analysis, {**options, "patch": patch}, summary)
    files = {f"{name}.png": figures[name] for name in FIGURES}
    inputs.place.write({**files, NUMBERS: numbers.encode(), PAGE: page.encode()})
    return Written(f"{inputs.place.folder}/{PAGE}", summary)


def load(config: JobConfig, revision: str | None) -> StyleIDPipeline:
    """The pipeline of a job's model on this machine's device, neither compiled, since features of a
    compiled UNet cannot be watched, nor tuned for more than a pair.

    Args:
        config: model, precision, device and engine options.
        revision: that of the checkpoint which was found.

    Raises:
        ModelError: the model cannot be loaded.
        ConfigError: the device asked for is not there.
    """
    # Threads that spin while they wait for each other are twenty times as slow on busy cores.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    return load_engine(config.model_copy(update={"batch": 2, "compile": "off"}), revision)
