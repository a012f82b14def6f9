"""Latent code of a protein that was not trained on, fitted on its initial conformation."""

import numpy as np
import torch
from torch import Tensor

from moedsr.batches.batch import ProteinBatch
from moedsr.batches.off_surface import draw
from moedsr.models.experts import FieldContext
from moedsr.models.moedsr import MoEDSR
from moedsr.store.conformation import SurfaceFrame
from moedsr.training.losses import eikonal_loss, latent_loss, manifold_loss, normal_loss

_INITIAL_TIME = -1.0


def fit_code(model: MoEDSR, proteins: ProteinBatch, initial_frame: SurfaceFrame) -> Tensor:
    """The code (1, φ_z) that best explains P0 at t = -1, all weights frozen; P0 is the input, so nothing leaks.

    Starts at zero, the code that training with code dropout has met. Deterministic.

    Args:
        model: in evaluation mode.
        proteins: a batch of one.
        initial_frame: surface samples of P0.
    """
    evaluation, loss = model.config.evaluation, model.config.loss
    random = np.random.default_rng(0)
    with torch.no_grad():
        still = model.context(proteins)
    codes = torch.zeros_like(still.codes, requires_grad=True)
    time = torch.full((1, 1), _INITIAL_TIME, device=codes.device)
    optimiser = torch.optim.Adam([codes], lr=evaluation.fit_learning_rate)
    scale, fraction = float(proteins.scale[0]), model.config.training.global_fraction
    for step in range(evaluation.fit_steps):
        if step == evaluation.fit_steps // 2:
            optimiser.param_groups[0]["lr"] *= 0.1
        surface, normals, off_surface = (
            torch.from_numpy(array).to(codes.device)
            for array in draw(initial_frame, scale, evaluation.fit_points, fraction, random)
        )
        context = FieldContext(proteins=proteins, encoding=still.encoding, gates=still.gates, codes=codes)
        points = torch.cat([surface, off_surface])[None, None]
        value, gradient = model.field(points, time, context)
        assert gradient is not None
        count = len(surface)
        total = (
            manifold_loss(value[0, 0, :count])
            + loss.normal_weight * normal_loss(gradient[0, 0, :count], normals)
            + loss.eikonal_weight * eikonal_loss(gradient[0, 0, count:])
            + loss.latent_weight * latent_loss(codes)
        )
        # gradients of the code alone: the weights neither change nor keep any
        (codes.grad,) = torch.autograd.grad(total, [codes])
        optimiser.step()
    return codes.detach()
