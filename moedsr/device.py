"""On what a model computes."""

import torch


def resolve_device(device: str) -> torch.device:
    """``auto`` is the GPU when there is one."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(device)
