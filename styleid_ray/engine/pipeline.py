"""StyleID on one device: encode, invert, inject, decode."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

import torch
from PIL import Image
from torch import Tensor

from styleid_ray.config import FeatureDType, FeatureStore, StyleParams
from styleid_ray.engine import cuda
from styleid_ray.engine.autoencoder import Autoencoder, Decoded
from styleid_ray.engine.denoiser import Condition, Denoiser
from styleid_ray.engine.finish import Finish
from styleid_ray.engine.inversion import BatchInversion, invert_batch
from styleid_ray.engine.memory import Memory
from styleid_ray.engine.pairs import (
    Pairs,
    check_regions,
    check_weights,
    join,
    params_of_pairs,
    resolve_pairs,
)
from styleid_ray.engine.pictures import PictureLike, Taken, check_list, check_sides, to_pixels
from styleid_ray.engine.regions import as_maps, check_maps, class_shares, strengths
from styleid_ray.engine.schedule import schedule_of
from styleid_ray.engine.structure import SeenStructure
from styleid_ray.engine.stylizer import Counts
from styleid_ray.engine.transfer import Finished, Transfer
from styleid_ray.engine.tuning import Tuner
from styleid_ray.model.description import describe


class StyleIDPipeline:
    """Style injection with a pre-trained latent diffusion model (Chung, Hyun, Heo, CVPR 2024).

    Latents are float32 whatever the model computes in.

    Args:
        unet: diffusers `UNet2DConditionModel`, or a `UNet2DModel` on latents.
        scheduler: diffusers scheduler; its noise levels and prediction type are used.
        null_embedding: the empty prompt's embedding [1, tokens, D]; None for a model without text.
        pooled_embedding: its pooled embedding [1, P], which Stable Diffusion XL also takes.
        vae: diffusers autoencoder; without one only the methods on latents work.
        tile: most pixels per side that the UNet sees at once, a multiple of `factor`: larger
            pictures are made window by window, blended in each step. None: the whole picture.
        vae_tile: most pixels per side in one call of the autoencoder, likewise; None: `tile`.
        batch_size: most latents in one UNet call, and a quarter as many pictures in one autoencoder
            call. "auto" is 8 on a CPU; on a GPU the fastest of 8 to 64, measured at the first call.
            Halved when memory runs out (`Memory`).
        features: place of the features of inverted pictures: "device", "host" (prefetched one step
            ahead), or "auto", by the free memory.
        feature_dtype: precision of kept features; "auto" is the UNet's.
        feature_memory: GiB that kept features may take; None: three quarters of the free memory.
        host_share, device_share: this pipeline's share of host and device memory, in (0, 1].
        compile: compile UNet and autoencoder with torch.compile; "auto" does so on a GPU when
            `evaluations` are enough to pay for it.
        evaluations: expected number of UNet evaluations, about.
    """

    def __init__(
        self,
        *,
        unet: Any,
        scheduler: Any,
        null_embedding: Tensor | None = None,
        pooled_embedding: Tensor | None = None,
        vae: Any = None,
        tile: int | None = None,
        vae_tile: int | None = None,
        batch_size: int | Literal["auto"] = "auto",
        features: FeatureStore = "auto",
        feature_dtype: FeatureDType = "auto",
        feature_memory: float | None = None,
        host_share: float = 1.0,
        device_share: float = 1.0,
        compile: bool | Literal["auto"] = "auto",
        evaluations: int = 0,
    ) -> None:
        self.unet = unet
        self.scheduler = scheduler
        self.vae = vae
        self.device = unet.device
        self.feature_dtype = (
            unet.dtype if feature_dtype == "auto" else getattr(torch, feature_dtype)
        )
        self.model = describe(unet.config, vae.config if vae else None, scheduler.config)
        prompt, pooled = (
            x if x is None else x.to(device=unet.device, dtype=unet.dtype)
            for x in (null_embedding, pooled_embedding)
        )
        self.factor = self.model.factor
        """Pixels; the sides of a picture must be multiples of it."""
        condition = Condition(self.model, prompt, pooled)
        self.model.check_tile(tile)
        self.tile = tile and tile // self.model.vae_factor
        room = features, feature_memory, host_share, device_share
        models = {"unet": unet, "vae": vae, "window": self.tile, "vae_tile": vae_tile or tile}
        self.memory = Memory(self.device, batch_size, *room, **models)
        self.notes = self.memory.notes
        """Decisions of interest to a user, in words."""
        self.denoise = Denoiser(unet, condition, self.memory.batches.fill, self.tile)
        self.autoencoder = Autoencoder(vae, self.memory, vae_tile or tile)
        self.tuner = Tuner(self.denoise, self.autoencoder, self.memory, compile, evaluations)

    @classmethod
    def from_pretrained(
        cls,
        model: str,
        revision: str | None = None,
        dtype: str | torch.dtype | None = None,
        device: str | torch.device | None = None,
        vae: str | None = None,
        lora: str | Sequence[str] = (),
        **options: Any,
    ) -> StyleIDPipeline:
        """The pipeline of a hub id, a local diffusers folder, or `demo`, the embedded model.

        `vae` names another autoencoder, a hub id or a local folder; `lora` names files of LoRA
        weights to add to the UNet, as --lora does. Weights are read from safetensors only. The
        default is float16 on CUDA where there is a GPU, else float32 on the CPU. `options` are
        those of the class.

        Raises ModelError, in one line, when the model is not available, belongs to no family that
        StyleID works with, or lacks a part.
        """
        from styleid_ray.model.loading import load_components

        return cls(**load_components(model, revision, dtype, device, vae, lora), **options)

    @property
    def unet_evaluations(self) -> int:
        """UNet forwards so far, one per window and latent."""
        return self.denoise.evaluations

    @property
    def steps(self) -> int:
        """A number that grows with each piece of work given to the device."""
        return self.denoise.evaluations + self.autoencoder.batches

    @property
    def counts(self) -> Counts:
        """Work so far."""
        memory = self.memory
        return Counts(
            self.denoise.evaluations,
            memory.inversions,
            memory.reused,
            memory.peak,
            memory.batches.halvings.total(),
        )

    def __call__(
        self,
        contents: Sequence[PictureLike],
        styles: Sequence[PictureLike],
        pairs: Pairs = "cross",
        params: StyleParams | Sequence[StyleParams] | None = None,
        **regions: Any,
    ) -> list[Image.Image]:
        """One stylised picture per pair, at its content's size.

        `contents` and `styles` are Pillow pictures, paths, URLs or arrays uint8 [H, W, 3]. `pairs`
        is "cross" (every content with every style, contents outermost), "zip", or a list of
        (content index, style index). Sides of pictures must be multiples of `factor`; sizes may
        differ from picture to picture. `params` as in `transfer_latents`; `masks`, `label_maps`,
        `classes` and `weights` as in `stylize`.

        Raises ConfigError for anything that is no picture; RowError, stage "fetch" or "decode", for
        a file that cannot be read, and stage "stylize" when values are not finite: a model out of
        its range.
        """
        if own := sorted(regions.keys() & StyleParams.model_fields.keys()):
            given = ", ".join(f"{name}=..." for name in own)
            raise TypeError(f"{', '.join(own)}: give params=StyleParams({given})")
        pictures = Taken()
        self.stylize(contents, styles, pairs, params, pictures.take, **regions)
        return pictures.in_order()

    @cuda.inference()
    def stylize(
        self,
        contents: Sequence[PictureLike],
        styles: Sequence[PictureLike],
        pairs: Pairs,
        params: StyleParams | Sequence[StyleParams] | None,
        take: Decoded,
        *,
        keys: tuple[Sequence[str], Sequence[str]] | None = None,
        masks: Sequence[Any] | None = None,
        label_maps: Sequence[Any] | None = None,
        classes: Sequence[tuple[int, ...]] | None = None,
        weights: Sequence[tuple[float, ...]] | None = None,
        structure: SeenStructure | None = None,
    ) -> None:
        """Stylises pictures, and hands over the results batch by batch.

        Args:
            contents, styles: each as in `to_pixels`.
            pairs, params, keys: as in `transfer_latents`.
            take: gets (pairs, pictures uint8 [B, H, W, 3], whether each is finite [B]) of each
                batch while it is on the device.
            masks: strength per content, uint8 [H, W] as tensor, array or grey picture: 0 keeps the
                content, 255 is stylised.
            label_maps: class numbers per content, likewise.
            classes: per pair, the classes in whose pixels its second style, its third and so on
                apply; the first applies everywhere else. Needs `label_maps`.
            weights: per pair, one weight per style, of sum 1: styles joined in one attention.
            structure: as in `transfer_latents`.
        """
        check_list(contents, "contents")
        check_list(styles, "styles")
        index = resolve_pairs(pairs, len(contents), len(styles))
        each = params_of_pairs(params, len(index), self.model.default_layers)
        pixels, styles = ([to_pixels(x) for x in pictures] for pictures in (contents, styles))
        masks, label_maps = as_maps(masks), as_maps(label_maps)
        check_sides([*pixels, *styles], self.model)
        check_maps(index, pixels, masks, label_maps, classes)
        check_weights(index, weights, classes is not None)
        z_contents = self.autoencoder.encode(pixels)
        finish = None
        if each and (each[0].detail or masks is not None):
            finish = Finish(each[0], pixels, self.autoencoder.reconstruct(z_contents), masks)

        def finished(rows: Sequence[int], z: Tensor) -> None:
            self.autoencoder.decode(
                z,
                lambda some, x, finite: take([rows[i] for i in some], x, finite),
                finish and partial(finish, [index[row][0] for row in rows]),
            )

        self.transfer_latents(
            z_contents,
            self.autoencoder.encode(styles),
            index,
            params,
            keys=keys,
            finished=finished,
            weights=weights,
            shares=class_shares(index, z_contents, label_maps, classes),
            strengths=strengths(index, z_contents, masks),
            structure=structure,
        )

    @cuda.inference()
    def encode(self, pictures: Sequence[PictureLike]) -> list[Tensor]:
        """Clean latents z_0, each [C, h, w], of pictures whose sides are multiples of `factor`,
        each as in `to_pixels`."""
        check_list(pictures, "pictures")
        pixels = [to_pixels(picture) for picture in pictures]
        check_sides(pixels, self.model)
        return self.autoencoder.encode(pixels)

    @cuda.inference()
    def decode(self, latents: Sequence[Tensor] | Tensor) -> list[Image.Image]:
        """Pictures of clean latents, each [C, h, w].

        Raises RowError, stage "stylize", when values are not finite: a model out of its range.
        """
        pictures = Taken()
        self.autoencoder.decode(latents, pictures.take)
        return pictures.in_order()

    @cuda.inference()
    def invert_latents(self, z0: Tensor, params: StyleParams | None = None) -> BatchInversion:
        """z_T and the features Q, K, V of clean latents z_0 [B, C, h, w], on the device."""
        resolved = (params or StyleParams()).resolved(self.model.default_layers)
        self.model.check_layers(resolved.layers)
        steps = schedule_of(self.scheduler, resolved).inversion
        z0 = z0.to(self.device, torch.float32)
        most = self.memory.batches.most(z0.shape)
        return invert_batch(self.denoise, z0, steps, resolved.layers, most)

    @cuda.inference()
    def transfer_latents(
        self,
        z_contents: Tensor | Sequence[Tensor],
        z_styles: Tensor | Sequence[Tensor],
        pairs: Pairs = "cross",
        params: StyleParams | Sequence[StyleParams] | None = None,
        keys: tuple[Sequence[str], Sequence[str]] | None = None,
        finished: Finished | None = None,
        weights: Sequence[tuple[float, ...]] | None = None,
        shares: Sequence[Tensor] | None = None,
        strengths: Sequence[Tensor] | None = None,
        structure: SeenStructure | None = None,
    ) -> Any:
        """Stylised clean latents, one per pair.

        Args:
            z_contents, z_styles: clean latents, a tensor [n, C, h, w], or a list of [C, h, w] whose
                heights and widths may differ. Each one that a pair names is inverted once, as far
                as memory allows.
            pairs: "cross", "zip", or (content index, style index or indices) of each pair.
            params: one for all pairs, or one per pair; these may differ in gamma and temperature
                alone.
            keys: of the contents and of the styles, equal for equal pictures: inversions are kept
                for later calls.
            finished: `finished(pairs, z_0)` gets the latents of each batch as soon as it is done.
            weights: as in `stylize`.
            shares: per pair, each style's share [styles, h, w] of each latent position, of sum 1.
            strengths: per pair [h, w], in [0, 1]: the share 1 − strength follows the content.
            structure: `structure(pairs, kept)` gets, before `finished`, the share of its content's
                structure that each pair keeps: `kept_structure` [B] on the device, from the
                features of the call. Not called without injection.

        Returns a tensor [P, C, h, w] when `z_contents` is one, else a list.
        """
        index = resolve_pairs(pairs, len(z_contents), len(z_styles))
        each = params_of_pairs(params, len(index), self.model.default_layers)
        check_weights(index, weights, shares is not None)
        check_regions(index, [z.shape for z in z_contents], shares, strengths)
        if not index:
            return torch.empty(0) if isinstance(z_contents, Tensor) else []
        z_c, z_s = self._moved(z_contents), self._moved(z_styles)
        shares, strengths = shares and self._moved(shares), strengths and self._moved(strengths)
        joined = join(index, z_c, z_s, each, keys, weights, shares, strengths)
        shared = each[0]
        try:
            if shared.inject:
                self.model.check_layers(shared.layers)
            schedule = schedule_of(self.scheduler, shared)
            how = schedule, shared, joined, self.feature_dtype
            transfer = Transfer(self.denoise, self.memory, *how, finished, structure)
            window = self.denoise.window_shape(transfer.usual_shape)
            self.tuner.tune(window, schedule.inversion[0], len(joined))
            latents = transfer.run()
        finally:
            if keys is None:
                self.memory.clear()
        return torch.stack(latents) if isinstance(z_contents, Tensor) else latents

    def _moved(self, tensors: Tensor | Sequence[Tensor]) -> list[Tensor]:
        """The tensors in float32 on the device."""
        return [x.to(self.device, torch.float32) for x in tensors]
