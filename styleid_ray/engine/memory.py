"""Memory of the device and the host: budgets, and evictions when it runs out."""

import logging
from collections import OrderedDict
from collections.abc import Callable, Collection, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from styleid_ray.engine import cuda, host
from styleid_ray.engine.bank import Bank, Place, Slot
from styleid_ray.engine.batches import Batches, Model
from styleid_ray.errors import JobError
from styleid_ray.model.budget import USABLE, room_for_inversions

_LOG = logging.getLogger(__name__)
GIB = 2**30
_SHRINK = 0.75
_REMEDIES: dict[Model, str] = {
    "unet": ": use a smaller --size, --tile for windows of the picture, or --dtype float16",
    "vae": " in the autoencoder: use --vae-tile 512 or less, or a smaller --size",
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
    stays halved; and if a single picture does not fit, every inversion outside the current batch is
    evicted. Inversions are evicted only if they lie in the memory that ran out.

    Args:
        device: where the models compute.
        batch, models: as `size` and the models in `Batches`.
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
        **models: Any,
    ) -> None:
        self.device, self.limit = device, limit
        self.features: Literal["auto", "device", "host"] = features
        self.share: dict[Place, float] = {"host": host_share, "device": device_share}
        self.bank = Bank("host" if features == "host" else "device", device)
        self.kept: OrderedDict[Hashable, Inversion] = OrderedDict()
        """Inversions by key, least recently used first."""
        self.nbytes = self.peak = 0
        self.inversions = 0
        """Pictures inverted so far."""
        self.reused = 0
        """Pictures of calls whose inversions were kept from earlier calls."""
        self.batches = Batches(device, batch, self._free_on_device, **models)
        self.work = 0
        """Most memory that a UNet call took, if measured."""
        self.shortages = 0
        """Times that memory ran out."""
        self.wanted: Collection[Hashable] = ()
        """Inversions that the present call still needs."""
        self.in_use: Collection[Hashable] = ()
        """Inversions that the present batch needs."""
        self.notes: list[str] = []
        self._bounds: dict[Place, int] = {}
        self._short: Place = "device"
        self._place = ""
        cuda.limit_memory(device, device_share)

    def run(
        self, rows: Sequence[int], shape: Sequence[int], model: Model, work: Callable[..., None]
    ) -> None:
        """Calls `work` on all rows, latents of one shape, in even batches. A batch that runs out
        of memory is retried after making room: no row is dropped or done twice."""
        todo = list(rows)
        while todo:
            batches = -(-len(todo) // self.batches.most(shape, model))
            part = todo[: -(-len(todo) // batches)]
            if self.fits(lambda part=part: work(part)):
                todo = todo[len(part) :]
            else:
                self.give_way(len(part), shape, model)

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
        rows, here = max(rows, self.batches.fill(shape, model)), self._short == self.bank.place
        if here and self._keep_fewer({*self.wanted, *self.in_use}):
            pass
        elif here and cuda.is_cuda(self.device) and self._short == "device" and self.nbytes:
            self.features = "host"
            self._move("host")
            self._note("keep features in host memory")
        elif rows > 1:
            self.batches.halve(rows, shape, model)
            most = self.batches.most(shape, model)
            self._note(f"at most {most} latents in a call of the {model}")
        elif not (here and self._keep_fewer(self.in_use)):
            raise JobError(
                f"a single picture of {shape[-1]} x {shape[-2]} latents does not fit the "
                f"memory of {self.device}{_REMEDIES[model]}"
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
            why = (
                f"{_gib(need)} fit neither on the device nor on the host ({_gib(room[place])} "
                "here): some pictures will be inverted more than once"
            )
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
