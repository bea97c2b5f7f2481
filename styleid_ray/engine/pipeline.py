"""StyleID on one device: encode, invert, inject, decode."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from PIL import Image
from torch import Tensor

from styleid_ray.config import FeatureDType, FeatureStore, ResolvedParams, StyleParams
from styleid_ray.engine import autoencoder
from styleid_ray.engine.attention import check_layers
from styleid_ray.engine.batch_inversion import BatchInversion, invert_batch
from styleid_ray.engine.batching import MicroBatch
from styleid_ray.engine.compiling import compile_blocks
from styleid_ray.engine.denoiser import Denoiser
from styleid_ray.engine.features import Role
from styleid_ray.engine.inversions import InversionCache
from styleid_ray.engine.memory import Choice, Room, budget, choose_store, features_nbytes
from styleid_ray.engine.pairs import Pairs, params_of_pairs, resolve_pairs
from styleid_ray.engine.schedule import Schedule, make_schedule
from styleid_ray.engine.transfer import Finished, Pair, Picture, SeenStep, Transfer
from styleid_ray.errors import ConfigError, RowError

_LOG = logging.getLogger(__name__)
Decoded = Callable[[Sequence[int], Tensor, Tensor], None]
"""(which latents, their pictures uint8 [B, H, W, 3], whether each is finite [B])."""
_VAE_WEIGHT = 4
_DTYPES: dict[str, torch.dtype] = {
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
    "int8": torch.int8,
}


@dataclass(frozen=True)
class Counts:
    """What a pipeline has done so far."""

    unet_evaluations: int
    """UNet forwards, one for each latent in a batch."""
    inversions: int
    """Pictures inverted."""
    inversions_reused: int
    """Pictures of a call whose inversion was kept from an earlier one."""
    peak_feature_bytes: int
    """Most memory that kept inversions took at a time."""
    batch_halvings: int
    """How often the batch was halved because memory ran out."""


class StyleIDPipeline:
    """Style injection with a pre-trained latent diffusion model (Chung, Hyun, Heo, CVPR 2024).

    Latents are float32 whatever the model computes in.

    Args:
        unet: diffusers `UNet2DConditionModel`.
        scheduler: diffusers scheduler; its noise levels and prediction type are used.
        null_embedding: the empty prompt's embedding [1, tokens, D].
        vae: diffusers autoencoder; without one only the methods on latents work.
        batch_size: most latents in one UNet call and pictures in one autoencoder call; "auto" goes
            by their size. Halved when memory runs out.
        features: where inverted pictures keep their features: "device", "host" (streamed one step
            ahead), "recompute" (only latents are kept), or "auto", by the memory at hand.
        feature_dtype: precision of kept features; "auto" is the UNet's.
        feature_memory: GiB that kept features may take; None is three quarters of what is free.
        host_share, device_share: the parts of what is free in host and device memory that are this
            pipeline's, in (0, 1].
        compile: compile the blocks of UNet and autoencoder with torch.compile.
    """

    def __init__(
        self,
        *,
        unet: Any,
        scheduler: Any,
        null_embedding: Tensor,
        vae: Any = None,
        batch_size: int | Literal["auto"] = "auto",
        features: FeatureStore = "auto",
        feature_dtype: FeatureDType = "auto",
        feature_memory: float | None = None,
        host_share: float = 1.0,
        device_share: float = 1.0,
        compile: bool = False,
    ) -> None:
        self.unet = unet
        self.scheduler = scheduler
        self.vae = vae
        self.device = unet.device
        self.batch = MicroBatch(batch_size, self.device)
        self.vae_batch = MicroBatch(batch_size, self.device, weight=_VAE_WEIGHT)
        self.features = features
        self.feature_dtype = unet.dtype if feature_dtype == "auto" else _DTYPES[feature_dtype]
        self.feature_memory = feature_memory
        self.shares = host_share, device_share
        self.cache = InversionCache(0)
        self.choice: Choice | None = None
        self.notes: list[str] = []
        self._inversions = self._reused = self._vae_batches_done = 0
        if compile:
            for part in (unet, vae) if vae else (unet,):
                compile_blocks(part)
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
        **options: Any,
    ) -> StyleIDPipeline:
        """The pipeline of a hub id, a local diffusers folder, or `demo`, the embedded model.

        Weights are read from safetensors only. By default on CUDA in float16 where there is a GPU,
        else on CPU in float32. Raises ModelError, in one line, when the model cannot be had, is
        not of the SD 1.x / 2.x family, or lacks a part. `options` as of the class.
        """
        from styleid_ray.engine.loading import load_components

        return cls(**load_components(model, revision, dtype, device), **options)

    @property
    def unet_evaluations(self) -> int:
        """UNet forwards so far, one for each latent in a batch."""
        return self.denoise.evaluations

    @property
    def steps(self) -> int:
        """A number that grows whenever the device has been given more to do."""
        return self.denoise.evaluations + self._vae_batches_done

    @property
    def counts(self) -> Counts:
        """What was done so far."""
        return Counts(
            self.denoise.evaluations,
            self._inversions,
            self._reused,
            self.cache.peak,
            self.batch.halvings + self.vae_batch.halvings,
        )

    @property
    def factor(self) -> int:
        """What the sides of a picture must be multiples of, in pixels."""
        unet_factor = 2 ** (len(self.unet.config.block_out_channels) - 1)
        return unet_factor * (self._vae_factor if self.vae else 1)

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
    def encode(self, pictures: Sequence[Image.Image | Tensor]) -> list[Tensor]:
        """Clean latents z_0, each [C, h, w], of pictures whose sides are multiples of `factor`.

        A picture may be given as a tensor, uint8 [H, W, 3].
        """
        tensors = [x if isinstance(x, Tensor) else autoencoder.to_pixels(x) for x in pictures]
        for tensor in tensors:
            height, width, _ = tensor.shape
            if width % self.factor or height % self.factor:
                raise ConfigError(
                    f"a picture of {width} x {height} does not fit this model, "
                    f"whose sides are multiples of {self.factor}: bring it to size with "
                    "styleid_ray.imaging.fit_picture"
                )
        latents: dict[int, Tensor] = {}

        def work(rows: list[int]) -> None:
            x = autoencoder.from_pixels(torch.stack([tensors[i] for i in rows]).to(self.device))
            latents.update(zip(rows, autoencoder.encode(self.vae, x), strict=True))

        shapes = [(3, *tensor.shape[:2]) for tensor in tensors]
        self._vae_batches(shapes, work, scale=self._vae_factor)
        return [latents[i] for i in range(len(pictures))]

    def decode(self, latents: Sequence[Tensor] | Tensor) -> list[Image.Image]:
        """Pictures of clean latents, each [C, h, w].

        Raises RowError, stage "stylize", when values are not finite: a model out of its range.
        """
        pictures: dict[int, Image.Image] = {}

        def take(rows: Sequence[int], pixels: Tensor, finite: Tensor) -> None:
            if not bool(finite.all()):
                raise RowError("stylize", autoencoder.NOT_FINITE)
            pictures.update(zip(rows, map(Image.fromarray, pixels.cpu().numpy()), strict=True))

        self.decode_batches(latents, take)
        return [pictures[i] for i in range(len(latents))]

    @torch.no_grad()
    def decode_batches(self, latents: Sequence[Tensor] | Tensor, take: Decoded) -> None:
        """Decodes clean latents, each [C, h, w], and hands over each batch while it is on the
        device: nothing waits for it here."""

        def work(rows: list[int]) -> None:
            z = torch.stack([latents[i] for i in rows])
            x = autoencoder.decode(self.vae, z)
            finite = z.isfinite().flatten(1).all(1) & x.isfinite().flatten(1).all(1)
            take(rows, autoencoder.quantised(x), finite)

        self._vae_batches([z.shape for z in latents], work, scale=1)

    @torch.no_grad()
    def invert_latents(self, z0: Tensor, params: StyleParams | None = None) -> BatchInversion:
        """z_T and the features Q, K, V of clean latents z_0 [B, C, h, w], on the device."""
        resolved = (params or StyleParams()).resolved()
        steps = self._schedule(resolved).inversion
        z0 = z0.to(self.device, torch.float32)
        return invert_batch(self.denoise, z0, steps, resolved.layers, self.batch.most(z0.shape))

    @torch.no_grad()
    def transfer_latents(
        self,
        z_contents: Tensor | Sequence[Tensor],
        z_styles: Tensor | Sequence[Tensor],
        pairs: Pairs = "cross",
        params: StyleParams | Sequence[StyleParams] | None = None,
        callback: SeenStep | None = None,
        keys: tuple[Sequence[str], Sequence[str]] | None = None,
        finished: Finished | None = None,
    ) -> Any:
        """Stylised clean latents, one for each pair.

        `z_contents` and `z_styles` are clean latents: a tensor [n, C, h, w], or a list of [C, h, w]
        whose heights and widths may differ. Each picture that a pair names is inverted once, as far
        as memory allows. `params` is one for all pairs, or one a pair; these may differ in gamma
        and temperature alone. `callback(pairs, step, z, z0)` sees, after each sampling step of a
        batch, which pairs it holds, their latents and the z_0 that the step predicted. With `keys`
        (of the contents, of the styles), equal for equal pictures, inversions are kept for later
        calls. `finished(pairs, z_0)` gets the latents of each batch as soon as it is done.

        Returns a tensor [P, C, h, w] when `z_contents` is one, else a list.
        """
        index = resolve_pairs(pairs, len(z_contents), len(z_styles))
        each = params_of_pairs(params, len(index))
        if not index:
            return torch.empty(0) if isinstance(z_contents, Tensor) else []
        shared = each[0]
        contents = self._pictures(z_contents, "content", shared, keys and keys[0])
        styles = self._pictures(z_styles, "style", shared, keys and keys[1])
        todo = [
            Pair(contents[i], styles[j] if shared.uses_style else None, p.gamma, p.temperature)
            for (i, j), p in zip(index, each, strict=True)
        ]
        try:
            latents = self._transfer(todo, shared, callback, finished)
        finally:
            if keys is None:
                self.cache.clear()
        return torch.stack(latents) if isinstance(z_contents, Tensor) else latents

    def _transfer(
        self,
        pairs: Sequence[Pair],
        params: ResolvedParams,
        callback: SeenStep | None,
        finished: Finished | None,
    ) -> list[Tensor]:
        if params.inject:
            check_layers(self.unet, params.layers)
        used = {picture.key: picture for pair in pairs for picture in pair.pictures}
        choice = self._choose_store(list(used.values()), params)
        self.cache.capacity = choice.capacity
        reused = sum(key in self.cache for key in used)
        transfer = Transfer(
            self.denoise,
            self._schedule(params),
            params,
            self.cache,
            self.batch,
            choice,
            self.feature_dtype,
        )
        halvings = self.batch.halvings
        latents = transfer.run(pairs, callback, finished)
        if self.batch.halvings > halvings:
            most = self.batch.most(latents[0].shape)
            self._note(f"out of memory: at most {most} latents in a batch from here on")
        if transfer.choice.store != choice.store:
            self._note(f"features: {transfer.choice.store} ({transfer.choice.why})")
        self._inversions += transfer.inversions
        self._reused += reused
        return latents

    def _pictures(
        self,
        latents: Tensor | Sequence[Tensor],
        role: Role,
        params: ResolvedParams,
        keys: Sequence[str] | None,
    ) -> list[Picture]:
        """Latents with keys that tell everything that their inversion depends on."""
        how = (params.preset, params.steps, params.layers if params.inject else ())
        return [
            Picture((role, keys[i] if keys else i, tuple(z.shape), how), z, role)
            for i, z in enumerate(latents)
        ]

    def _choose_store(self, pictures: Sequence[Picture], params: ResolvedParams) -> Choice:
        """Where features go: what must be held is the smaller side, and two of the other."""
        config: Any = self.unet.config
        on_gpu = self.device.type == "cuda"

        def needed(pinned: bool) -> int:
            sides: dict[Role, list[int]] = {"content": [], "style": []}
            for x in pictures:
                sides[x.role].append(
                    features_nbytes(config, x.z0.shape, params, x.role, self.feature_dtype, pinned)
                )
            held, passing = sorted(sides.values(), key=sum)
            return sum(held) + sum(sorted(passing)[-2:])

        need = Room(needed(False), needed(pinned=on_gpu))
        free = budget(self.device, self.cache.nbytes, self.feature_memory, *self.shares)
        choice = choose_store(self.features, need, free, on_cpu=not on_gpu)
        if self.choice is None or choice.store != self.choice.store:
            self._note(f"features: {choice.store} ({choice.why})")
        self.choice = choice
        return choice

    def _schedule(self, params: ResolvedParams) -> Schedule:
        alphas = self.scheduler.alphas_cumprod
        final = getattr(self.scheduler, "final_alpha_cumprod", alphas[0])
        return make_schedule(params, alphas.double().tolist(), float(final))

    def _note(self, text: str) -> None:
        """Log what a person may want to know, and keep it for whoever shows it."""
        _LOG.info(text)
        self.notes.append(text)

    @property
    def _vae_factor(self) -> int:
        return 2 ** (len(self.vae.config.block_out_channels) - 1)

    def _vae_batches(
        self, shapes: Iterable[Sequence[int]], work: Callable[[list[int]], None], scale: int
    ) -> None:
        """`work` on rows of one shape [C, H, W]; the sides are `scale` times a latent's."""
        groups: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for i, shape in enumerate(shapes):
            groups[tuple(shape)].append(i)

        def counted(rows: list[int]) -> None:
            work(rows)
            self._vae_batches_done += 1

        for (channels, height, width), rows in groups.items():
            self.vae_batch.run(rows, (channels, height // scale, width // scale), counted)
