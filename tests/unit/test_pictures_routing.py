"""Pictures of routing: what is drawn, however many proteins there are."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from moedsr.pictures.routing import write_expert_map, write_load_over_time, write_specialisation


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB")).astype(float)


def test_a_larger_gate_is_drawn_darker(tmp_path: Path) -> None:
    for name, gates in (("even", [[0.5, 0.5]] * 3), ("sure", [[1.0, 0.0]] * 3)):
        write_expert_map(tmp_path / f"{name}.png", names=["a", "b", "c"], gates=np.array(gates))
    even, sure = (pixels(tmp_path / f"{name}.png").sum(2) for name in ("even", "sure"))
    assert (sure < 100).sum() > 2 * (even < 100).sum()


def test_as_many_proteins_as_atlas_has(tmp_path: Path) -> None:
    gates = np.random.default_rng(0).dirichlet(np.ones(16), 1390)
    write_expert_map(tmp_path / "map.png", names=[f"p{place}" for place in range(1390)], gates=gates)
    assert pixels(tmp_path / "map.png").shape[1] < 1500


@pytest.mark.parametrize("loads", [{}, {0: [(1, 1.0)]}, {e: [(1, 0.1), (9, 0.2)] for e in range(12)}])
def test_load_over_time(tmp_path: Path, loads: dict[int, list[tuple[int, float]]]) -> None:
    write_load_over_time(tmp_path / "load.png", loads=loads)
    write_load_over_time(tmp_path / "both.png", loads=loads, entropy=[(1, 0.4), (9, 0.9)])
    load, both = pixels(tmp_path / "load.png"), pixels(tmp_path / "both.png")
    assert load.std() > 0
    assert load.shape != both.shape or not np.array_equal(load, both)


@pytest.mark.parametrize("properties", [1, 2, 3, 4])
def test_specialisation_draws_a_panel_a_property(tmp_path: Path, properties: int) -> None:
    numbers = {f"n{place}": [1.0, np.nan, 3.0, 2.0] for place in range(properties - 1)}
    classes = {"fold": ["a", "b", "", "a"]}
    titles = {name: name for name in (*numbers, *classes)}
    path = tmp_path / "new" / "specialisation.png"
    write_specialisation(path, experts=[0, 1, 1, 3], numbers=numbers, classes=classes, titles=titles)
    assert pixels(path).std() > 0
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_nothing_to_draw(tmp_path: Path) -> None:
    write_specialisation(tmp_path / "s.png", experts=[0], numbers={"n": [1.0]}, classes={}, titles={})
    assert not (tmp_path / "s.png").exists()
