"""What the router does with proteins: load of the experts while training, and who goes where."""

import json
from collections.abc import Collection

import torch
from torch import Tensor

from moedsr.batches.protein_input import ProteinInput, collate
from moedsr.models.moedsr import MoEDSR
from moedsr.models.router.gate import Gates
from moedsr.store.store import SurfaceStore
from moedsr.structures.secondary_structure import HELIX, STRAND, secondary_structure


def routing_load(gates: Gates) -> Tensor:
    """(2, N_E): summed gate weights, and how often each expert was the first choice."""
    count = gates.logits.shape[1]
    first = torch.nn.functional.one_hot(gates.experts[:, 0], count).sum(0)
    return torch.stack([gates.dense.detach().sum(0), first.to(gates.logits)])


def routing_metrics(load: Tensor) -> dict[str, float]:
    """Tracked numbers of a summed load (2, N_E).

    Entropy is that of the mean gate, as a fraction of its maximum: 1 for even use, 0 when one expert does all.
    """
    share, first = (load / load.sum(1, keepdim=True)).unbind(0)
    entropy = torch.special.entr(share).sum() / torch.log(torch.tensor(float(max(len(share), 2))))
    return {
        "routing/entropy": entropy.item(),
        "routing/max_load": first.max().item(),
        **{f"routing/load_{expert}": value for expert, value in enumerate(first.tolist())},
    }


@torch.no_grad()
def routing_table(model: MoEDSR, store: SurfaceStore, trained: Collection[str], *, step: int) -> str:
    """JSON: the gates of every protein of the store, without noise, and what the proteins are like.

    Args:
        model: in evaluation mode.
        store: its proteins.
        trained: names of the proteins trained on, which are marked so.
        step: of the weights.
    """
    device = next(model.parameters()).device
    rows = []
    for name in store.names():
        protein = store.protein(name)
        proteins = collate([ProteinInput.of(protein, model.config, route_only=True)], [-1]).to(device)
        gates = model.context(proteins).gates
        structure = secondary_structure(protein.residue_positions)
        rows.append(
            {
                "name": name,
                "split": protein.split,
                "trained": name in trained,
                "sequence": store.entries[name].sequence,
                "residues": len(protein.residue_types),
                "helix": round(structure.count(HELIX) / len(structure), 4),
                "strand": round(structure.count(STRAND) / len(structure), 4),
                "gates": [round(value, 6) for value in gates.dense[0].tolist()],
                "expert": int(gates.experts[0, 0]),
            }
        )
    return json.dumps({"experts": model.config.expert.count, "step": step, "proteins": rows}, indent=1)
