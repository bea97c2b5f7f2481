"""From the options of an analysis to its figures, numbers and page."""

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TextIO

from styleid_ray.analysis.ablations import evaluations
from styleid_ray.analysis.inputs import read_inputs
from styleid_ray.analysis.options import PAGE
from styleid_ray.batch.watch.progress import duration
from styleid_ray.batch.watch.progress import shown as showing
from styleid_ray.preview.make import PreviewProgress, load
from styleid_ray.preview.place import as_given


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
        options: the given ones of `options.OPTIONS`, and `output`, a folder or URL. The first
            picture of each source is taken.
        patch: point of the content, "X,Y" as fractions of its width and height.
        stream: of the progress, standard error by default.

    Raises:
        JobError: an option is wrong, a picture cannot be read, or the model cannot be used.
        RowError: the model's values are not finite.
    """
    inputs = read_inputs(options, patch)
    expected, began = evaluations(inputs.variants), time.perf_counter()
    progress = PreviewProgress(expected)
    with showing(progress, stream or sys.stderr):
        # The features of a compiled UNet cannot be watched.
        config = inputs.config.model_copy(update={"batch": 2, "compile": "off"})
        pipe: Any = load(config, inputs.checkpoint.revision)
        from styleid_ray.analysis.compose import compose
        from styleid_ray.analysis.make import analyze_pair

        progress.follow(lambda: pipe.unet_evaluations)
        analysis = analyze_pair(pipe, *inputs.pictures, inputs.variants, inputs.patch)
        progress.say(pipe.notes)
        progress.finish()
    took = duration(time.perf_counter() - began)
    summary = f"{pipe.unet_evaluations} UNet evaluations on {pipe.device.type} in {took}"
    inputs.place.write(compose(inputs, analysis, {**options, "patch": patch}, summary))
    return Written(as_given(str(options["output"]), PAGE), summary)
