"""The two DDIM step schedules, as plain data.

A schedule has the timestep of each UNet evaluation and the noise levels between which latents move.
ᾱ is the scheduler's `alphas_cumprod`, T its number of training timesteps (1000), c = T // n the
stride of n steps.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from styleid_ray.config import ResolvedParams
from styleid_ray.errors import ConfigError


@dataclass(frozen=True)
class Step:
    """One DDIM move: the UNet at timestep `t`, the latent from noise level `a` to `b` (both ᾱ)."""

    t: int
    a: float
    b: float


@dataclass(frozen=True)
class Schedule:
    """Steps of inversion (ascending t) and of sampling (descending t)."""

    inversion: tuple[Step, ...]
    sampling: tuple[Step, ...]
    returns_z0: bool
    """Whether the result is the z_0 that the last step predicts, or the latent it moves to."""
    path: tuple[int, ...]
    """For each sampling step, the inversion step that starts from the noise level it ends at."""


def make_schedule(
    params: ResolvedParams, alphas_cumprod: Sequence[float], final_alpha_cumprod: float
) -> Schedule:
    """The schedule of `params.preset` with `params.steps` steps.

    Raises ConfigError for more steps than half of the training timesteps.
    """
    if params.steps > len(alphas_cumprod) // 2:
        raise ConfigError(
            f"--steps {params.steps} is too many for a model with {len(alphas_cumprod)} training "
            f"timesteps: use at most {len(alphas_cumprod) // 2}"
        )
    make = _paper if params.paper_steps else _diffusers
    return make(params.steps, alphas_cumprod, final_alpha_cumprod)


def schedule_of(scheduler: Any, params: ResolvedParams) -> Schedule:
    """`make_schedule` on the noise levels of a diffusers scheduler."""
    alphas = scheduler.alphas_cumprod
    final = getattr(scheduler, "final_alpha_cumprod", alphas[0])
    return make_schedule(params, alphas.double().tolist(), float(final))


def _paper(n: int, alphas: Sequence[float], final_alpha: float) -> Schedule:
    """The code behind the paper's tables: τ_i = 1 + c·i for i < n, τ_n = T − 1.

    Sampling starts at τ_{n−2}: the original skips its first step and starts from z_T all the same.
    It ends at ᾱ[0], whatever the scheduler's last level.
    """
    total = len(alphas)
    tau = [1 + total // n * i for i in range(n)] + [total - 1]
    inversion = tuple(Step(tau[i], alphas[tau[i]], alphas[tau[i + 1]]) for i in range(n))
    sampling = tuple(
        Step(tau[i], alphas[tau[i]], alphas[tau[i - 1]] if i else alphas[0])
        for i in range(n - 2, -1, -1)
    )
    path = tuple(max(0, i - 1) for i in range(n - 2, -1, -1))
    return Schedule(inversion, sampling, returns_z0=False, path=path)


def _diffusers(n: int, alphas: Sequence[float], final_alpha: float) -> Schedule:
    """The authors' diffusers port: t_i = 1 + c·i, inversion one level behind its timestep."""
    c = len(alphas) // n
    t = [1 + c * i for i in range(n)]
    inversion = tuple(Step(ti, alphas[max(0, ti - c)], alphas[ti]) for ti in t)
    sampling = tuple(
        Step(ti, alphas[ti], alphas[ti - c] if ti >= c else final_alpha) for ti in reversed(t)
    )
    return Schedule(inversion, sampling, returns_z0=True, path=tuple(reversed(range(n))))
