"""What explanation refuses: changes of a scan that cannot be made."""

from __future__ import annotations

from adclip.errors import InputError


def no_region(why: str) -> InputError:
    return InputError(
        f"no region to change: {why}", "give a mask or labels on the grid of the image, with voxels in it"
    )


def impossible_factor(factor: float, why: str) -> InputError:
    return InputError(
        f"a region cannot be made {factor:g} times as large: {why}", "ask for a factor nearer to 1, or a longer reach"
    )
