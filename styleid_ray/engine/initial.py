"""The latents that sampling begins with (section 3.4 of the paper, and options beyond it)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from styleid_ray.config import ResolvedParams
from styleid_ray.engine.memory import Inversion
from styleid_ray.engine.pairs import Pair, stacked_shares
from styleid_ray.engine.styleid import Protection, adain, scale_low_frequencies

ADAIN_FLOOR = {"paper": 0.0, "scheduled": 0.0, "diffusers": 1e-4}
"""Number added to the content's standard deviation, by preset."""


def initial_latents(
    pairs: Sequence[Pair],
    kept: Sequence[Sequence[Inversion]],
    params: ResolvedParams,
    protect: Protection | None,
) -> Tensor:
    """The initial latents [B, C, h, w] of pairs: the contents' noise with the styles' statistics.
    `kept` has each pair's inversions, the content's first."""
    floor = ADAIN_FLOOR[params.preset]
    z_c, *z_s = (torch.stack([x.z_T for x in side]) for side in zip(*kept, strict=True))
    z = z_c
    if params.low_frequency != 1:
        z = scale_low_frequencies(z_c, params.low_frequency)
    if params.adain and z_s:
        joined = [adain(z, style, floor) for style in z_s]
        mixed = _mixed(pairs, joined)
        z = mixed if params.adain is True else torch.lerp(z, mixed, params.adain)
    return torch.lerp(z_c, z, protect.strength) if protect else z


def _mixed(pairs: Sequence[Pair], joined: Sequence[Tensor]) -> Tensor:
    """The mean of the latents [B, C, h, w] of each style, by shares or weights."""
    if len(joined) == 1:
        return joined[0]
    parts = stacked_shares(pairs)
    if parts is None:
        parts = joined[0].new_tensor([pair.weights for pair in pairs]).T[:, :, None, None]
    return torch.stack(list(joined)).mul(parts[:, :, None]).sum(0)
