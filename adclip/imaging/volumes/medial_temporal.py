"""A network for the medial temporal lobe: hippocampus, amygdala and inferior lateral ventricle at 1 mm.

The coarse network of `segmenter` sees the whole brain at 1.5 mm; these three structures need a closer look. Both sides go
through the same weights, the left one mirrored, so that a mirrored head gives the same numbers with the sides exchanged.
Several networks, each taught on other heads, are averaged. Taught on painted label maps only (`examples/segmenter/`),
never on a real scan.
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
NAME = "medial_temporal"  # of the two files in `assets/segmenter`
REMEDY = "install adclip again: `pip install --force-reinstall --no-deps adclip`"

# Symmetric about the mid-plane of MNI space. In sixteen label maps of young and old people, aligned by their brains, the three
# structures of a side lie within |x| 8..43, y -47..6, z -38..8 mm; the box leaves 2 mm and more
# around them.
BOX = InputContract(shape=(56, 64, 100), spacing_mm=(1.0, 1.0, 1.0), center_mm=(0.0, -21.5, -17.5))
SIDE = 48  # voxels along X of one side, 2.5 to 49.5 mm from the mid-plane
CLASSES = (
    "other", "cortex", "white matter", "csf", "lateral ventricle", "inferior lateral ventricle", "hippocampus", "amygdala",
    "deep grey matter",
)  # fmt: skip
STRUCTURES = ("hippocampus", "amygdala", "inferior lateral ventricle")
WIDTHS = (8, 24, 48, 64)  # channels at 1, 2, 4 and 8 mm
_PERCENTILES = (1.0, 99.0)


def build_network(classes: int = len(CLASSES), widths: tuple[int, ...] = WIDTHS) -> torch.nn.Module:
    """Allocate one network, untrained.

    Parameters
    ----------
    classes : int
        Number of classes.
    widths : tuple of int
        Channels of each resolution, fine to coarse.

    Returns
    -------
    torch.nn.Module
        An `adclip.unet.UNet` from (B, 1, 48, 64, 56) to class scores of the same grid. It is told nothing of the place but by
        the edges of the box, so that no prior can stand in for what a shrunken structure looks like.
    """
    from adclip.unet import UNet

    return UNet(1, classes, widths, last=2)


def split_sides(box: NDArray[Any]) -> NDArray[Any]:
    """Cut an array (100, 64, 56) on the box into both sides, the left one mirrored: (2, 48, 64, 56), right first."""
    return np.stack([box[-SIDE:], box[::-1][-SIDE:]])


def to_level(side: FloatArray) -> FloatArray:
    """Bring one side's intensities to a common level, in training and use: its 1 and 99 percentiles become 0 and 1, up to 1.5."""
    intensities = side[side > 0]
    if intensities.size < 100:  # nothing of the brain lies in the box
        return np.zeros(side.shape, dtype=np.float32)
    low, high = np.percentile(intensities, _PERCENTILES)
    return np.clip((side - low) / max(float(high - low), 1e-6), 0, 1.5).astype(np.float32)


@dataclass(frozen=True)
class MedialTemporalNetworks:
    """The trained networks and what is known about them.

    Parameters
    ----------
    networks : tuple of torch.nn.Module
        Each taught on other heads, see `build_network`.
    record : dict
        The JSON beside the weights: training, left-out heads, accuracy on them, licence.
    """

    networks: tuple[Any, ...]
    record: dict[str, Any]

    @property
    def version(self) -> str:
        """First twelve digits of the weights' SHA-256."""
        return str(self.record["sha256"])[:12]


def segment_medial_temporal(box: FloatArray, device: str = "cpu") -> FloatArray:
    """Tell the structures of both sides apart.

    Parameters
    ----------
    box : ndarray of shape (100, 64, 56), float32
        Stripped, bias-corrected scan on `BOX`, in any unit; 0 outside the brain.
    device : str
        Where torch computes.

    Returns
    -------
    ndarray of shape (2, 9, 48, 64, 56), float32
        Probability of each of `CLASSES` for the right side and the left one, which is mirrored; the mean over the networks.

    Raises
    ------
    WeightsError
        If the shipped weights are absent or altered.
    """
    import torch

    probabilities = []
    with torch.inference_mode():
        for side in split_sides(box):
            image = torch.from_numpy(to_level(np.ascontiguousarray(side, dtype=np.float32)))[None, None]
            image = image.to(device).contiguous(memory_format=torch.channels_last_3d)
            total = torch.zeros(())
            networks = [network.to(device) for network in load_networks().networks]
            for network in networks:
                total = total + torch.softmax(network(image)[0].float(), dim=0).cpu()
            probabilities.append((total / len(networks)).numpy())
    return np.stack(probabilities)


def sum_structures(probability: FloatArray, voxel_mm3: float) -> dict[str, tuple[float, float]]:
    """Return the volumes (left, right) of `STRUCTURES` in mm3 from what `segment_medial_temporal` returns."""
    right, left = (probability[side].sum(axis=(1, 2, 3), dtype=np.float64) * voxel_mm3 for side in (0, 1))
    places = {name: CLASSES.index(name) for name in STRUCTURES}
    return {name: (float(left[place]), float(right[place])) for name, place in places.items()}


def networks_version() -> str:
    """Return `MedialTemporalNetworks.version` as the shipped record has it, without loading the weights.

    Raises
    ------
    WeightsError
        If the record is absent.
    """
    return str(_read_record()["sha256"])[:12]


def _read_record() -> dict[str, Any]:
    try:
        text = (files("adclip") / "assets" / "segmenter" / f"{NAME}.json").read_text(encoding="utf-8")
    except FileNotFoundError:
        raise WeightsError("the medial temporal networks are missing from the installation", REMEDY) from None
    record: dict[str, Any] = json.loads(text)
    return record


@lru_cache(maxsize=1)
def load_networks() -> MedialTemporalNetworks:
    """Read the shipped weights, after comparing their SHA-256 with the record beside them.

    Raises
    ------
    WeightsError
        If the files are absent, altered or from a newer adclip.
    """
    from safetensors.torch import load

    record = _read_record()
    try:
        data = (files("adclip") / "assets" / "segmenter" / f"{NAME}.safetensors").read_bytes()
    except FileNotFoundError:
        raise WeightsError("the medial temporal networks are missing from the installation", REMEDY) from None
    if record["schema_version"] > SCHEMA_VERSION:
        raise WeightsError("the medial temporal networks are from a newer adclip", "upgrade adclip")
    if hashlib.sha256(data).hexdigest() != record["sha256"]:
        raise WeightsError("the medial temporal networks differ from their recorded SHA-256", REMEDY)
    tensors = load(data)
    networks = []
    for number in range(record["networks"]):
        start = f"{number}."
        own = {name.removeprefix(start): tensor.float() for name, tensor in tensors.items() if name.startswith(start)}
        network = build_network(len(record["classes"]), tuple(record["widths"]))
        network.load_state_dict(own)
        networks.append(network.eval().requires_grad_(False))
    return MedialTemporalNetworks(tuple(networks), record)
