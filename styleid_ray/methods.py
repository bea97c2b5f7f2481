"""The methods of `--method` as datasets and reports name them."""

from collections.abc import Mapping
from dataclasses import dataclass

from styleid_ray.config import Method


@dataclass(frozen=True)
class Described:
    """A method in words."""

    name: str
    sentence: str
    """A description that follows "with NAME, ", with the source of a method to compare with."""
    citation: str = ""
    """BibTeX of the paper that this package implements."""


METHODS: Mapping[Method, Described] = {
    "styleid": Described(
        "StyleID",
        "a training-free style transfer method based on a pre-trained latent diffusion model",
        """\
@inproceedings{chung2024styleid,
  title     = {Style Injection in Diffusion: A Training-free Approach \
for Adapting Large-scale Diffusion Models for Style Transfer},
  author    = {Chung, Jiwoo and Hyun, Sangeek and Heo, Jae-Pil},
  booktitle = {Proceedings of the IEEE/CVF Conference on Computer Vision and Pattern \
Recognition (CVPR)},
  year      = {2024},
  pages     = {8795--8805}
}""",
    ),
    "adain": Described(
        "AdaIN in pixel space",
        "which gives each of red, green and blue the style's mean and standard deviation "
        "(Huang & Belongie, ICCV 2017)",
    ),
    "reinhard": Described(
        "Reinhard's colour transfer",
        "which gives each channel of lαβ the style's mean and standard deviation "
        "(Reinhard et al., IEEE Computer Graphics and Applications 21(5), 2001)",
    ),
    "mkl": Described(
        "the linear Monge-Kantorovitch colour transfer",
        "which gives colours the style's mean and covariance (Pitié & Kokaram, CVMP 2007)",
    ),
    "latent-adain": Described(
        "AdaIN of clean latents",
        "which gives each channel of the autoencoder's latent the style's mean and deviation "
        "(after Huang & Belongie, ICCV 2017)",
    ),
}
