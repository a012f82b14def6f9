"""Makes digit_curves.csv: learning curves of small networks that read handwritten digits, over a wide space.

    python tests/benchmarks/digit_curves.py    two minutes on one CPU core

A search that is only good on learning_curves.csv would be fitted to it. This is another problem altogether: the bundled
digits of scikit-learn, learning rates over three decades, 486 points, a score that does not level off at the top. The
score is the cross-entropy on digits that were not trained on, negative.
"""

import csv
import itertools
from pathlib import Path

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn

CURVES = Path(__file__).with_name("digit_curves.csv")
LEVELS: dict[str, tuple[float, ...]] = {
    "learning_rate": (1e-4, 4e-4, 1.6e-3, 6.4e-3, 2.5e-2, 0.1),
    "weight_decay": (1e-4, 1e-2, 0.3),
    "width": (8, 32, 128),
    "dropout": (0.0, 0.2, 0.5),
    "depth": (1, 2, 3),
}
STEPS, VALIDATE_EVERY, TRAINED, BATCH = 108, 12, 500, 64


def digits() -> list[Tensor]:
    """Pixels to train on and to score, 64 each from 0 to 1, and their digits."""
    pixels, labels = load_digits(return_X_y=True)
    parts = train_test_split(pixels.astype("float32") / 16, labels, train_size=TRAINED, random_state=0, stratify=labels)
    return [torch.tensor(part) for part in parts]


def curve(
    data: list[Tensor], seed: int, rate: float, decay: float, width: int, dropout: float, depth: int
) -> list[float]:
    """Score at every validation."""
    train, score, train_labels, score_labels = data
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    for number in range(depth):
        layers += [nn.Linear(width if number else 64, width), nn.ReLU(), nn.Dropout(dropout)]
    network = nn.Sequential(*layers, nn.Linear(width, 10))
    optimiser = torch.optim.AdamW(network.parameters(), rate, weight_decay=decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, STEPS)
    found = []
    for step in range(1, STEPS + 1):
        batch = torch.randint(0, TRAINED, (BATCH,))
        loss = nn.functional.cross_entropy(network.train()(train[batch]), train_labels[batch])
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
        if step % VALIDATE_EVERY == 0:
            with torch.no_grad():
                found.append(-nn.functional.cross_entropy(network.eval()(score), score_labels).item())
    return found


def main() -> None:
    torch.set_num_threads(1)
    data = digits()
    with CURVES.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*LEVELS, *range(VALIDATE_EVERY, STEPS + 1, VALIDATE_EVERY)])
        for seed, values in enumerate(itertools.product(*LEVELS.values())):
            rate, decay, width, dropout, depth = values
            scores = curve(data, seed, rate, decay, int(width), dropout, int(depth))
            writer.writerow([*values, *(f"{score:.4f}" for score in scores)])


if __name__ == "__main__":
    main()
