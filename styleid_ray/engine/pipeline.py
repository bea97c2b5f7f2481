"""StyleID on one device: encode, invert, inject, decode."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Literal, TypeVar

import torch
from PIL import Image
from torch import Tensor

from styleid_ray.config import FeatureDType, FeatureStore, ResolvedParams, StyleParams
from styleid_ray.controls import schedule as control
from styleid_ray.engine import cuda
from styleid_ray.engine.autoencoder import NOT_FINITE, Autoencoder, Decoded, from_pixels
from styleid_ray.engine.batch_inversion import BatchInversion, invert_batch
from styleid_ray.engine.condition import Condition
from styleid_ray.engine.counts import Counts
from styleid_ray.engine.denoiser import Denoiser
from styleid_ray.engine.finish import Finish
from styleid_ray.engine.joined import Pair, Picture
from styleid_ray.engine.layout import Role
from styleid_ray.engine.memory import Memory
from styleid_ray.engine.pairs import (
    Index,
    Pairs,
    check_mixes,
    checked,
    params_of_pairs,
    resolve_pairs,
)
from styleid_ray.engine.pictures import PictureLike, check_list, to_pixels
from styleid_ray.engine.regions import as_maps, check_maps, class_shares, strengths
from styleid_ray.engine.schedule import Schedule, make_schedule
from styleid_ray.engine.structure import SeenStructure
from styleid_ray.engine.transfer import Finished, SeenStep, Transfer
from styleid_ray.engine.tuning import Tuner
from styleid_ray.engine.work_order import Size
from styleid_ray.errors import ConfigError, RowError
from styleid_ray.model.description import describe
from styleid_ray.model.footprint import picture_memory

Method = TypeVar("Method", bound=Callable[..., Any])


def _inference(method: Method) -> Method:
    """A method without gradients, and with float32 numbers computed as such."""

    @functools.wraps(method)
    def run(*args: Any, **kwargs: Any) -> Any:
        with torch.no_grad(), cuda.exact_float32():
            return method(*args, **kwargs)

    return run  # pyright: ignore[reportReturnType]


class StyleIDPipeline:
    """Style injection with a pre-trained latent diffusion model (Chung, Hyun, Heo, CVPR 2024).

    Latents are float32 whatever the model computes in.

    Args:
        unet: diffusers `UNet2DConditionModel`, or a `UNet2DModel` on latents.
        scheduler: diffusers scheduler; its noise levels and prediction type are used.
        null_embedding: the empty prompt's embedding [1, tokens, D]; None of a model without text.
        pooled_embedding: its pooled embedding [1, P], which Stable Diffusion XL also takes.
        vae: diffusers autoencoder; without one only the methods on latents work.
        tile: most pixels per side that the UNet sees at once, a multiple of `factor`: larger
            pictures are made window by window, blended in each step. None is the whole picture.
        vae_tile: most pixels per side in one call of the autoencoder, likewise; None is `tile`.
        batch_size: most latents in one UNet call, and a quarter as many pictures in one autoencoder
            call. "auto" is 8 on a CPU; on a GPU the fastest of 8 to 64, measured at the first call.
            Halved when memory runs out (`Memory`).
        features: where features of inverted pictures are kept: "device", "host" (prefetched one
            step ahead), or "auto", by the free memory.
        feature_dtype: precision of kept features; "auto" is the UNet's.
        feature_memory: GiB that kept features may take; None is three quarters of the free memory.
        host_share, device_share: the parts of host and device memory that are this pipeline's, in
            (0, 1].
        compile: compile UNet and autoencoder with torch.compile; "auto" does so on a GPU when
            `evaluations` are enough to pay for it.
        evaluations: UNet evaluations that are expected of the pipeline, about.
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
        self.memory = Memory(
            self.device, batch_size, features, feature_memory, host_share, device_share
        )
        self.model = describe(unet.config, vae.config if vae else None, scheduler.config)
        prompt, pooled = (
            x if x is None else x.to(device=unet.device, dtype=unet.dtype)
            for x in (null_embedding, pooled_embedding)
        )
        condition = Condition(self.model, prompt, pooled)
        self.model.check_tile(tile)
        self.tile = tile and tile // self.model.vae_factor
        self.denoise = Denoiser(unet, condition, self.memory.fill, self.tile)
        self.autoencoder = Autoencoder(vae, self.memory, vae_tile or tile)
        self.tuner = Tuner(self.denoise, self.autoencoder, self.memory, compile, evaluations)
        self._inversions = self._reused = 0

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
        """The pipeline of a hub id, a local diffusers folder, or `demo`, the embedded model; with
        another autoencoder, a hub id or a local folder, if `vae` names one, and with LoRA weights
        added to the UNet, if `lora` names files as --lora does.

        Weights are read from safetensors only. By default on CUDA in float16 where there is a GPU,
        else on CPU in float32. Raises ModelError, in one line, when the model is not available, is
        of no family that StyleID works with, or lacks a part. `options` as of the class.
        """
        from styleid_ray.model.loading import load_components

        return cls(**load_components(model, revision, dtype, device, vae, lora), **options)

    @property
    def unet_evaluations(self) -> int:
        """UNet forwards so far, one per window and latent."""
        return self.denoise.evaluations

    @property
    def steps(self) -> int:
        """A number that grows whenever the device has been given more to do."""
        return self.denoise.evaluations + self.autoencoder.batches

    @property
    def notes(self) -> list[str]:
        """Decisions that a user may want to know of, in words."""
        return self.memory.notes

    @property
    def counts(self) -> Counts:
        """Work so far."""
        return Counts(
            self.denoise.evaluations,
            self._inversions,
            self._reused,
            self.memory.peak,
            self.memory.halvings.total(),
        )

    @property
    def factor(self) -> int:
        """Pixels; the sides of a picture must be multiples of it."""
        return self.model.factor

    def __call__(
        self,
        contents: Sequence[PictureLike],
        styles: Sequence[PictureLike],
        pairs: Pairs = "cross",
        params: StyleParams | Sequence[StyleParams] | None = None,
        **regions: Any,
    ) -> list[Image.Image]:
        """One stylised picture for each pair, at its content's size.

        `contents` and `styles` are pictures of Pillow, paths, URLs or arrays uint8 [H, W, 3].
        `pairs` is "cross" (every content with every style, contents outermost), "zip", or a list of
        (content index, style index). Sides of pictures must be multiples of `factor`; sizes may
        differ from picture to picture. `params` as in `transfer_latents`; `masks`, `label_maps`,
        `classes` and `weights` as in `stylize`.

        Raises ConfigError for anything that is no picture; RowError, stage "fetch" or "decode", for
        a file that cannot be read, and stage "stylize" when values are not finite: a model out of
        its range.
        """
        index = _index(pairs, contents, styles)
        pictures: dict[int, Image.Image] = {}
        self.stylize(contents, styles, index, params, partial(_collect, pictures), **regions)
        return [pictures[i] for i in range(len(index))]

    @_inference
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
        """Pictures to stylised pictures, handed over batch by batch.

        Args:
            contents, styles: each as of `to_pixels`.
            pairs, params, keys: as in `transfer_latents`.
            take: gets (pairs, pictures uint8 [B, H, W, 3], whether each is finite [B]) of each
                batch while it is on the device.
            masks: strength per content, uint8 [H, W] as tensor, array or grey picture: 0 keeps the
                content, 255 is stylised.
            label_maps: class numbers per content, likewise.
            classes: of each pair, the classes in whose pixels its second style, its third and so on
                apply; the first applies everywhere else. Needs `label_maps`.
            weights: of each pair, one weight per style, of sum 1: styles joined in one attention.
            structure: as in `transfer_latents`.
        """
        index = _index(pairs, contents, styles)
        pixels = [to_pixels(picture) for picture in contents]
        masks, label_maps = as_maps(masks), as_maps(label_maps)
        z_contents = self.encode(pixels)
        check_maps(index, pixels, masks, label_maps, classes)
        finish = self._finish(_shared(params), pixels, z_contents, masks)

        def finished(rows: Sequence[int], z: Tensor) -> None:
            self.autoencoder.decode(
                z,
                lambda some, x, finite: take([rows[i] for i in some], x, finite),
                partial(_finished, finish, [index[row][0] for row in rows]) if finish else None,
            )

        self.transfer_latents(
            z_contents,
            self.encode(styles),
            index,
            params,
            keys=keys,
            finished=finished,
            weights=weights,
            shares=class_shares(index, z_contents, label_maps, classes),
            strengths=strengths(index, z_contents, masks),
            structure=structure,
        )

    @_inference
    def encode(self, pictures: Sequence[PictureLike]) -> list[Tensor]:
        """Clean latents z_0, each [C, h, w], of pictures whose sides are multiples of `factor`,
        each as of `to_pixels`."""
        check_list(pictures, "pictures")
        tensors = [to_pixels(picture) for picture in pictures]
        for tensor in tensors:
            height, width, _ = tensor.shape
            if width % self.factor or height % self.factor:
                raise ConfigError(
                    f"a picture of {width} x {height} does not fit this model, whose sides are "
                    f"multiples of {self.factor}: bring it to size with styleid_ray.imaging."
                    f"fit_picture(PIL.Image.open(path), {self.model.default_size}, 'keep', "
                    f"{self.factor})"
                )
        return self.autoencoder.encode(tensors)

    def decode(self, latents: Sequence[Tensor] | Tensor) -> list[Image.Image]:
        """Pictures of clean latents, each [C, h, w].

        Raises RowError, stage "stylize", when values are not finite: a model out of its range.
        """
        pictures: dict[int, Image.Image] = {}

        self.decode_batches(latents, partial(_collect, pictures))
        return [pictures[i] for i in range(len(latents))]

    @_inference
    def decode_batches(self, latents: Sequence[Tensor] | Tensor, take: Decoded) -> None:
        """Decodes clean latents, each [C, h, w], and hands over each batch while it is on the
        device: nothing waits for it here."""
        self.autoencoder.decode(latents, take)

    @_inference
    def invert_latents(self, z0: Tensor, params: StyleParams | None = None) -> BatchInversion:
        """z_T and the features Q, K, V of clean latents z_0 [B, C, h, w], on the device."""
        resolved = (params or StyleParams()).resolved(self.model.default_layers)
        self.model.check_layers(resolved.layers)
        steps = self._schedule(resolved).inversion
        z0 = z0.to(self.device, torch.float32)
        return invert_batch(self.denoise, z0, steps, resolved.layers, self.memory.most(z0.shape))

    @_inference
    def transfer_latents(
        self,
        z_contents: Tensor | Sequence[Tensor],
        z_styles: Tensor | Sequence[Tensor],
        pairs: Pairs = "cross",
        params: StyleParams | Sequence[StyleParams] | None = None,
        callback: SeenStep | None = None,
        keys: tuple[Sequence[str], Sequence[str]] | None = None,
        finished: Finished | None = None,
        weights: Sequence[tuple[float, ...]] | None = None,
        shares: Sequence[Tensor] | None = None,
        strengths: Sequence[Tensor] | None = None,
        structure: SeenStructure | None = None,
    ) -> Any:
        """Stylised clean latents, one for each pair.

        Args:
            z_contents, z_styles: clean latents, a tensor [n, C, h, w], or a list of [C, h, w] whose
                heights and widths may differ. Each that a pair names is inverted once, as far as
                memory allows.
            pairs: "cross", "zip", or (content index, style index or indices) of each pair.
            params: one for all pairs, or one per pair; these may differ in gamma and temperature
                alone.
            callback: `callback(pairs, step, z, z0)` sees, after each sampling step of a batch,
                which pairs it holds, their latents and the z_0 that the step predicted.
            keys: of the contents and of the styles, equal for equal pictures: inversions are kept
                for later calls.
            finished: `finished(pairs, z_0)` gets the latents of each batch as soon as it is done.
            weights: as in `stylize`.
            shares: of each pair, each style's share [styles, h, w] of each latent position, of sum
                1.
            strengths: of each pair [h, w], in [0, 1]: the share 1 − strength follows the content.
            structure: `structure(pairs, kept)` gets, before `finished`, the share of its content's
                structure that each pair keeps: `kept_structure` [B] on the device, from the
                features of the call. Not called without injection.

        Returns a tensor [P, C, h, w] when `z_contents` is one, else a list.
        """
        index = resolve_pairs(pairs, len(z_contents), len(z_styles))
        each = params_of_pairs(params, len(index), self.model.default_layers)
        check_mixes(index, [z.shape for z in z_contents], weights, shares, strengths)
        if not index:
            return torch.empty(0) if isinstance(z_contents, Tensor) else []
        shared = each[0]
        contents = self._pictures(z_contents, "content", shared, keys and keys[0], bool(strengths))
        styles = self._pictures(z_styles, "style", shared, keys and keys[1])
        todo = [
            Pair(
                contents[i],
                tuple(styles[j] for j in js) if shared.uses_style else (),
                control(p.gamma),
                control(p.temperature),
                weights[row] if weights else None,
                shares[row].to(self.device, torch.float32) if shares else None,
                strengths[row].to(self.device, torch.float32) if strengths else None,
            )
            for row, ((i, js), p) in enumerate(zip(index, each, strict=True))
        ]
        try:
            latents = self._transfer(todo, shared, callback, finished, structure)
        finally:
            if keys is None:
                self.memory.clear()
        return torch.stack(latents) if isinstance(z_contents, Tensor) else latents

    def _finish(
        self,
        params: StyleParams,
        pixels: Sequence[Tensor],
        latents: Sequence[Tensor],
        masks: Sequence[Tensor] | None,
    ) -> Callable[[int, Tensor], Tensor] | None:
        """(content, its stylised picture) to the finished picture; None where nothing is done."""
        if not params.detail and masks is None:
            return None
        finish = Finish(params.detail, params.detail_luminance)
        reconstructions = self.autoencoder.reconstruct(latents)

        def of_content(i: int, x: Tensor) -> Tensor:
            content = from_pixels(pixels[i][None].to(x.device))[0]
            mask = masks[i].to(x.device).float() / 255 if masks is not None else None
            return finish(x, content, reconstructions[i].to(x), mask)

        return of_content

    def _transfer(
        self,
        pairs: Sequence[Pair],
        params: ResolvedParams,
        callback: SeenStep | None,
        finished: Finished | None,
        structure: SeenStructure | None,
    ) -> list[Tensor]:
        if params.inject:
            self.model.check_layers(params.layers)
        used = {picture.key: picture for pair in pairs for picture in pair.pictures}
        schedule = self._schedule(params)
        shape = Counter(picture.z_0.shape for picture in used.values()).most_common(1)[0][0]
        self.tuner.tune(self.denoise.window_shape(shape), schedule.inversion[0], len(pairs))
        sizes = {key: self._size(picture, params) for key, picture in used.items()}
        self.memory.choose_place(_need(used.values(), sizes))
        reused = sum(key in self.memory.kept for key in used)
        transfer = Transfer(
            self.denoise,
            self.memory,
            schedule,
            params,
            pairs,
            sizes,
            self.feature_dtype,
            callback,
            finished,
            structure,
        )
        latents = transfer.run()
        self._inversions += transfer.inversions
        self._reused += reused
        return latents

    def _pictures(
        self,
        latents: Tensor | Sequence[Tensor],
        role: Role,
        params: ResolvedParams,
        keys: Sequence[str] | None,
        path: bool = False,
    ) -> list[Picture]:
        """Latents, with keys for everything that their inversion depends on."""
        how = (params.paper_steps, params.steps, params.layers if params.inject else (), path)
        return [
            Picture(
                (role, keys[i] if keys else i, tuple(z.shape), how),
                z.to(self.device, torch.float32),
                role,
                path,
            )
            for i, z in enumerate(latents)
        ]

    def _size(self, picture: Picture, params: ResolvedParams) -> Size:
        """Memory of a picture's inversion: z_T and its path, a content's Q or a style's K and V."""
        shape = tuple(picture.z_0.shape)
        dtype = str(self.feature_dtype).removeprefix("torch.")
        features = picture_memory(self.model, (shape[-2], shape[-1]), params, dtype, self.tile)
        kept = features.content if picture.role == "content" else features.style
        latents = 1 + params.inversion_evaluations if picture.path else 1
        return Size(shape, latents * picture.z_0.nbytes + kept)

    def _schedule(self, params: ResolvedParams) -> Schedule:
        alphas = self.scheduler.alphas_cumprod
        final = getattr(self.scheduler, "final_alpha_cumprod", alphas[0])
        return make_schedule(params, alphas.double().tolist(), float(final))


