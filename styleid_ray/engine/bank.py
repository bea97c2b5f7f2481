"""Features of inverted pictures: a bank of slots on the device or on the host."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from styleid_ray.engine import cuda
from styleid_ray.engine.layout import Layout

Place = Literal["device", "host"]


@dataclass(frozen=True, eq=False)
class Slot:
    """Memory for the features of one picture, uint8 [steps, bytes of a step]."""

    memory: Tensor
    layout: Layout


class Bank:
    """Slots at one place; a slot that is given back serves the next request of its size.

    In host memory the bank of a GPU reads and writes on its own stream: writes overlap with
    computation, and the next step's features arrive while the UNet works on the current ones.
    """

    def __init__(self, place: Place, device: torch.device) -> None:
        self.place: Place = place
        self.device = device
        self._copies = cuda.CopyStream(device) if place == "host" and cuda.is_cuda(device) else None
        self._unused: defaultdict[tuple[int, ...], list[Tensor]] = defaultdict(list)

    def take(self, steps: int, layout: Layout) -> Slot:
        """A slot with undefined content."""
        shape = (steps, layout.nbytes)
        unused = self._unused[shape]
        if unused:
            return Slot(unused.pop(), layout)
        # Unused slots of other sizes would only take memory.
        self.release()
        if self._copies:
            return Slot(cuda.pinned(*shape), layout)
        return Slot(torch.empty(shape, dtype=torch.uint8, device=self.device), layout)

    def give_back(self, slot: Slot) -> None:
        """Keep a slot's memory for the next request of its size."""
        self._unused[tuple(slot.memory.shape)].append(slot.memory)

    def release(self) -> None:
        """Free the memory of all slots that were given back."""
        if any(self._unused.values()) and self._copies:
            self._copies.synchronize()  # a copy may still read or write it
        self._unused.clear()

    @property
    def unused(self) -> int:
        """Bytes of slots that were given back."""
        return sum(memory.nbytes for same in self._unused.values() for memory in same)

    def write(self, slots: Sequence[Slot], step: int, rows: Tensor) -> None:
        """Keep rows, uint8 [slots, bytes of a step] on the device, as the features of a step."""
        copies = [(slot.memory[step], row) for slot, row in zip(slots, rows, strict=True)]
        if self._copies:
            self._copies.copy(copies)
            return
        for kept, row in copies:
            kept.copy_(row)

    def read(self, slots: Sequence[Slot], steps: Sequence[int]) -> Iterator[Tensor]:
        """Rows, uint8 [slots, bytes of a step] on the device, of one step after the other."""
        copies = self._copies
        if not copies:
            for step in steps:
                yield torch.stack([slot.memory[step] for slot in slots])
            return
        distinct = list(dict.fromkeys(slots))
        places = [distinct.index(slot) for slot in slots]
        rows = torch.tensor(places, device=self.device)
        size = distinct[0].memory.shape[1]
        # Two steps: one is read while the next one arrives.
        stages = torch.empty(2, len(distinct), size, dtype=torch.uint8, device=self.device)

        def fetch(at: int) -> torch.Event:
            memory = [slot.memory[steps[at]] for slot in distinct]
            return copies.copy(zip(stages[at % 2], memory, strict=True))

        arrived = fetch(0)
        for at in range(len(steps)):
            copies.wait(arrived)
            now = stages[at % 2].index_select(0, rows)
            if at + 1 < len(steps):
                arrived = fetch(at + 1)
            yield now
