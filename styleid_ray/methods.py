"""The methods of `--method` as datasets and reports name them."""

from collections.abc import Mapping
from dataclasses import dataclass

from styleid_ray.config import Method


@dataclass(frozen=True)
class Described:
    """A method in words."""

    name: str
    sentence: str
    """A description that follows "with NAME, "."""
    citation: str
    """BibTeX."""


_ADAIN = """\
@inproceedings{huang2017adain,
  title     = {Arbitrary Style Transfer in Real-time with Adaptive Instance Normalization},
  author    = {Huang, Xun and Belongie, Serge},
  booktitle = {Proceedings of the IEEE International Conference on Computer Vision (ICCV)},
  year      = {2017},
  pages     = {1501--1510}
}"""

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
        "which gives each of red, green and blue the style's mean and standard deviation",
        _ADAIN,
    ),
    "reinhard": Described(
        "Reinhard's colour transfer",
        "which gives each channel of lαβ the style's mean and standard deviation",
        """\
@article{reinhard2001color,
  title   = {Color Transfer between Images},
  author  = {Reinhard, Erik and Ashikhmin, Michael and Gooch, Bruce and Shirley, Peter},
  journal = {IEEE Computer Graphics and Applications},
  volume  = {21},
  number  = {5},
  year    = {2001},
  pages   = {34--41}
}""",
    ),
    "mkl": Described(
        "the linear Monge-Kantorovitch colour transfer",
        "which gives colours the style's mean and covariance",
        """\
@inproceedings{pitie2007linear,
  title     = {The Linear Monge-Kantorovitch Linear Colour Mapping for Example-Based \
Colour Transfer},
  author    = {Piti{\\'e}, Fran{\\c{c}}ois and Kokaram, Anil},
  booktitle = {4th European Conference on Visual Media Production (CVMP)},
  year      = {2007},
  pages     = {1--9}
}""",
    ),
    "latent-adain": Described(
        "AdaIN of clean latents",
        "which gives each channel of the autoencoder's latent the style's mean and deviation",
        _ADAIN,
    ),
}
