"""Memory of the device and the host: budgets, and evictions when it runs out."""

import logging
from collections import Counter, OrderedDict
from collections.abc import Callable, Collection, Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from styleid_ray.engine import cuda, host
from styleid_ray.engine.bank import Bank, Place, Slot
from styleid_ray.errors import JobError
from styleid_ray.model.budget import (
    GPU_POSITIONS,
    USABLE,
    VAE_SHARE,
    room_for_inversions,
    rows_that_fit,
)
from styleid_ray.model.windows import Windows

_LOG = logging.getLogger(__name__)
GIB = 2**30
_CPU_BATCH = 8
_SHRINK = 0.75
Model = Literal["unet", "vae"]
RowBytes = Callable[[int, int], int]
"""Bytes that a model takes for one latent of a height and width."""
_REMEDIES: dict[Model, str] = {
    "unet": "a smaller --size, --tile for windows of the picture, or --dtype float16",
    "vae": "--vae-tile 512 or less, or a smaller --size",
}


@dataclass(frozen=True)
class Inversion:
    """One picture inverted: z_T [C, h, w], its features if any, and whether z_T is finite."""

    z_T: Tensor
    slot: Slot | None
    finite: bool
    path: Tensor | None = None
    """The latents before each step [steps, C, h, w], where they are kept."""

    @property
    def nbytes(self) -> int:
        """Bytes of all its tensors."""
        tensors = self.z_T, self.path, self.slot and self.slot.memory
        return sum(x.nbytes for x in tensors if x is not None)


