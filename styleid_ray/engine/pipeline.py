"""StyleID on one device: encode, invert, inject, decode."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from styleid_ray.config import ResolvedParams, StyleParams
from styleid_ray.engine import autoencoder, ddim
from styleid_ray.engine.adain import ADAIN_EPS, adain
from styleid_ray.engine.attention import tapped
from styleid_ray.engine.denoiser import Denoiser
from styleid_ray.engine.features import Features, PairAttention, inject, record
from styleid_ray.engine.pairs import Pairs, params_of_pairs, resolve_pairs
from styleid_ray.engine.schedule import Schedule, Step, make_schedule
from styleid_ray.errors import ConfigError


@dataclass(frozen=True)
class Inversion:
    """What inverting pictures gives: z_T [B, C, h, w] and the features by (layer, timestep)."""

    z_T: Tensor
    features: Features


@dataclass(frozen=True)
class _Inverted:
    """One picture's z_T [C, h, w], and the row of `features` that is its own."""

    z_T: Tensor
    features: Features
    row: int


class StyleIDPipeline:
    """Style injection with a pre-trained latent diffusion model (Chung, Hyun, Heo, CVPR 2024).

    Latents are float32 whatever the model computes in. `batch_size` bounds the latents of one UNet
    call and the pictures of one autoencoder call.

    Args:
        unet: diffusers `UNet2DConditionModel`.
        scheduler: diffusers scheduler; its noise levels and prediction type are used.
        null_embedding: the empty prompt's embedding [1, tokens, D].
        vae: diffusers autoencoder; without one only the methods on latents work.
        batch_size: most latents in one UNet call.
    """

    def __init__(
        self,
        *,
        unet: Any,
        scheduler: Any,
        null_embedding: Tensor,
        vae: Any = None,
        batch_size: int = 8,
    ) -> None:
        self.unet = unet
        self.scheduler = scheduler
        self.vae = vae
        self.batch_size = batch_size
        self.device = unet.device
        self.denoise = Denoiser(
            unet,
            null_embedding.to(device=unet.device, dtype=unet.dtype),
            scheduler.config.prediction_type,
        )

    @classmethod
    def from_pretrained(
        cls,
        model: str,
        revision: str | None = None,
        dtype: str | torch.dtype | None = None,
        device: str | torch.device | None = None,
        batch_size: int = 8,
    ) -> StyleIDPipeline:
        """The pipeline of a hub id, a local diffusers folder, or `demo`, the embedded model.

        Weights are read from safetensors only. By default on CUDA in float16 where there is a GPU,
        else on CPU in float32. Raises ModelError, in one line, when the model cannot be had, is
        not of the SD 1.x / 2.x family, or lacks a part.
        """
        from styleid_ray.engine.loading import load_components

        return cls(**load_components(model, revision, dtype, device), batch_size=batch_size)

    @property
    def unet_evaluations(self) -> int:
        """UNet forwards so far, one for each latent in a batch."""
        return self.denoise.evaluations

    @property
    def factor(self) -> int:
        """What the sides of a picture must be multiples of, in pixels."""
        unet_factor = 2 ** (len(self.unet.config.block_out_channels) - 1)
        vae_factor = 2 ** (len(self.vae.config.block_out_channels) - 1) if self.vae else 1
        return unet_factor * vae_factor

    def __call__(
        self,
        contents: Sequence[Image.Image],
        styles: Sequence[Image.Image],
        pairs: Pairs = "cross",
        params: StyleParams | Sequence[StyleParams] | None = None,
    ) -> list[Image.Image]:
        """One stylised picture for each pair, at its content's size.

        `pairs` is "cross" (every content with every style, contents outermost), "zip", or a list of
        (content index, style index). Sides of pictures must be multiples of `factor`; sizes may
        differ from picture to picture. `params` as in `transfer_latents`.
        """
        index = resolve_pairs(pairs, len(contents), len(styles))
        z = self.transfer_latents(self.encode(contents), self.encode(styles), index, params)
        return self.decode(z)

    @torch.no_grad()
    def encode(self, pictures: Sequence[Image.Image]) -> list[Tensor]:
        """Clean latents z_0, each [C, h, w], of pictures whose sides are multiples of `factor`."""
        for picture in pictures:
            if picture.width % self.factor or picture.height % self.factor:
                raise ConfigError(
                    f"a picture of {picture.width} x {picture.height} does not fit this model, "
                    f"whose sides are multiples of {self.factor}: bring it to size with "
                    "styleid_ray.imaging.fit_picture"
                )
        tensors = [autoencoder.to_tensor(picture) for picture in pictures]
        latents: dict[int, Tensor] = {}
        for rows in self._batches_of_one_shape(tensors):
            x = torch.stack([tensors[i] for i in rows]).to(self.device)
            latents.update(zip(rows, autoencoder.encode(self.vae, x), strict=True))
        return [latents[i] for i in range(len(pictures))]

    @torch.no_grad()
    def decode(self, latents: Sequence[Tensor] | Tensor) -> list[Image.Image]:
        """Pictures of clean latents, each [C, h, w]."""
        pictures: dict[int, Image.Image] = {}
        for rows in self._batches_of_one_shape(latents):
            x = autoencoder.decode(self.vae, torch.stack([latents[i] for i in rows]))
            pictures.update(zip(rows, map(autoencoder.to_image, x), strict=True))
        return [pictures[i] for i in range(len(latents))]

    @torch.no_grad()
    def invert_latents(self, z0: Tensor, params: StyleParams | None = None) -> Inversion:
        """z_T and the features Q, K, V of clean latents z_0 [B, C, h, w]."""
        resolved = (params or StyleParams()).resolved()
        parts = [
            self._invert(batch, slice(0, len(batch)), slice(0, len(batch)), resolved)
            for batch in z0.to(self.device, torch.float32).split(self.batch_size)
        ]
        return Inversion(
            torch.cat([part.z_T for part in parts]), Features.cat([part.features for part in parts])
        )

    @torch.no_grad()
    def transfer_latents(
        self,
        z_contents: Tensor | Sequence[Tensor],
        z_styles: Tensor | Sequence[Tensor],
        pairs: Pairs = "cross",
        params: StyleParams | Sequence[StyleParams] | None = None,
        callback: Callable[[Sequence[int], Step, Tensor, Tensor], None] | None = None,
    ) -> Any:
        """Stylised clean latents, one for each pair.

        `z_contents` and `z_styles` are clean latents: a tensor [n, C, h, w], or a list of [C, h, w]
        whose heights and widths may differ. Each picture that a pair names is inverted once.
        `params` is one for all pairs, or one a pair; these may differ in gamma and temperature
        alone. `callback(pairs, step, z, z0)` sees, after each sampling step of a batch, which pairs
        it holds, their latents and the z_0 that the step predicted.

        Returns a tensor [P, C, h, w] when `z_contents` is one, else a list.
        """
        index = resolve_pairs(pairs, len(z_contents), len(z_styles))
        each = params_of_pairs(params, len(index))
        if not index:
            return torch.empty(0) if isinstance(z_contents, Tensor) else []
        shared = each[0]
        contents, styles = self._invert_pictures(z_contents, z_styles, index, shared)

        def starts(rows: Sequence[int]) -> Iterator[tuple[Tensor, PairAttention]]:
            for row in rows:
                i, j = index[row]
                z, style = contents[i].z_T, styles.get(j)
                if style and shared.adain:
                    z = adain(z[None], style.z_T[None], ADAIN_EPS[shared.preset])[0]
                content_at = contents[i].features, contents[i].row
                style_at = (style.features, style.row) if style else content_at
                p = each[row]
                yield z, PairAttention(content_at, style_at, p.gamma, p.temperature)

        order = sorted(range(len(index)), key=lambda row: (index[row][1], each[row].temperature))
        out: dict[int, Tensor] = {}
        for rows in self._batches_of_one_shape([contents[i].z_T for i, _ in index], order):
            z, attention = zip(*starts(rows), strict=True)
            seen = partial(callback, rows) if callback else None
            z0 = self._sample(torch.stack(z), attention, shared, seen)
            out.update(zip(rows, z0, strict=True))
        latents = [out[row] for row in range(len(index))]
        return torch.stack(latents) if isinstance(z_contents, Tensor) else latents

    def _schedule(self, params: ResolvedParams) -> Schedule:
        alphas = self.scheduler.alphas_cumprod
        final = getattr(self.scheduler, "final_alpha_cumprod", alphas[0])
        return make_schedule(params, alphas.double().tolist(), float(final))

    def _invert_pictures(
        self,
        z_contents: Tensor | Sequence[Tensor],
        z_styles: Tensor | Sequence[Tensor],
        index: Sequence[tuple[int, int]],
        params: ResolvedParams,
    ) -> tuple[dict[int, _Inverted], dict[int, _Inverted]]:
        """Every content and style that a pair names, inverted once, together in batches."""
        n = len(z_contents)
        wanted = dict.fromkeys(i for i, _ in index)
        if params.uses_style:
            wanted |= dict.fromkeys(n + j for _, j in index)
        latents = [*z_contents, *z_styles]
        inverted: dict[int, _Inverted] = {}
        for rows in self._batches_of_one_shape(latents, sorted(wanted)):
            z0 = torch.stack([latents[i].to(self.device, torch.float32) for i in rows])
            split = sum(i < n for i in rows)
            part = self._invert(z0, slice(0, split), slice(split, len(rows)), params)
            for at, i in enumerate(rows):
                row = at if i < n else at - split
                inverted[i] = _Inverted(part.z_T[at], part.features, row)
        contents = {i: x for i, x in inverted.items() if i < n}
        return contents, {i - n: x for i, x in inverted.items() if i >= n}

    def _invert(
        self, z0: Tensor, contents: slice, styles: slice, params: ResolvedParams
    ) -> Inversion:
        """One batch inverted; Q is kept of the rows in `contents`, K and V of those in `styles`."""
        steps, features = self._schedule(params).inversion, Features()
        if not params.inject:
            return Inversion(ddim.invert(self.denoise, z0, steps), features)
        with tapped(self.unet, params.layers) as tap:

            def recording(z: Tensor, t: int, a: float) -> Tensor:
                tap.attend = record(features, t, contents, styles)
                return self.denoise(z, t, a)

            return Inversion(ddim.invert(recording, z0, steps), features)

    def _sample(
        self,
        z_T: Tensor,
        pairs: Sequence[PairAttention],
        params: ResolvedParams,
        callback: ddim.Callback | None,
    ) -> Tensor:
        """One batch of pairs sampled from their initial latents, with injection."""
        schedule = self._schedule(params)
        steps, returns_z0 = schedule.sampling, schedule.returns_z0
        if not params.inject:
            return ddim.sample(self.denoise, z_T, steps, returns_z0, callback)
        with tapped(self.unet, params.layers) as tap:

            def injecting(z: Tensor, t: int, a: float) -> Tensor:
                tap.attend = inject(pairs, t)
                return self.denoise(z, t, a)

            return ddim.sample(injecting, z_T, steps, returns_z0, callback)

    def _batches_of_one_shape(
        self, tensors: Sequence[Tensor] | Tensor, order: Iterable[int] | None = None
    ) -> Iterator[list[int]]:
        """Indices in batches of at most `batch_size` whose tensors share a shape, order kept."""
        groups: dict[torch.Size, list[int]] = defaultdict(list)
        for i in range(len(tensors)) if order is None else order:
            groups[tensors[i].shape].append(i)
        for rows in groups.values():
            batches = -(-len(rows) // self.batch_size)
            size = -(-len(rows) // batches)
            yield from (rows[at : at + size] for at in range(0, len(rows), size))
