"""torch.compile, where it pays."""

from __future__ import annotations

import torch

_SHAPES = 64


def compile_blocks(part: torch.nn.Module, backend: str = "inductor") -> None:
    """Compile a model's repeated blocks in place.

    The blocks and not the whole: attention changes what it does between calls, and a block that
    stands in many places is compiled once for each of its shapes.
    """
    # A block's code is compiled anew for each width that it has somewhere in the model.
    torch._dynamo.config.recompile_limit = max(_SHAPES, torch._dynamo.config.recompile_limit)
    for module in part.modules():
        if type(module).__name__ in ("ResnetBlock2D", "FeedForward"):
            module.compile(backend=backend)
