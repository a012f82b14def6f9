"""What a finished search says of itself, from runs that were made up."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from moedsr.config import Config
from moedsr_platform.cli import main
from moedsr_platform.reports.search_report import SearchReport
from moedsr_platform.reports.sweep_results import find_sweep, point_table
from moedsr_platform.sweep_file.search_space import override
from moedsr_platform.tracking.client import connect
from moedsr_platform.tracking.tracker import Tracker

SWEEP = """\
name: s
base: {data: {source: mini-atlas}, training: {steps: 20}}
search:
  router.backbone: {choice: [q_mpnn, pointnet2]}
  router.radial_basis: {int: [8, 32], when: {router.backbone: q_mpnn}}
  training.learning_rate: {loguniform: [1e-4, 1e-2]}
  loss.latent_weight: {uniform: [0, 1]}
trials: 24
seeds: 2
objective: [{metric: val/iou}, {metric: perf/active_parameters, mode: min}]
"""


def score(rate: float) -> float:
    """Depends on the learning rate alone."""
    return 0.9 - 100 * abs(rate - 0.002)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A sweep of 24 points with two seeds each, one trial of which failed and one was stopped early."""
    folder = tmp_path_factory.mktemp("store")
    address = f"sqlite:///{folder / 'mlflow.db'}"
    file = folder / "sweep.yaml"
    file.write_text(SWEEP)
    base = Config.model_validate_json('{"data": {"source": "mini-atlas"}, "training": {"steps": 20}}')
    with Tracker.open(address) as tracker:
        tags = {"moedsr.sweep_id": "s", "moedsr.objective": "val/iou", "moedsr.mode": "max"}
        parent = tracker.sweep_run("s", tags, {}, file)
        for number in range(24):
            rate = 1e-4 * 100 ** (number / 23)
            params = {"training.learning_rate": rate, "loss.latent_weight": (number * 7 % 24) / 24}
            params |= {"router.backbone": "q_mpnn", "router.radial_basis": 8 + number * 5 % 24} if number % 2 else {
                "router.backbone": "pointnet2"
            }  # fmt: skip
            for seed, shift in ((0, -0.01), (1, 0.01)):
                config = override(base, {**params, "training.seed": seed})
                run = tracker.trial_run(parent, f"{number}-{seed}", config, {})
                cost = {"perf/active_parameters": 1000.0 + 10 * number}
                tracker.log_history(
                    run,
                    [(step, {"val/iou": score(rate) + shift - (step - 10) ** 2 / 1000, **cost}) for step in (10, 20)],
                )
                tracker.finish_trial(run, "PRUNED" if (number, seed) == (3, 1) else "COMPLETE")
        failed = tracker.trial_run(parent, "failed", base, {})
        tracker.log_history(failed, [(10, {"val/iou": 5.0, "perf/active_parameters": 1.0})])
        tracker.finish_trial(failed, "FAIL", "why")
        tracker.finish_sweep(parent, "table")
    return address


@pytest.fixture
def report(store: str) -> SearchReport:
    client = connect(store, create=False)
    return SearchReport.of(client, find_sweep(client, "s"))


def test_a_point_is_the_mean_of_its_seeds_at_their_best_validation(report: SearchReport) -> None:
    assert len(report.points) == 24
    first = report.points[0]
    assert first.objectives == pytest.approx((score(1e-4), 1000))
    assert first.steps == 40
    assert "router.radial_basis" not in first.values
    assert report.points[1].values["router.radial_basis"] == 13
    assert [point.stopped for point in report.points].count(True) == 1
    assert report.best.values["training.learning_rate"] == pytest.approx(0.002, rel=0.1)


def test_the_key_that_the_score_depends_on_matters_most(report: SearchReport) -> None:
    shares = report.importances()
    assert set(shares) == set(report.sweep.search)
    assert next(iter(shares)) == "training.learning_rate"
    assert shares["training.learning_rate"] > 0.7
    assert all(0 <= share < 0.3 for key, share in shares.items() if key != "training.learning_rate")


def test_the_front_holds_what_no_point_beats_in_both(report: SearchReport) -> None:
    front = report.front
    assert report.best in front
    assert [point.objectives[1] for point in front] == sorted((p.objectives[1] for p in front), reverse=True)
    for point in report.points:
        beaten = any(
            other.objectives[0] >= point.objectives[0] and other.objectives[1] <= point.objectives[1]
            for other in report.points
            if other is not point
        )
        assert beaten == (point not in front)


def test_the_command_shows_draws_and_keeps_it(store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    flags = ["--out", str(tmp_path / "pictures"), "--csv", str(tmp_path / "table.csv")]
    result = CliRunner().invoke(main, ["report", "importance", "s", *flags])
    assert result.exit_code == 0, result.output
    assert "which 1 were stopped early" in " ".join(result.stdout.split())
    names = ["front.png", "history.png", "importance.png", "parallel_coordinates.png"]
    assert sorted(path.name for path in (tmp_path / "pictures").iterdir()) == names
    assert all((tmp_path / "pictures" / name).read_bytes().startswith(b"\x89PNG") for name in names)
    client = connect(store, create=False)
    kept = client.list_artifacts(find_sweep(client, "s").info.run_id, "search")
    assert sorted(file.path for file in kept) == [f"search/{name}" for name in names]
    assert (tmp_path / "table.csv").read_text().splitlines()[0] == "key,importance,best point"


def test_the_table_of_a_sweep_takes_seeds_together(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    client = connect(store, create=False)
    table = point_table(client, find_sweep(client, "s"))
    assert table is not None
    assert len(table.rows) == 24
    assert table.rows[0][table.columns.index("IoU")].endswith("± 0.014")
    assert "24 points" in CliRunner().invoke(main, ["report", "sweep", "s"]).stdout


def test_a_search_that_says_nothing_is_refused_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    empty, few = tmp_path / "empty.yaml", tmp_path / "few.yaml"
    empty.write_text("base: {data: {source: mini-atlas}}\ntrials: 1\nseeds: 2\n")
    few.write_text(SWEEP)
    for name, file in (("empty", empty), ("few", few), ("bare", None)):
        with Tracker.open() as tracker:
            tracker.finish_sweep(tracker.sweep_run(name, {"moedsr.sweep_id": name}, {}, file), "table")
    for name, message in (
        ("empty", "sweep empty searched nothing: all of its trials have one configuration"),
        ("few", "sweep few has 0 validated points, but which keys matter shows from 4 on"),
        ("bare", "sweep bare: its run holds no sweep.yaml"),
    ):
        result = CliRunner().invoke(main, ["report", "importance", name])
        assert (result.exit_code, result.stderr) == (2, f"moedsr: {message}\n")
