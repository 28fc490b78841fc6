"""A closer look at both medial temporal lobes, for image towers whose patches are larger than a hippocampus is wide."""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from adclip.domain import InputContract
from adclip.model.settings import ModelConfig
from adclip.unet import UNet

# The right side's box in MNI millimetres, first and last voxel centres along D (up), H (to the back) and W (to the middle). It is
# the box of the segmenter's medial temporal networks, in steps of 2 mm; see `imaging.medial_temporal` for how it was chosen.
SPACING_MM = 2.0
UP_MM, BACK_MM, IN_MM = (-44.0, 10.0), (10.0, -52.0), (49.0, 3.0)
SHAPE = (28, 32, 24)
# What is told apart, in this order.
CLASSES = (
    "other", "cortex", "white matter", "csf", "lateral ventricle", "inferior lateral ventricle", "hippocampus", "amygdala",
    "deep grey matter",
)  # fmt: skip
GAIN = 10.0  # brings the shares of a patch, most of them a tenth and less, to the size of other token parts


class CloseUp(nn.Module):
    """Tell the tissues and structures of both medial temporal lobes apart; tell each patch how much of what it holds, and the read-out how much there is.

    The volume of a small structure is the sum over its voxels. A tower of a few layers that is only taught sums finds the
    voxels slowly; a network that was taught the voxels hands it the parts of the sum, where they lie. Both sides go through
    the same weights, the left one mirrored. That attention would have to add up what patches hold, patch by patch, is where a volume
    gets lost: the read-out tokens are handed the sums as well.

    Parameters
    ----------
    config : ModelConfig
        `close_up` has the network's channels; the contract may have another spacing than the box.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.contract, self.patch, self.token_grid = config.contract, config.patch, config.token_grid
        self.network = UNet(1, len(CLASSES), config.close_up)
        self.project = nn.Linear(len(CLASSES), config.width, bias=False)
        self.gather = nn.Linear(2 * len(CLASSES), config.width)  # the sum of both sides, and right less left
        nn.init.zeros_(self.gather.weight)
        nn.init.zeros_(self.gather.bias)

    def forward(self, images: Tensor) -> Tensor:
        """Map scans (B, 1, D, H, W) to the share of each patch that each class fills inside either box, (B, 2, patches, 9)."""
        return self.share_out(self.tell_apart(images))

    def to_tokens(self, shares: Tensor) -> Tensor:
        """Return what is added to the patch tokens, (B, patches, width)."""
        tokens: Tensor = self.project((GAIN * shares.sum(dim=1)).to(self.project.weight.dtype))
        return tokens

    def sum_up(self, shares: Tensor) -> Tensor:
        """Return what is added to the read-out tokens, (B, width): a linear map of the volume of each class on each side."""
        summed = self.sided(shares).sum(dim=1)
        return functional.linear(summed, self.gather.weight.float(), self.gather.bias.float())

    def parts_of_sum(self, shares: Tensor) -> Tensor:
        """Return each patch's part in `sum_up`, (B, patches, width): they add up to it but for its constant."""
        return functional.linear(self.sided(shares), self.gather.weight.float())

    def sided(self, shares: Tensor) -> Tensor:
        """Return (B, patches, 18): what both boxes have of each patch, and what the right one has more."""
        right, left = (GAIN * shares.float()).unbind(dim=1)
        return torch.cat([right + left, right - left], dim=-1)

    def worth_of_sides(self, gradient: Tensor) -> Tensor:
        """Return what a unit of each class's share is worth in either box, (2, 9), for a gradient (width,) at `sum_up`."""
        both, apart = (GAIN * (gradient @ self.gather.weight.float())).chunk(2)
        return torch.stack([both + apart, both - apart])

    def spread(self, values: Tensor) -> Tensor:
        """Carry what a unit of share is worth in each patch, (1, 2, patches, 9), to the voxels of both boxes, (2, 9, 28, 32, 24).

        The counterpart of `share_out`: the product with probabilities, summed over a patch's voxels in `to_voxels`, is the product with shares.
        """
        grid = self.token_grid
        sides = []
        for side, part in zip((1.0, -1.0), values[0].float(), strict=True):
            d, h, w = (axis.to(part.device) for axis in self._membership(side))
            by_patch = rearrange(part, "(x y z) c -> x y z c", x=grid[0], y=grid[1], z=grid[2])
            sides.append(torch.einsum("xyzc,dx,hy,wz->cdhw", by_patch, d, h, w))
        return torch.stack(sides)

    def to_voxels(self, values: Tensor) -> Tensor:
        """Put values of both boxes (2, 9, 28, 32, 24), summed over classes, where they lie in the scan, (D, H, W).

        In units of shares: a voxel of a box fills that part of a patch.
        """
        total = torch.zeros(self.contract.shape, device=values.device)
        for side, part in zip((1.0, -1.0), values.float().sum(dim=1), strict=True):
            places, inside = [], []
            for place, size in zip(_places(self.contract, side), self.contract.shape, strict=True):
                index = (place + 0.5).floor().long().to(values.device)
                # what lies beyond the scan is in no patch either
                inside.append(((index >= 0) & (index < size)).to(part))
                places.append(index.clamp(0, size - 1))
            held = torch.einsum("dhw,d,h,w->dhw", part, *inside)
            total.index_put_(
                (places[0][:, None, None], places[1][None, :, None], places[2][None, None]), held, accumulate=True
            )
        return total * self._box_voxel()

    def _box_voxel(self) -> float:
        """Return the share of a patch that one voxel of a box fills."""
        patch_mm3 = 1.0
        for count, size in zip(self.patch, self.contract.spacing_mm, strict=True):
            patch_mm3 *= count * size
        return SPACING_MM**3 / patch_mm3

    def blank(self, images: Tensor) -> Tensor:
        """Return scans (B, 1, D, H, W) with nothing in either box: what is left to the stem to see.

        Were both to see the boxes, a tower that is taught on simulated heads would believe either equally; on real heads the
        voxels' network is the better witness.
        """
        visible = torch.ones(self.contract.shape, device=images.device, dtype=images.dtype)
        for side in (1.0, -1.0):
            planes = []
            for place, size, spacing in zip(
                _places(self.contract, side), self.contract.shape, self.contract.spacing_mm, strict=True
            ):
                index, half = torch.arange(size), SPACING_MM / spacing / 2
                inside = (index > float(place.min()) - half) & (index < float(place.max()) + half)
                planes.append(inside.to(images.device, images.dtype))
            visible = visible - torch.einsum("d,h,w->dhw", *planes)
        return images * visible.clamp_min(0)

    def cut_sides(self, images: Tensor) -> Tensor:
        """Cut both boxes out of scans (B, 1, D, H, W): (2 B, 1, 28, 32, 24), right sides first, left ones mirrored."""
        grids = [_sampling_grid(self.contract, side, images.device) for side in (1.0, -1.0)]
        sides = [
            functional.grid_sample(images.float(), grid.expand(len(images), -1, -1, -1, -1), align_corners=False)
            for grid in grids
        ]
        return torch.cat(sides)

    def tell_apart(self, images: Tensor) -> Tensor:
        """Return the probability of each of `CLASSES`, (2 B, 9, 28, 32, 24), in the order of `cut_sides`."""
        sides = self.cut_sides(images).to(self.project.weight.dtype)
        # the layout that CPUs convolve fastest
        scores = self.network(sides.contiguous(memory_format=torch.channels_last_3d))
        return torch.softmax(scores.float(), dim=1)

    def share_out(self, probabilities: Tensor) -> Tensor:
        """Return the share of each patch that each class fills inside the right and the left box, (B, 2, patches, 9)."""
        sides = []
        for side, part in zip((1.0, -1.0), probabilities.chunk(2), strict=True):
            d, h, w = (axis.to(part.device) for axis in self._membership(side))
            sides.append(torch.einsum("bcdhw,dx,hy,wz->bxyzc", part, d, h, w))
        return rearrange(sides, "side b x y z c -> b side (x y z) c") * self._box_voxel()

    def _membership(self, side: float) -> tuple[Tensor, Tensor, Tensor]:
        """For D, H and W the patch that each plane of the box lies in, as ones in (planes, patches)."""
        planes = []
        places = _places(self.contract, side)
        for place, count, patches in zip(places, self.patch, self.token_grid, strict=True):
            number = torch.floor((place + 0.5) / count)
            planes.append((number[:, None] == torch.arange(patches)).float())
        return planes[0], planes[1], planes[2]


def _places(contract: InputContract, side: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return where the planes of a side's box lie, in voxels of the contract's grid along D, H and W."""
    (up, back, inward), affine = (UP_MM, BACK_MM, IN_MM), contract.affine_xyz
    x, y, z = ((torch.linspace(*span, count, dtype=torch.float64) * sign - affine[axis, 3]) / affine[axis, axis]
               for axis, span, count, sign in ((0, inward, SHAPE[2], side), (1, back, SHAPE[1], 1.0), (2, up, SHAPE[0], 1.0)))  # fmt: skip
    # the network's order: H and W run against Y and X
    columns, rows, _ = contract.shape_xyz
    return z, rows - 1 - y, columns - 1 - x


def _sampling_grid(contract: InputContract, side: float, device: torch.device) -> Tensor:
    """Return where `grid_sample` reads a side's box: (1, 28, 32, 24, 3)."""
    sizes = contract.shape
    d, h, w = ((2 * place + 1) / size - 1 for place, size in zip(_places(contract, side), sizes, strict=True))
    axes = torch.meshgrid(d, h, w, indexing="ij")
    return torch.stack(axes[::-1], dim=-1)[None].float().to(device)
