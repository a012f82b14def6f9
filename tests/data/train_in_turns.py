"""One data-parallel process, in float64: resumes from a checkpoint where there is one, trains so many steps, saves.

Usage: train_in_turns.py CONFIG STEP CHECKPOINT [RESUME_FROM], with RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT set.
"""

import os
import sys
from pathlib import Path

import torch

torch.set_default_dtype(torch.float64)

from moedsr.batches.batch import TrainingBatch  # noqa: E402
from moedsr.config import Config  # noqa: E402
from moedsr.store.store import SurfaceStore  # noqa: E402
from moedsr.training.trainer import Trainer  # noqa: E402

config = Config.model_validate_json(Path(sys.argv[1]).read_text())
if int(os.environ["WORLD_SIZE"]) > 1:
    torch.distributed.init_process_group("gloo")
move = TrainingBatch.to


def move_in_float64(batch: TrainingBatch, device: object) -> TrainingBatch:
    return move(batch, "cpu", torch.float64)


TrainingBatch.to = move_in_float64  # type: ignore[method-assign]
trainer = Trainer(config, SurfaceStore.open(config.data.store, settings=config.data.prepare), "cpu")
if len(sys.argv) > 4:
    trainer.resume(Path(sys.argv[4]))
while trainer.step < int(sys.argv[2]):
    trainer.take_step()
if int(os.environ["RANK"]) == 0:
    trainer.save(Path(sys.argv[3]), {}, {})
if torch.distributed.is_initialized():
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()
