"""The common part of both trainings: optimiser, averaged weights, checkpoints, the loop."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

Model = TypeVar("Model", bound=nn.Module)
Precision = Callable[[], AbstractContextManager[object]]


@dataclass(frozen=True)
class Schedule:
    """How long to train, and how fast: linear warm-up, then a cosine to `final_rate` of the
    learning rate. `ema` is the decay of the averaged weights."""

    steps: int
    learning_rate: float
    ema: float
    warmup: int = 50
    final_rate: float = 0.03

    def rate(self, step: int) -> float:
        """Learning rate at a step."""
        cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, step / self.steps)))
        warm = min(1.0, (step + 1) / self.warmup)
        return self.learning_rate * warm * (self.final_rate + (1 - self.final_rate) * cosine)


class Trainer(Generic[Model]):
    """State of a training run: weights, their average, optimiser, step; saved as one file.

    Args:
        model: trained in place; the parameters without a gradient stay.
        schedule: steps and rates.
        losses: number of losses that the log shows.
        optimiser: further arguments of AdamW.
    """

    name = ""
    """The trained part, in the log."""

    def __init__(self, model: Model, schedule: Schedule, losses: int, **optimiser: Any) -> None:
        self.model, self.schedule = model, schedule
        self.device = next(model.parameters()).device
        self.average = copy.deepcopy(model).eval().requires_grad_(False)
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self.optimiser = torch.optim.AdamW(
            self.parameters, schedule.learning_rate, (0.9, 0.99), **optimiser
        )
        self.step = 0
        self.losses = [0.0] * losses

    def descend(self, loss: Tensor, shown: Sequence[float]) -> float:
        """One step of the optimiser; `shown` are the losses for the log. Returns the loss."""
        for group in self.optimiser.param_groups:
            group["lr"] = self.schedule.rate(self.step)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimiser.step()
        self.step += 1
        keep = min(self.schedule.ema, self.step / (self.step + 9))
        with torch.no_grad():
            for mean, now in zip(self.average.parameters(), self.model.parameters(), strict=True):
                mean.lerp_(now, 1.0 - keep)
        for i, value in enumerate(shown):
            self.losses[i] += (value - self.losses[i]) / min(self.step, 100)
        return float(loss.detach())

    def save(self, path: Path) -> None:
        """Writes the whole state, aside first, so that a kill leaves a whole file."""
        state: dict[str, Any] = {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "losses": self.losses,
            "random": torch.get_rng_state(),
        }
        aside = path.with_suffix(".tmp")
        torch.save(state, aside)
        aside.rename(path)

    def load(self, path: Path) -> None:
        """Resumes from a saved state."""
        state = torch.load(path, map_location=self.device, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.losses = state["step"], state["losses"]
        torch.set_rng_state(state["random"].cpu())


def train(
    trainer: Trainer[Model],
    train_step: Callable[[], object],
    checkpoint: Path,
    log: Callable[[str], None],
    saved: Callable[[], None] = lambda: None,
    save_every: float = 180.0,
) -> Model:
    """Trains to the end of the schedule; returns the averaged model.

    Args:
        trainer: the state.
        train_step: makes one step of it.
        checkpoint: written every `save_every` seconds and at the end.
        log: takes a line every 50 steps.
        saved: called after each save before the end.
        save_every: in seconds.
    """
    steps = trainer.schedule.steps
    start = last_save = time.monotonic()
    first = trainer.step
    while trainer.step < steps:
        train_step()
        now = time.monotonic()
        if trainer.step % 50 == 0:
            left = (now - start) / (trainer.step - first) * (steps - trainer.step) / 60
            losses = " ".join(f"{value:.4f}" for value in trainer.losses)
            log(f"{trainer.name} step {trainer.step}/{steps} loss {losses} left {left:.1f} min")
        if now - last_save > save_every:
            trainer.save(checkpoint)
            saved()
            last_save = now
    trainer.save(checkpoint)
    return trainer.average
