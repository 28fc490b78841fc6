"""Rotations (3, 3) in which a head may lie: about one axis, by quarter turns, and the one nearest to a linear map."""

from __future__ import annotations

from functools import lru_cache
from itertools import permutations, product

import numpy as np

from adclip.domain import FloatArray


def about(axis: int, degrees: float) -> FloatArray:
    """Return the rotation about axis 0, 1 or 2 by `degrees`, counter-clockwise seen from the axis' end."""
    first, second = (axis + 1) % 3, (axis + 2) % 3
    angle = np.deg2rad(degrees)
    rotation = np.eye(3)
    rotation[[first, second], [first, second]] = np.cos(angle)
    rotation[first, second], rotation[second, first] = -np.sin(angle), np.sin(angle)
    return rotation


def tilts(degrees: float) -> list[FloatArray]:
    """Return upright and six tilted heads, by `degrees` to either side about each axis."""
    return [np.eye(3), *(about(axis, turn) for axis in range(3) for turn in (degrees, -degrees))]


@lru_cache(maxsize=1)
def quarter_turns() -> tuple[FloatArray, ...]:
    """Return the 24 rotations that turn the axes into each other, the identity first; handedness is kept."""
    signed = [
        np.eye(3)[list(order)] * np.array(signs)[:, None]
        for order in permutations(range(3))
        for signs in product((1.0, -1.0), repeat=3)
    ]
    return tuple(matrix for matrix in signed if np.linalg.det(matrix) > 0)


def nearest_rotation(linear: FloatArray) -> FloatArray:
    """Return the rotation nearest to a linear map, its polar factor."""
    u, _, v_transposed = np.linalg.svd(linear)
    return np.asarray(u @ v_transposed)


def nearest_quarter_turn(linear: FloatArray) -> FloatArray:
    """Return which of `quarter_turns` lies nearest to a linear map."""
    return max(quarter_turns(), key=lambda turn: float(np.trace(turn.T @ linear)))