def _index(
    pairs: Pairs, contents: Sequence[PictureLike], styles: Sequence[PictureLike]
) -> list[Index]:
    check_list(contents, "contents")
    check_list(styles, "styles")
    return resolve_pairs(pairs, len(contents), len(styles))


def _collect(
    pictures: dict[int, Image.Image], rows: Sequence[int], pixels: Tensor, finite: Tensor
) -> None:
    """Keeps decoded pictures by their rows; raises RowError where values are not finite."""
    if not bool(finite.all()):
        raise RowError("stylize", NOT_FINITE)
    pictures.update(zip(rows, map(Image.fromarray, pixels.cpu().numpy()), strict=True))


def _finished(
    finish: Callable[[int, Tensor], Tensor], contents: Sequence[int], row: int, x: Tensor
) -> Tensor:
    return finish(contents[row], x)


def _shared(params: StyleParams | Sequence[StyleParams] | None) -> StyleParams:
    """The parameters that all pairs of a call have in common."""
    if params is None or isinstance(params, StyleParams):
        return params or StyleParams()
    return next(iter(checked(params)), StyleParams())


def _need(pictures: Iterable[Picture], sizes: Mapping[Hashable, Size]) -> int:
    """Bytes to keep at a time so that no picture is inverted twice: the smaller side, and two
    pictures of the other."""
    sides: dict[Role, list[int]] = {"content": [], "style": []}
    for picture in pictures:
        sides[picture.role].append(sizes[picture.key].nbytes)
    stays, passes = sorted(sides.values(), key=sum)
    return sum(stays) + sum(sorted(passes)[-2:])
