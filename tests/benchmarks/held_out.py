"""Cross-validation over proteins: each is scored by a model that never met it, beside what needs no learning.

Usage: python tests/benchmarks/held_out.py RUN.yaml --store STORE [--folds 4] [--seeds 0 1 2] [--kind KIND]
       [--products float32|tf32|tf32-cut|bf16] --out FILE

KIND replaces the run's expert.kind; with --products experts train as a GPU with fewer bits would have them. The store's
settings count, not those of the run's file. Prints a row a protein, and means with 95 % bootstrap intervals over
proteins (means over seeds first); the smoothed baseline's width is fitted on the training proteins of the same fold.
FILE keeps every score, and what is in it is not computed again.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from rounded_products import ROUNDINGS, rounded_products

from moedsr.config import Config
from moedsr.evaluation.baselines import BASELINES, BaselineSettings
from moedsr.evaluation.calibration import Calibration
from moedsr.evaluation.evaluation import Evaluator
from moedsr.store.store import SurfaceStore
from moedsr.training.trainer import Trainer
from moedsr_platform.sweep_file.loading import load_run

METRICS = ("iou", "chamfer", "chamfer_l1", "normal_consistency")
SCORED = {"frames": 6, "grid_stride": 2, "surface_samples": 4000}  # so, whatever the run's file says: rows compare


def score(
    config: Config, store: SurfaceStore, held_out: list[str], products: str
) -> dict[str, dict[str, dict[str, float]]]:
    """Protein to predictor to metric, of one fold and seed."""
    trainer = Trainer(config, store, "cpu")
    with rounded_products(products):
        while trainer.step < config.training.steps:
            losses, _ = trainer.take_step()
            if trainer.step % 100 == 0:
                print(f"  step {trainer.step} loss {float(losses[0]):.3f}", flush=True)
    names = [name for name in BASELINES if name != "md"]
    settings = BaselineSettings(calibration=Calibration(store, trainer.proteins))
    evaluation = Evaluator(store, held_out, config, baselines=names, settings=settings).evaluate(trainer.average, {})
    return {
        name: {
            predictor: {metric: evaluation.protein_mean(name, predictor, metric) for metric in METRICS}
            | {"gap_closed": evaluation.gap_closed(name, predictor)}
            for predictor in evaluation.predictors
        }
        for name in held_out
    }


def fold_config(config: Config, training: list[str], seed: int, kind: str | None) -> Config:
    """The run of one fold and seed."""
    values = config.model_dump()
    values["data"]["proteins"] = tuple(training)
    values["training"]["seed"] = seed
    values["evaluation"] |= SCORED
    if kind is not None:
        values["expert"]["kind"] = kind
    return Config(**values)


def interval(values: list[float]) -> str:
    """Mean and its 95 % bootstrap interval."""
    drawn = np.random.default_rng(0).choice(values, (10_000, len(values))).mean(axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return f"{np.mean(values):+.4f} [{low:+.4f}, {high:+.4f}]"


def table(results: dict[str, dict[str, dict[str, dict[str, float]]]]) -> None:
    """Means over seeds of every protein, then over proteins."""
    proteins = sorted({key.split("/")[1] for key in results})

    def mean(protein: str, predictor: str, metric: str) -> float:
        found = [row[predictor][metric] for key, row in results.items() if key.split("/")[1] == protein]
        return float(np.mean(found))

    predictors = ("naive", "smoothed", "model", "oracle")
    for metric in ("gap_closed", *METRICS):
        print(metric)
        for protein in proteins:
            print(f"  {protein:8s}", *(f"{p} {mean(protein, p, metric):.4f}" for p in predictors))
        for predictor in ("smoothed", "model"):
            against = [mean(p, predictor, metric) - mean(p, "naive", metric) for p in proteins]
            print(f"  {predictor} minus naive: {interval(against)} over {len(proteins)} proteins")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--folds", type=int, default=4)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--kind")
    parser.add_argument("--products", choices=("float32", *ROUNDINGS), default="float32")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    config = load_run(arguments.run).base
    store = SurfaceStore.open(arguments.store)
    data = config.data.model_copy(update={"prepare": store.settings})
    config = config.model_copy(update={"data": data})
    names = store.names()
    results = json.loads(arguments.out.read_text()) if arguments.out.exists() else {}
    for seed in arguments.seeds:
        for fold in range(arguments.folds):
            held_out = [name for name in names[fold :: arguments.folds] if f"{seed}/{name}" not in results]
            if not held_out:
                continue
            print(f"seed {seed}, fold {fold}: held out {', '.join(held_out)}", flush=True)
            training = [name for name in names if name not in names[fold :: arguments.folds]]
            scores = score(fold_config(config, training, seed, arguments.kind), store, held_out, arguments.products)
            results |= {f"{seed}/{name}": row for name, row in scores.items()}
            arguments.out.write_text(json.dumps(results, indent=1))
    table(results)


if __name__ == "__main__":
    main()
