"""A small network that tells brain structures apart on the aligned, stripped scan.

It sees one hemisphere at a time, the left one mirrored, so that left and right are treated alike by construction and
one set of weights learns from both. Trained on painted images only (`examples/segmenter/`), never on a real scan.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from adclip.domain import FloatArray, InputContract
from adclip.errors import WeightsError

if TYPE_CHECKING:
    import torch

SCHEMA_VERSION = 1

# The box of MNI space, symmetric about the mid-plane: 104 x 128 x 112 voxels of 1.5 mm hold the template's brain
# (x +-72, y -107..75, z -72..82 mm) with a few millimetres to spare.
BOX = InputContract(shape=(112, 128, 104), spacing_mm=(1.5, 1.5, 1.5), center_mm=(0.0, -17.0, 5.0))
HALF = 56  # voxels along X that the network sees of one hemisphere; 52 lie on its side, 4 beyond the mid-plane
_SIDE = 52

CLASSES = (
    "background", "grey matter", "white matter", "sulcal csf", "lateral ventricle", "third and fourth ventricle",
    "hippocampus", "amygdala", "deep grey matter", "cerebellum", "brain stem",
)  # fmt: skip
WIDTHS = (12, 32, 48, 64)  # channels at 1.5, 3, 6 and 12 mm
REMEDY = "install adclip again: `pip install --force-reinstall --no-deps adclip`"
PRIOR_SHAPE = (14, 32, 28)  # the half box in blocks of 6 mm


@dataclass(frozen=True)
class Segmenter:
    """The trained network and what is known about it.

    Parameters
    ----------
    network : torch.nn.Module
        Takes (B, 4, 56, 128, 112): intensity and place, see `to_channels`; returns class scores.
    record : dict
        The JSON beside the weights: training, data, licence.
    """

    network: Any
    record: dict[str, Any]

    @property
    def version(self) -> str:
        """First twelve digits of the weights' SHA-256."""
        return str(self.record["sha256"])[:12]


def build_network(classes: int = len(CLASSES), widths: tuple[int, ...] = WIDTHS) -> torch.nn.Module:
    """Allocate the network, untrained.

    Parameters
    ----------
    classes : int
        Number of classes.
    widths : tuple of int
        Channels of each resolution, fine to coarse.

    Returns
    -------
    torch.nn.Module
        An `adclip.unet.UNet`, whose scores are added to `prior`, the logarithm of how often a class lies at a place, which
        spares it learning where to look.
    """
    import torch
    from torch.nn import functional

    from adclip.unet import UNet

    class SegmenterNetwork(UNet):
        prior: torch.Tensor

        def __init__(self) -> None:
            super().__init__(4, classes, widths)
            self.register_buffer("prior", torch.zeros(1, classes, *PRIOR_SHAPE))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            scores = super().forward(x)
            return scores + functional.interpolate(self.prior, size=x.shape[2:], mode="trilinear", align_corners=False)

    return SegmenterNetwork()


def place_channels() -> FloatArray:
    """Where each voxel of the half box lies: shape (3, 56, 128, 112), MNI mm / 100 of a right hemisphere."""
    affine = BOX.affine_xyz
    axes = [affine[axis, axis] * np.arange(size) + affine[axis, 3] for axis, size in enumerate(BOX.shape_xyz)]
    axes[0] = axes[0][-HALF:]
    return np.stack(np.meshgrid(*axes, indexing="ij")).astype(np.float32) / 100


def split_halves(box: NDArray[Any]) -> NDArray[Any]:
    """Cut an array on the box into both hemispheres, the left one mirrored: (2, 56, 128, 112), right first."""
    return np.stack([box[-HALF:], box[::-1][-HALF:]])


def join_halves(halves: NDArray[Any]) -> NDArray[Any]:
    """Put (2, ..., 56, 128, 112) back together as (..., 104, 128, 112), each voxel from its own side."""
    right, left = halves[0][..., -_SIDE:, :, :], halves[1][..., -_SIDE:, :, :]
    return np.concatenate([np.flip(left, axis=-3), right], axis=-3)


def segment(box: FloatArray, device: str = "cpu") -> FloatArray:
    """Tell the structures of one scan apart.

    Parameters
    ----------
    box : ndarray of shape (104, 128, 112), float32
        Stripped, bias-corrected scan on `BOX`: the brain's 0.5 and 99.5 percentiles at 0 and 1, clipped, 0 outside.
    device : str
        Where torch computes.

    Returns
    -------
    ndarray of shape (11, 104, 128, 112), float32
        Probability of each of `CLASSES`.

    Raises
    ------
    WeightsError
        If the shipped weights are absent or altered.
    """
    import torch

    network = load_segmenter().network.to(device)
    place = torch.from_numpy(place_channels())
    result = []
    with torch.inference_mode():
        for half in split_halves(box):
            channels = torch.cat([torch.from_numpy(np.ascontiguousarray(half, dtype=np.float32))[None], place])
            scores = network(channels[None].to(device).contiguous(memory_format=torch.channels_last_3d))
            result.append(torch.softmax(scores[0].float(), dim=0).cpu().numpy())
    return join_halves(np.stack(result))


def segmenter_version() -> str:
    """Return `Segmenter.version` as the shipped record has it, without loading the weights.

    Raises
    ------
    WeightsError
        If the record is absent.
    """
    try:
        text = (files("adclip") / "assets" / "segmenter" / "segmenter.json").read_text(encoding="utf-8")
    except FileNotFoundError:
        raise WeightsError("the segmenter's weights are missing from the installation", REMEDY) from None
    return str(json.loads(text)["sha256"])[:12]


@lru_cache(maxsize=1)
def load_segmenter() -> Segmenter:
    """Read the shipped weights, after comparing their SHA-256 with the record beside them.

    Raises
    ------
    WeightsError
        If the files are absent, altered or from a newer adclip.
    """
    from safetensors.torch import load

    folder = files("adclip") / "assets" / "segmenter"
    try:
        record = json.loads((folder / "segmenter.json").read_text(encoding="utf-8"))
        data = (folder / "segmenter.safetensors").read_bytes()
    except FileNotFoundError:
        raise WeightsError("the segmenter's weights are missing from the installation", REMEDY) from None
    if record["schema_version"] > SCHEMA_VERSION:
        raise WeightsError("the segmenter's weights are from a newer adclip", "upgrade adclip")
    if hashlib.sha256(data).hexdigest() != record["sha256"]:
        raise WeightsError("the segmenter's weights differ from their recorded SHA-256", REMEDY)
    network = build_network(len(record["classes"]), tuple(record["widths"]))
    network.load_state_dict({name: tensor.float() for name, tensor in load(data).items()})
    network.eval().requires_grad_(False)
    return Segmenter(network, record)