class Memory:
    """The inversions of a pipeline, where they are kept, and the batch sizes of its models.

    When memory runs out, in this order: inversions that the call no longer needs are evicted, and
    fewer are kept from then on; features move to the host and stay there; the batch is halved and
    stays halved; and for a single picture all inversions not in use at the moment are evicted.
    Inversions are evicted only if they lie in the memory that ran out.

    Args:
        device: where the models compute.
        batch: most latents in one UNet call, and a quarter as many pictures in one autoencoder
            call, or "auto".
        features: place of features: "device", "host" or "auto".
        limit: GiB that inversions may take; None: three quarters of the free memory.
        host_share, device_share: this pipeline's share of the free memory, in (0, 1].
    """

    def __init__(
        self,
        device: torch.device,
        batch: int | Literal["auto"],
        features: Literal["auto", "device", "host"],
        limit: float | None,
        host_share: float,
        device_share: float,
    ) -> None:
        self.device, self.batch, self.limit = device, batch, limit
        self.features: Literal["auto", "device", "host"] = features
        self.share: dict[Place, float] = {"host": host_share, "device": device_share}
        self.bank = Bank("host" if features == "host" else "device", device)
        self.kept: OrderedDict[Hashable, Inversion] = OrderedDict()
        """Inversions by key, least recently used first."""
        self.nbytes = 0
        self.peak = 0
        self.inversions = 0
        """Pictures inverted so far."""
        self.reused = 0
        """Pictures of calls whose inversions were kept from earlier calls."""
        self.measured: dict[tuple[int, int], int] = {}
        """Best UNet batch by height and width of latents, if measured."""
        self.work = 0
        """Most memory that a UNet call took, if measured."""
        self.window: int | None = None
        """Most latent positions per side that the UNet sees at once."""
        self.row_bytes: dict[Model, RowBytes] = {}
        """Bytes of a batch row on a GPU, by the models for which they are counted."""
        self.halvings: Counter[Model] = Counter()
        self.full = False
        """Whether batches are filled up: a compiled model is recompiled for each size."""
        self.shortages = 0
        """Times that memory ran out."""
        self.wanted: Collection[Hashable] = ()
        """Inversions that the present call still needs."""
        self.in_use: Collection[Hashable] = ()
        """Inversions that the present batch needs."""
        self.notes: list[str] = []
        self._bounds: dict[Place, int] = {}
        self._fitting: dict[tuple[Model, int, int], int] = {}
        self._short: Place = "device"
        self._place = ""
        cuda.limit_memory(device, device_share)

    def most(self, shape: Sequence[int], model: Model = "unet") -> int:
        """Most latents of shape [C, h, w] in one call of a model."""
        height, width = shape[-2:]
        rows = self._unet_rows(height, width)
        if model == "vae":
            rows = min(rows // VAE_SHARE, self._rows_that_fit("vae", height, width))
        return max(1, rows >> self.halvings[model])

    def _unet_rows(self, height: int, width: int) -> int:
        """Latents of a UNet call before any halving."""
        if isinstance(self.batch, int):
            return self.batch
        if not cuda.is_cuda(self.device):
            return _CPU_BATCH
        seen = Windows.over((height, width), self.window)
        if measured := self.measured.get((seen.height, seen.width)):
            return measured
        positions = GPU_POSITIONS // (seen.height * seen.width)
        return min(positions, self._rows_that_fit("unet", height, width))

    def _rows_that_fit(self, model: Model, height: int, width: int) -> int:
        """Rows that fit a GPU's memory beside inversions, by its free memory at the first call for
        latents of this size; unbounded where no bytes are counted."""
        if model not in self.row_bytes or not cuda.is_cuda(self.device):
            return GPU_POSITIONS
        key = model, height, width
        if key not in self._fitting:
            row = self.row_bytes[model](height, width)
            self._fitting[key] = rows_that_fit(self._free_on_device(), row)
        return self._fitting[key]

    def run(
        self, rows: Sequence[int], shape: Sequence[int], model: Model, work: Callable[..., None]
    ) -> None:
        """Calls `work` on all rows, latents of one shape, in even batches. A batch that runs out
        of memory is retried after making room: no row is dropped or done twice."""
        todo = list(rows)
        while todo:
            batches = -(-len(todo) // self.most(shape, model))
            part = todo[: -(-len(todo) // batches)]
            if self.fits(lambda part=part: work(part)):
                todo = todo[len(part) :]
            else:
                self.give_way(len(part), shape, model)

    def fill(self, shape: Sequence[int], model: Model = "unet") -> int:
        """Rows to fill a batch up to; 0 to leave it as it is."""
        return self.most(shape, model) if self.full else 0

    def fits(self, work: Callable[[], None]) -> bool:
        """Runs `work`; False when it ran out of memory."""
        # On return the exception is gone, and with it the tensors that its traceback holds.
        try:
            work()
        except (torch.OutOfMemoryError, RuntimeError, MemoryError) as e:
            if not cuda.is_out_of_memory(e):
                raise
            self._short = self.bank.place
            if cuda.is_cuda(self.device):
                self._short = "host" if cuda.is_out_of_host_memory(e) else "device"
            return False
        return True

    def give_way(self, rows: int, shape: Sequence[int], model: Model) -> None:
        """Make room for rows of latents [C, h, w] that did not fit.

        Raises:
            JobError: a single latent does not fit though nothing else is kept.
        """
        self.shortages += 1
        rows, here = max(rows, self.fill(shape, model)), self._short == self.bank.place
        if here and self._keep_fewer({*self.wanted, *self.in_use}):
            pass
        elif here and cuda.is_cuda(self.device) and self._short == "device" and self.nbytes:
            self.features = "host"
            self._move("host")
            self._note("keep features in host memory")
        elif rows > 1:
            self.halvings[model] += 1
            while self.most(shape, model) >= rows:
                self.halvings[model] += 1
            self._note(f"at most {self.most(shape, model)} latents in a call of the {model}")
        elif not (here and self._keep_fewer(self.in_use)):
            where = "" if model == "unet" else " in the autoencoder"
            raise JobError(
                f"a single picture of {shape[-1]} x {shape[-2]} latents does not fit the "
                f"memory of {self.device}{where}: use {_REMEDIES[model]}"
            )
        self.bank.release()
        cuda.empty_cache(self.device)

    def _keep_fewer(self, needed: Collection[Hashable]) -> bool:
        """Evict all inversions but those needed, and keep fewer from then on; False if there was
        none to evict."""
        idle = [key for key in self.kept if key not in needed]
        if idle:
            self._bounds[self.bank.place] = bound = int(_SHRINK * self.nbytes)
            self._note(f"keep at most {_gib(bound)} of inversions")
        for key in idle:
            self.evict(key)
        return bool(idle)

    def _note(self, remedy: str) -> None:
        self.note(f"out of memory: {remedy} from here on")

    def note(self, text: str) -> None:
        """Log a decision of interest to a user, and keep it for the run's record."""
        _LOG.info(text)
        self.notes.append(text)

    def keep(self, key: Hashable, inversion: Inversion) -> None:
        """Keep the inversion of a picture that has none yet."""
        self.kept[key] = inversion
        self.nbytes += inversion.nbytes
        self.peak = max(self.peak, self.nbytes)

    def use(self, key: Hashable) -> Inversion:
        """A kept inversion, which becomes the most recently used."""
        self.kept.move_to_end(key)
        return self.kept[key]

    def evict(self, key: Hashable) -> None:
        """Forget an inversion."""
        inversion = self.kept.pop(key)
        self.nbytes -= inversion.nbytes
        if inversion.slot:
            self.bank.give_back(inversion.slot)

    def clear(self) -> None:
        """Forget all inversions and free their memory."""
        for key in list(self.kept):
            self.evict(key)
        self.bank.release()

    @property
    def capacity(self) -> int:
        """Bytes of inversions that may be kept at a time."""
        return self._capacity(self.bank.place)

    def choose_place(self, need: int) -> None:
        """Decide where to keep features that take `need` bytes at a time: where asked, else on the
        device if they fit, else on the host if they fit, else where there is more room."""
        room: dict[Place, int] = {place: self._capacity(place) for place in ("device", "host")}
        place: Place = "device"
        if self.features != "auto":
            place, why = self.features, "as requested"
        elif need <= room["device"] or not cuda.is_cuda(self.device):
            why = f"{_gib(need)} of {_gib(room['device'])} available"
        elif need <= room["host"]:
            place = "host"
            why = (
                f"{_gib(need)} of {_gib(room['host'])} available, the device has "
                f"{_gib(room['device'])}"
            )
        else:
            place = max(room, key=lambda place: room[place])
            why = f"{_gib(need)} fit nowhere, {_gib(room[place])} here: pictures are inverted again"
        if place != self.bank.place:
            self._move(place)
        if place != self._place:
            self.note(f"features kept on the {place}: {why}")
            self._place = place

    def _move(self, place: Place) -> None:
        self.clear()
        self.bank = Bank(place, self.device)

    def _capacity(self, place: Place) -> int:
        """Bytes for inversions at a place; existing inversions count as free memory."""
        if self.limit is not None:
            room = int(self.limit * GIB)
        elif place == "device" and cuda.is_cuda(self.device):
            room = room_for_inversions(self._free_on_device(), self.work)
        else:
            room = int(USABLE * self.share["host"] * (host.free_memory() + self._held(place)))
        return min(room, self._bounds.get(place, room))

    def _free_on_device(self) -> int:
        """Bytes of a GPU that are free, or held by inversions."""
        return cuda.free_memory(self.device, self.share["device"]) + self._held("device")

    def _held(self, place: Place) -> int:
        """Bytes at a place that inversions hold, in use or given back."""
        return self.nbytes + self.bank.unused if place == self.bank.place else 0


def _gib(count: int) -> str:
    return f"{count / GIB:.2f} GiB"
