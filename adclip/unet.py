"""The 3D U-Net of the segmenters and of the image tower's closer look: small, with sums for skips.

After Cicek et al. 2016, doi:10.1007/978-3-319-46723-8_49. Parameter names are a file format.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


class ConvBlock(nn.Module):
    """A convolution, a group normalisation and a leaky ReLU."""

    def __init__(self, before: int, after: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv3d(before, after, 3, stride=stride, padding=1, bias=False)
        self.norm = nn.GroupNorm(after // 4, after)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, before, X, Y, Z) to (B, after, X / stride, Y / stride, Z / stride)."""
        return functional.leaky_relu(self.norm(self.conv(x)), 0.05, inplace=True)


class UNetLevel(nn.Module):
    """Down, around the coarser level, and up again."""

    def __init__(self, above: int, width: int, rest: tuple[int, ...]) -> None:
        super().__init__()
        self.down = nn.Sequential(ConvBlock(above, width, stride=2), ConvBlock(width, width))
        self.inner = UNetLevel(width, rest[0], rest[1:]) if rest else None
        self.up = ConvBlock(width, width)
        self.out = nn.Conv3d(width, above, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, above, X, Y, Z) to the same shape."""
        low = self.down(x)
        if self.inner is not None:
            low = self.inner(low)
        low = self.out(self.up(low))
        return x + functional.interpolate(low, size=x.shape[2:], mode="trilinear", align_corners=False)


class UNet(nn.Module):
    """Class scores of every voxel.

    Group normalisation, so that a scan's result depends on no other scan.

    Parameters
    ----------
    inputs, classes : int
        Channels of the input and of the result.
    widths : tuple of int
        Channels of each resolution, fine to coarse, each half as fine as the one before; multiples of 4.
    last : int
        Convolutions at full resolution after the levels.
    """

    def __init__(self, inputs: int, classes: int, widths: tuple[int, ...], last: int = 1) -> None:
        super().__init__()
        self.stem = ConvBlock(inputs, widths[0])
        self.levels = UNetLevel(widths[0], widths[1], tuple(widths[2:]))
        blocks = [ConvBlock(widths[0], widths[0]) for _ in range(last)]
        self.last: nn.Module = blocks[0] if last == 1 else nn.Sequential(*blocks)
        self.head = nn.Conv3d(widths[0], classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, X, Y, Z) to (B, classes, X, Y, Z)."""
        scores: Tensor = self.head(self.last(self.levels(self.stem(x))))
        return scores
