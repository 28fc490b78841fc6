"""`--device` to torch.device."""

from __future__ import annotations

import torch

from adclip.errors import DeviceError
from adclip.model import errors

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


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


def choose_dtype(precision: str, device: torch.device) -> torch.dtype:
    """Return the type in which the frozen weights are kept and computed.

    `auto` is bfloat16 on CUDA devices that compute in it (compute capability 8.0 and later) and float32 elsewhere: on a
    CPU the same scan should give the same numbers on every machine, so lower precision is asked for there, never assumed.

    Raises
    ------
    DeviceError
        If the device has no such type.
    """
    if precision == "auto":
        native = device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)
        return torch.bfloat16 if native else torch.float32
    if precision == "fp16" and device.type == "cpu":
        raise errors.no_precision(precision, str(device))
    return DTYPES[precision]
