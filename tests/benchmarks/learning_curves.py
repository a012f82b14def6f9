"""Makes learning_curves.csv: the learning curve of every point of a small space, each from a real training.

    python tests/benchmarks/learning_curves.py    45 minutes on one CPU core; goes on after an interruption

The problem is the quickstart's, with experts small enough to train hundreds of them: its store, its proteins, and four
of its search keys at a few levels each, every point trained with three seeds. A point is scored on later frames of the
proteins that it was trained on, two of whose three replicas it has not seen: on the quickstart's one validation protein
plain experts score noise, which no search can exploit. Searches are then replayed on the mean of a point's curves
(test_search_efficiency.py), many times and within seconds: of a single training the twenty best points differ by no
more than the seeds of each, and what finds the best of them is luck.
"""

import csv
import itertools
from pathlib import Path

import torch

from moedsr.config import Config
from moedsr.evaluation.evaluation import Evaluator
from moedsr.store.prepare import default_store_path, prepare_serially
from moedsr.store.store import SurfaceStore
from moedsr.training.trainer import Trainer, evaluated_proteins
from moedsr_platform.sweep_file.loading import load_sweep
from moedsr_platform.sweep_file.search_space import override

HERE = Path(__file__).resolve().parent
CURVES = HERE / "learning_curves.csv"
QUICKSTART = HERE.parents[1] / "sweeps" / "quickstart.yaml"
LEVELS: dict[str, tuple[float, ...]] = {
    "training.learning_rate": (0.0005, 0.001, 0.002, 0.004),
    "loss.eikonal_weight": (0.03, 0.1, 0.3, 1.0),
    "loss.normal_weight": (0.3, 1.0, 3.0),
    "expert.count": (2, 4, 8),
}
SEED, SEEDS = "training.seed", (0, 1, 2)
STEPS, VALIDATE_EVERY = 108, 12
TINY = {
    "expert.kind": "plain",
    "expert.latent_size": 16,
    "expert.softplus_beta": 100.0,
    "router.residue_features": 32,
    "router.protein_features": 32,
    "router.nearest_residues": 16,
    "loss.sdf_weight": 1.0,
    "loss.occupancy_weight": 0.0,
    "loss.change_weight": 0.0,
    "training.occupancy_points": 0,
    "router.cloud_points": 48,
    "router.point_features": 8,
    "router.hidden_channels": 8,
    "router.layers": 1,
    "expert.hidden_layers": 2,
    "expert.hidden_size": 32,
    "training.steps": STEPS,
    "training.surface_points": 96,
    "training.frames_per_protein": 1,
    "training.warmup_steps": 6,
    "training.ema_decay": 0.9,
    "evaluation.split": "train",
    "evaluation.grid_stride": 8,
    "evaluation.surface_samples": 100,
}


def curve(config: Config, store: SurfaceStore, evaluator: Evaluator) -> list[float]:
    """IoU at every validation."""
    trainer = Trainer(config, store, "cpu")
    scores = []
    while trainer.step < STEPS:
        trainer.take_step()
        if trainer.step % VALIDATE_EVERY == 0:
            scores.append(evaluator.evaluate(trainer.average, trainer.codes).tracked()["val/iou"])
    return scores


def main() -> None:
    torch.set_num_threads(1)
    base = override(load_sweep(QUICKSTART).base, TINY)
    base = base.model_copy(update={"data": base.data.model_copy(update={"replicas": (1,)})})
    assert base.data.source is not None
    folder = default_store_path(base.data.source, base.data.prepare)
    if (folder / "manifest.json").exists():
        store = SurfaceStore.open(folder, base.data.prepare)
    else:
        store = prepare_serially(base.data.source, base.data.prepare, folder)
    evaluator = Evaluator(store, evaluated_proteins(base, store), base)
    partial = CURVES.with_suffix(".partial")
    done = len(partial.read_text(encoding="utf-8").splitlines()) if partial.exists() else 0
    steps = range(VALIDATE_EVERY, STEPS + 1, VALIDATE_EVERY)
    with partial.open("a", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        if not done:
            writer.writerow([*LEVELS, SEED, *steps])
            done = 1
        for values in itertools.islice(itertools.product(*LEVELS.values(), SEEDS), done - 1, None):
            config = override(base, dict(zip((*LEVELS, SEED), values, strict=True)))
            writer.writerow([*values, *(f"{score:.4f}" for score in curve(config, store, evaluator))])
            file.flush()
    partial.replace(CURVES)


if __name__ == "__main__":
    main()
