"""One data-parallel process: gradients of the training loss on this rank's share of a fixed batch, saved to a file.

Usage: gradients_of_a_batch.py FILE DEVICE, with RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT set.
"""

import os
import sys

import torch
from builders import make_batch, select_batch, small_config
from torch.nn.parallel import DistributedDataParallel

from moedsr.config import LossConfig
from moedsr.models.experts import EXPERTS
from moedsr.models.moedsr import MoEDSR
from moedsr.training.losses import LOAD_BALANCE, training_losses

rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
torch.distributed.init_process_group("gloo")
batch = make_batch((40, 30, 50, 20))
share = 4 // world
device = sys.argv[2]
own = select_batch(batch, list(range(rank * share, (rank + 1) * share))).to(device)
results = {}
cases: dict[str, dict[str, dict[str, object]]] = {kind: {"expert": {"kind": kind}} for kind in EXPERTS}
cases["no router"] = {"router": {"backbone": "none"}, "gate": {"top_k": 1}, "expert": {"kind": "dsr", "count": 1}}
for kind, changes in cases.items():
    torch.manual_seed(3)
    config = small_config()
    changed = {name: getattr(config, name).model_copy(update=values) for name, values in changes.items()}
    model = MoEDSR(config.model_copy(update=changed), 4).double().to(device)
    parallel = DistributedDataParallel(model, forward_sync_buffers=False)
    for balance in LOAD_BALANCE:
        model.zero_grad(set_to_none=True)
        weights = LossConfig(load_balance=balance, load_balance_weight=1.0, router_z_weight=0.1)
        losses = training_losses(parallel(own), own, weights)
        losses.total.backward()
        gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
        results[f"{kind} {balance}"] = {"loss": losses.total.detach(), "gradients": gradients}
torch.save(results, sys.argv[1])
torch.distributed.destroy_process_group()
