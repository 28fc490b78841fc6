"""`--device` to torch.device."""

from __future__ import annotations

import torch

from adclip.errors import DeviceError


def choose_device(name: str) -> torch.device:
    """Return the device that `name` asks for; `auto` is CUDA, else MPS, else the CPU.

    Raises
    ------
    DeviceError
        If it is not on this machine.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise DeviceError.absent(name)
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise DeviceError.absent(name)
    return device
