"""Train the embedded demo model, from drawing its pictures to writing its weights.

    python -m demo_model --work WORK                  every stage, size base
    python -m demo_model unet --work WORK --resume    one stage, from its checkpoint
    python -m demo_model measure --work WORK --photos FOLDER --paintings FOLDER

`ray job submit --working-dir . -- python -m demo_model …` runs it in a cluster, on a GPU where
there is one.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

Stage = Literal["all", "draw", "codec", "encode", "unet", "decoder", "export", "measure"]


@dataclass(frozen=True)
class Options:
    """What to train, where, and which part of it."""

    stage: tyro.conf.Positional[Stage] = "all"
    """All stages in turn, or one of them; `measure` is not one of `all`."""
    size: Annotated[str, tyro.conf.arg(metavar="tiny|small|base|large")] = "base"
    """The recipe: `base` is the one that ships, `large` wants a GPU."""
    work: Path = Path("out/demo-model")
    """Folder for pictures, latents and checkpoints."""
    out: Path | None = None
    """Folder for the weights; by default WORK/model."""
    seed: int = 0
    """Fixes pictures, first weights and noise."""
    resume: bool = False
    """Go on from the last checkpoint instead of starting anew."""
    workers: int = 1
    """Processes that draw pictures."""
    threads: int = 0
    """Threads of torch on the CPU; 0 leaves torch's own choice."""
    photos: Path | None = None
    """`measure`: a folder of photographs to use as contents."""
    paintings: Path | None = None
    """`measure`: a folder of paintings to use as styles."""


def main(options: Options) -> None:
    """Run the stages that were asked for."""
    import torch

    from demo_model.stages import RECIPES, Workshop

    if options.size not in RECIPES:
        raise SystemExit(f"size {options.size!r} is not known: use one of {', '.join(RECIPES)}")
    if options.threads:
        torch.set_num_threads(options.threads)
    start = time.monotonic()

    def log(line: str) -> None:
        print(f"[{time.monotonic() - start:7.0f} s] {line}", flush=True)

    shop = Workshop(
        options.work,
        RECIPES[options.size],
        options.seed,
        torch.device("cuda" if torch.cuda.is_available() else "cpu"),
        log,
        options.workers,
        options.resume,
    )
    out = options.out or options.work / "model"
    if options.stage == "measure":
        from demo_model.measure import measure

        measure(out, options.work / "measured", options.photos, options.paintings, log)
        return
    stages = {
        "draw": shop.draw,
        "codec": shop.train_codec,
        "encode": shop.encode,
        "unet": shop.train_unet,
        "decoder": shop.refine_decoder,
        "export": lambda: shop.export(out),
    }
    for name, run in stages.items():
        if options.stage in ("all", name):
            run()


if __name__ == "__main__":
    main(tyro.cli(Options))
