"""On what a model computes."""

import torch

from moedsr.errors import InputError


def resolve_device(device: str) -> torch.device:
    """``auto`` is the GPU when there is one.

    Raises:
        InputError: no such device, or none here.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        resolved = torch.device(device)
    except RuntimeError:
        raise InputError(f"device is {device!r}, but must be auto, cpu, cuda or one GPU such as cuda:1") from None
    if resolved.type == "cuda" and (resolved.index or 0) >= torch.cuda.device_count():
        raise InputError(f"device is {device!r}, but torch finds {torch.cuda.device_count()} GPUs here; take cpu")
    return resolved
