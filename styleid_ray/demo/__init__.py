"""A first run: pictures and a small model that come with the package, the real pipeline."""

import shlex
import shutil
import sys
from pathlib import Path
from typing import TextIO

from styleid_ray.config import DEMO_MODEL, JobConfig
from styleid_ray.errors import OutputError

SIZE = 256
"""Side of the pictures and working size, in pixels: the embedded model is made for it."""
INPUTS = Path(__file__).parent / "inputs"
"""Folder of the pictures, which `demo_model/inputs.py` drew."""


def run_demo(
    output: str = "out/demo", stream: TextIO | None = None, model: str = DEMO_MODEL, **options: int
) -> int:
    """Stylises a few drawn scenes with a few drawn paintings and writes the page that shows them.

    Running again resumes, or does nothing.

    Args:
        output: local folder; the pictures are copied to `inputs` in it.
        stream: where progress and hints go, standard error by default.
        model: as in `JobConfig`; anything but the embedded model is for trying things out.
        options: other options of the job, such as steps.

    Returns:
        The exit status: 0, or 1 when some pairs failed.

    Raises:
        JobError: the run cannot start, or the output holds another one.
    """
    if "://" in output:
        raise OutputError(f"the demo needs a folder on this machine, not {output}")
    from styleid_ray.batch.folder.output import Output
    from styleid_ray.batch.run import stylize
    from styleid_ray.report import write_report

    out = stream or sys.stderr
    folder = Path(output)
    content, style = copy_inputs(folder / "inputs")
    config = JobConfig(
        content=str(content),
        style=str(style),
        output=str(folder),
        model=model,
        size=SIZE,
        # Two actors of one thread on the CPU, which everybody has: one actor with the threads of
        # two cores would wait for itself as soon as anything else runs on the machine.
        actors=(2, 2),
        device="cpu",
        num_gpus_per_actor=0,
        **options,  # pyright: ignore[reportArgumentType]
    )
    summary = stylize(config, stream=out)
    page = Path(write_report(Output(config.output))).resolve()
    print(_hints(folder, page), file=out)
    return summary.exit_status


def copy_inputs(folder: Path) -> tuple[Path, Path]:
    """Copies the contents and styles; returns their folders. Pictures that are there stay."""
    for picture in INPUTS.glob("*/*.png"):
        target = folder / picture.relative_to(INPUTS)
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            aside = target.with_suffix(".part")  # a demo that is stopped leaves no half picture
            shutil.copyfile(picture, aside)
            aside.replace(target)
    return folder / "content", folder / "style"


def _hints(folder: Path, page: Path) -> str:
    inputs, other = folder / "inputs", folder.with_name(f"{folder.name}-20-steps")
    places = (inputs / "content", inputs / "style", other)
    contents, styles, other = (shlex.quote(str(place)) for place in places)
    return f"""
The page to look at:  {page.as_uri()}
The dataset:          {folder / "data"} (Parquet, with the pictures inside)

To try next:
  The same in 20 steps, as the authors' diffusers port does it:
    styleid-ray stylize --model demo --size {SIZE} --preset diffusers --output {other} \\
      --content {contents} --style {styles}
  Your own pictures:
    styleid-ray stylize --model demo --size {SIZE} --output out/mine \\
      --content PHOTOS --style PAINTINGS"""
