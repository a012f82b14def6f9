"""A wrong sweep file gets one line with file and line, the rule, and the nearest valid name."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from moedsr.errors import InputError
from moedsr_platform.cli import main
from moedsr_platform.sweep.file_references import check_variants
from moedsr_platform.sweep_file.checks import cautions
from moedsr_platform.sweep_file.loading import load_run, load_sweep

GOOD = """\
name: demo
base:
  data: {source: mini-atlas}
  training: {steps: 100}
search:
  expert.count: {choice: [4, 8]}
  training.learning_rate: {loguniform: [1e-4, 1e-2]}
trials: 6
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "sweep.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_good_file_is_read_with_its_defaults(tmp_path: Path) -> None:
    sweep = load_sweep(write(tmp_path, GOOD + "scheduler: none\nresources: {concurrent_trials: auto}\n"))
    assert sweep.base.training.steps == 100
    assert sweep.search["expert.count"].values == (4, 8)
    assert (sweep.points, sweep.seeds, sweep.sampler, sweep.scheduler) == (6, 1, "multivariate_tpe", None)
    assert sweep.objective.metric == "val/iou"
    assert sweep.resources.concurrent_trials is None
    assert sweep.register_as is None


def test_the_name_defaults_to_the_file(tmp_path: Path) -> None:
    assert load_sweep(write(tmp_path, GOOD.replace("name: demo\n", ""))).name == "sweep"


def test_a_grid_has_all_points_unless_told_otherwise(tmp_path: Path) -> None:
    grid = GOOD.replace("{loguniform: [1e-4, 1e-2]}", "{grid: [1e-4, 1e-3, 1e-2]}") + "sampler: grid\n"
    assert load_sweep(write(tmp_path, grid)).points == 6
    assert load_sweep(write(tmp_path, grid.replace("trials: 6\n", ""))).points == 6
    assert load_sweep(write(tmp_path, grid.replace("trials: 6\n", "trials: 2\n"))).points == 2


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("trials: 6", "trails: 6", 8, r"unknown key `trails` \(did you mean `trials`\?\)"),
        ("steps: 100", "stepz: 100", 4, r"unknown key `base.training.stepz` \(did you mean `steps`\?\)"),
        ("steps: 100", "steps: many", 4, r'`base.training.steps` is "many", but must be a valid integer'),
        ("trials: 6", "trials: 0", 8, r"`trials` is 0, but must be greater than or equal to 1"),
        ("trials: 6", "sampler: tpe", 8, r"key `trials` is missing: `sampler: tpe` needs it"),
        ("[4, 8]", "[]", 6, r"`expert.count`: choice is empty, but must hold at least one value"),
        ("expert.count", "count", 6, r"search key `count` is not in .* \(did you mean `expert.count`\?\)"),
        ("expert.count", "expert.counts", 6, r"search key `expert.counts` is not in the configuration "
         r"\(did you mean `expert.count`\?\)"),
        ("expert.count: {choice: [4, 8]}", "data.source: {choice: [a, b]}", 6,
         r"`data.source` cannot be searched: .* only `data.prepare` can vary"),
        ("expert.count: {choice: [4, 8]}", "data.prepare.frame: {choice: [4, 8]}", 6,
         r"can vary \(did you mean `data.prepare.frames`\?\)$"),
        ("expert.count: {choice: [4, 8]}", "data.prepare.frames: {int: [4, 8]}", 6,
         r"`data.prepare.frames` is the range int, but stores are prepared beforehand: use choice"),
        ("{choice:", "{chioce:", 6, r"unknown kind `chioce` \(did you mean `choice`\?\); allowed: choice"),
        ("{choice: [4, 8]}", "[4, 8]", 6, r"`expert.count` must hold exactly one of choice, .*{choice: \[4, 8\]}$"),
        ("[4, 8]", "[[4, 8], [2]]", 6, r"choice holds \[4, 8\], but each must be a single value"),
        ("[4, 8]", "4", 6, r"`search.expert.count.choice` is 4, but must be a list"),
        ("expert.count: {choice: [4, 8]}", "evaluation.split: {choice: [val, test]}", 6,
         r"`evaluation.split` cannot be searched: what is learned and scored is the same for all trials"),
        ("[1e-4, 1e-2]", "[1e-4, .inf]", 7, r"must be a finite number"),
        ("{choice: [4, 8]}", "{int: [4, 9000000000]}", 6, r"`expert.count` is 9000000000, but must be less than"),
        ("steps: 100", "steps: 0100", 4, r'`base.training.steps` is "0100", but must be a valid integer'),
        ("steps: 100}", "batch_size: 6}\nresources: {workers: 4}", 4,
         r"training.batch_size is 6, .* multiple of 4, since a trial has 4 workers; nearest: 8"),
        ("search:\n  expert.count: {choice", "resources: {workers: 4}\nsearch:\n  training.batch_size: {int", 7,
         r"`training.batch_size` is a range, but must be a multiple of 4, since a trial has 4 workers: use choice"),
        ("steps: 100}", "batch_size: 8}\nresources: {workers: {min: 2, max: 4}}", 4,
         r"training.batch_size is 8, .* multiple of 12, since a trial has 2 to 4 workers; nearest: 12"),
        ("trials: 6", "trials: 6\nresources: {workers: {min: 4, max: 2}}", 9, r"min must be at most max = 2"),
        ("trials: 6", "trials: 6\ncheckpoints: ftp://host/path", 9, r"must be a folder, or begin with s3:// or gs://"),
        ("expert.count: {choice: [4, 8]}\n  training.learning_rate: {loguniform: [1e-4, 1e-2]}\ntrials: 6",
         "training.seed: {choice: " + str([*range(400)]) + "}\n  training.surface_points: {choice: "
         + str([*range(1, 400)]) + "}\nsampler: grid", 8, r"the grid has 159600 points, but must have at most 100000"),
        ("[1e-4, 1e-2]", "[1e-2, 1e-4]", 7, r"the first number must be below the second"),
        ("[1e-4, 1e-2]", "[0, 1e-2]", 7, r"loguniform starts at 0, but must start above 0"),
        ("[1e-4, 1e-2]", "[1e-4]", 7, r"loguniform must be two numbers, \[low, high\]"),
        ("[4, 8]", "[4, eight]", 6, r'search `expert.count` is "eight", but must be a valid integer'),
        ("expert.count: {choice: [4, 8]}", "expert.harmonic_channels: {choice: [1, 5]}", 6,
         r"harmonic_channels is 5, but must be one of"),
        ("expert.count: {choice: [4, 8]}", "expert.count: {choice: [1, 8]}", 6,
         r"expert.count 1 can meet, but then gate.top_k is 2, but must be at most expert.count = 1; `when` keeps"),
        ("expert.count: {choice: [4, 8]}", "router.backbone: {choice: [q_mpnn, none]}", 6,
         r"router.backbone none can meet, but then router.backbone is none, but expert.count is 4"),
        ("expert.count: {choice: [4, 8]}", "loss.occupancy_weight: {uniform: [0, 1]}", 6, r"occupancy_points is 0"),
        ("steps: 100}\nsearch:\n  expert.count: {choice: [4, 8]}",
         "occupancy_points: 9}\nsearch:\n  loss.change_weight: {uniform: [0, 1]}\n"
         "  expert.kind: {choice: [anchored, plain]}", 7, r"needs expert.kind anchored"),
        ("expert.count: {choice", "expert.count: {grid", 6, r"grid needs `sampler: grid`"),
        ("trials: 6", "sampler: grid", 7, r"the range loguniform, but `sampler: grid` needs grid or choice"),
        ("trials: 6", "trials: 6\nsampler: bayes", 9, r'`sampler` is "bayes", but must be'),
        ("trials: 6", "trials: 6\nobjective: {metric: val/iuo}", 9, r'`objective.metric` is "val/iuo"'),
        ("trials: 6", "trials: 6\nscheduler: {asha: {grace_steps: 0}}", 9, r"`scheduler.asha.grace_steps`"),
        ("trials: 6", "trials: 6\nscheduler: {asha: {grace_steps: 101}}", 9,
         r"grace_steps is 101, but must be at most training.steps = 100"),
        ("trials: 6", "trials: 6\nscheduler: {asha: {grace_steps: 9}, median: {grace_steps: 9}}", 9,
         r"`scheduler` must hold exactly one of asha, median"),
        ("trials: 6", "trials: 6\nscheduler: {}", 9, r"`scheduler` must hold exactly one of asha, median"),
        ("trials: 6", "trials: 6\nscheduler: {medain: {grace_steps: 9}}", 9,
         r"unknown key `scheduler.medain` \(did you mean `median`\?\)"),
        ("trials: 6", "trials: 6\nobjective: {metric: perf/parameters}", 9,
         r"the first objective is perf/parameters, but must be a score"),
        ("trials: 6", "trials: 6\nobjective: [{}, {}]", 9, r"both objectives are val/iou"),
        ("trials: 6", "trials: 6\nobjective: [{}, {}, {}]", 9, r"is a list of 3, but must be one .* or a list of two"),
        ("trials: 6", "trials: 6\nobjective: [{}, {mode: mni}]", 9, r'`objective.1.mode` is "mni"'),
        ("trials: 6", "trials: 6\nsampler: nsga2", 9, r"`sampler: nsga2` weighs two objectives"),
        # conditions
        ("{choice: [4, 8]}", "{choice: [4, 8], when: {router.backbone: q_mpnn}}", 6,
         r"`expert.count`: when names `router.backbone`, which is not searched; conditions name search keys above"),
        ("{choice: [4, 8]}", "{choice: [4, 8], when: {training.learning_rate: 1}}", 6,
         r"when names `training.learning_rate`, which stands below it; conditions name search keys above"),
        ("{choice: [4, 8]}", "{choice: [4, 8], when: {expert.count: 4}}", 6, r"which is the key itself"),
        ("[1e-4, 1e-2]}", "[1e-4, 1e-2], when: {expert.count: []}}", 7, r"when must be another search key and its"),
        ("[1e-4, 1e-2]}", "[1e-4, 1e-2], when: {expert.counts: 4}}", 7,
         r"`expert.counts`, which is not searched; .* above \(did you mean `expert.count`\?\)"),
        ("[1e-4, 1e-2]}", "[1e-4, 1e-2], when: {expert.count: [4, 7]}}", 7,
         r"when asks for expert.count 7, which is not among 4, 8 \(nearest: 8\)"),
        ("[1e-4, 1e-2]}", "[1e-4, 1e-2], when: 4}", 7, r"when must be another search key and its values"),
        ("[1e-4, 1e-2]}", "[1e-4, 1e-2], whne: {expert.count: 4}}", 7,
         r"unknown kind `whne` \(did you mean `when`\?\); allowed: choice"),
        ("trials: 6", "  gate.top_k: {choice: [1, 2], when: {training.learning_rate: 1e-4}}\ntrials: 6", 8,
         r"when names `training.learning_rate`, the range loguniform; conditions name a choice or grid"),
        ("trials: 6", "  gate.top_k: {choice: [5], when: {expert.count: [4, 8]}}\ntrials: 6", 8,
         r"expert.count 4, gate.top_k 5 can meet, but then gate.top_k is 5"),
        # starting points
        ("trials: 6", "trials: 6\nstart:\n  - {expert.count: 4}\n  - {expert.count: 5}", 11,
         r"start has expert.count 5, which is not among 4, 8 \(nearest: 4\)"),
        ("trials: 6", "trials: 6\nstart:\n  - {expert.cuont: 4}", 10,
         r"start names `expert.cuont`, which is not searched \(did you mean `expert.count`\?\); searched"),
        ("trials: 6", "trials: 6\nstart: [{training.learning_rate: 0.1}]", 9,
         r"training.learning_rate 0.1, which is not within 0.0001 to 0.01 \(nearest: 0.01\)"),
        ("trials: 6", "  gate.top_k: {choice: [1, 2], when: {expert.count: 4}}\ntrials: 6\nstart:\n"
         "  - {gate.top_k: 1}", 11, r"`gate.top_k`, which is searched only when expert.count is 4: give that"),
        ("trials: 6", "trials: 6\nstart: [{expert.count: 4}, {expert.count: 4}]", 9, r"holds {.*} twice"),
        ("trials: 6", "trials: 1\nstart: [{}, {expert.count: 4}]", 9, r"`start` has 2 points, but `trials` is 1"),
        ("training.learning_rate: {loguniform: [1e-4, 1e-2]}", "gate.top_k: {grid: [1]}\nsampler: grid\nstart: [{}]", 9,
         r"`start` is of no use: `sampler: grid` tries every point anyway"),
        ("trials: 6", "trials: 6\nstart: {expert.count: 4}", 9, r"`start` "),
        ("{source: mini-atlas}\n  training: {steps: 100}\nsearch:", "{source: mini-atlas, store: here}\n"
         "search:\n  data.prepare.time_mode: {choice: [concat, replica]}", 3,
         r"`data.store` names one store, but `data.prepare.time_mode` is searched and needs one for each value"),
        ("trials: 6", "trials: 6\nresources: {workers: 0}", 9, r"`resources.workers` is 0"),
        ("name: demo", "name: a b", 1, r"`name` is 'a b', but must be letters, digits, dots, dashes and underscores"),
        ("name: demo", "name: " + 101 * "a", 1, r"at most 100"),
        ("name: demo", "name: 2026", 1, r"`name` is 2026, but must be text"),
        ("trials: 6", "trials: 6\nregister: {alias: v1}", 9, r"`register.alias` is 'v1', but must be another word"),
        ("trials: 6", "trials: 6\nsampler: tpee", 9, r'is "tpee" \(did you mean `tpe`\?\), but must be'),
        ("trials: 6", "trials: 6\nsampler_seed: -1", 9, r"`sampler_seed` is -1, but must be greater than"),
        ("trials: 6", "trials: 6\nscheduler: {asha: {grace_step: 9}}", 9, r"did you mean `grace_steps`"),
        ("training.learning_rate: {loguniform: [1e-4, 1e-2]}", "training.seed: {choice: [1, 2]}\nseeds: 2", 7,
         r"`training.seed` is searched, but `seeds: 2` sets it"),
        ("[4, 8]", "[4, 8, 4]", 6, r"choice holds 4 twice"),
        ("trials: 6", "trials: 6\nscheduler: asha", 9, r"is 'asha', but must be none, {asha: {grace_steps: 80}} or"),
        ("trials: 6", "trials: 6\nstorage: study", 9, r"is 'study', but must be a database's URL, such as sqlite:////"),
        ("trials: 6", "trials: 6\nobjective: val/iou", 9, r"is 'val/iou', but must be one {metric: val/iou"),
        ("trials: 6", "trials: 6\nobjective: []", 9, r"is a list of 0, but must be one {metric: .*} or a list of two"),
        ("trials: 6", "trials: 6\nobjective: {metric: val/chamfer, mode: max}", 9,
         r"`mode` is max, but less val/chamfer is better: it must be min"),
        ("trials: 6", "trials: 6\nobjective: {mode: min}", 9, r"`mode` is min, but more val/iou is better"),
    ],
)  # fmt: skip
def test_wrong_input_is_one_line_with_its_place(tmp_path: Path, old: str, new: str, line: int, message: str) -> None:
    assert old in GOOD
    path = write(tmp_path, GOOD.replace(old, new))
    with pytest.raises(InputError) as caught:
        load_sweep(path)
    text = str(caught.value)
    assert text.startswith(f"{path}:{line}: "), text
    assert re.search(message, text), text
    assert "\n" not in text


def test_conditions_two_objectives_and_starting_points_are_read(tmp_path: Path) -> None:
    text = GOOD.replace(
        "trials: 6",
        "  gate.top_k: {choice: [3, 4], when: {expert.count: 8}}\ntrials: 6\nsampler: nsga2\n"
        "scheduler: {median: {grace_steps: 50}}\n"
        "objective: [{metric: val/gap_closed}, {metric: perf/active_parameters, mode: min}]\n"
        "start:\n  - {expert.count: 8, gate.top_k: 3, training.learning_rate: 1e-3}",
    )
    sweep = load_sweep(write(tmp_path, text))
    assert sweep.search["gate.top_k"].when == {"expert.count": 8}
    assert [(one.metric, one.sign) for one in sweep.objectives] == [
        ("val/gap_closed", 1.0),
        ("perf/active_parameters", -1.0),
    ]
    assert sweep.objective == sweep.objectives[0]
    assert sweep.start == ({"expert.count": 8, "gate.top_k": 3, "training.learning_rate": 0.001},)
    assert sweep.scheduler is not None
    assert sweep.scheduler.grace_steps == 50


@pytest.mark.parametrize(
    ("old", "new", "caution"),
    [
        ("warmup_steps: 9", "warmup_steps: 100", "warmup_steps is 100, of 100 steps: the learning rate only rises"),
        ("trials: 6", "scheduler: {asha: {grace_steps: 100}}\ntrials: 6", "between step 100 and the end"),
        ("trials: 6", "scheduler: {median: {grace_steps: 51}}\ntrials: 6", "between step 51 and the end"),
        ("trials: 6", "scheduler: {median: {grace_steps: 9, min_trials: 6}}\ntrials: 6", "is 6, of 6 points"),
    ],
)
def test_what_is_hardly_meant_is_said(tmp_path: Path, old: str, new: str, caution: str) -> None:
    quiet = GOOD.replace("steps: 100", "steps: 100, warmup_steps: 9, validate_every: 50")
    assert cautions(load_sweep(write(tmp_path, quiet))) == []
    (found,) = cautions(load_sweep(write(tmp_path, quiet.replace(old, new))))
    assert caution in found


def test_what_is_better_follows_from_the_metric(tmp_path: Path) -> None:
    sweep = load_sweep(write(tmp_path, GOOD + "objective: {metric: val/chamfer}\n"))
    assert (sweep.objective.mode, sweep.objective.sign) == ("min", -1.0)


def test_an_unknown_variant_is_named_with_its_line(tmp_path: Path) -> None:
    path = write(
        tmp_path, GOOD.replace("expert.count: {choice: [4, 8]}", "router.backbone: {choice: [q_mpnn, pointnet3]}")
    )
    with pytest.raises(InputError, match=r"sweep.yaml:6: router.backbone is `pointnet3` \(did you mean `pointnet2`"):
        check_variants(load_sweep(path), path)
    run = write(tmp_path, "data: {source: mini-atlas}\nexpert:\n  kind: plian\n")
    with pytest.raises(InputError, match=r"sweep.yaml:3: expert.kind is `plian` \(did you mean `plain`"):
        check_variants(load_run(run), run)


def test_a_kind_of_expert_that_the_rest_does_not_go_with_is_refused(tmp_path: Path) -> None:
    searched = GOOD.replace("expert.count: {choice: [4, 8]}", "expert.kind: {choice: [plain, equivariant]}")
    path = write(tmp_path, searched)
    check_variants(load_sweep(path), path)
    path = write(tmp_path, searched.replace("  training:", "  router: {backbone: dmasif}\n  training:"))
    with pytest.raises(InputError, match=r"sweep.yaml:7: expert.kind equivariant can meet, .* nearest: q_mpnn$"):
        check_variants(load_sweep(path), path)
    run = write(tmp_path, "data: {source: mini-atlas}\nexpert:\n  kind: equivariant\nrouter: {l_max: 0}\n")
    with pytest.raises(InputError, match=r"sweep.yaml:3: router.l_max is 0, but must be at least 1"):
        check_variants(load_run(run), run)


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (GOOD.replace("mini-atlas", "mini-atlsa"), 3, "atlsa: no such folder (did you mean `mini-atlas`?)"),
        (GOOD.replace("source: mini-atlas", "store: stores/atals"), 3, "/stores/atals: no surface store; give"),
    ],
)
def test_data_that_is_not_there_is_said_before_anything_starts(
    text: str, line: int, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, text)
    monkeypatch.setenv("MOEDSR_CACHE", str(tmp_path))
    for command, number in (("sweep", line), ("train", 1)):
        if command == "train":  # the section stands at the top level
            path.write_text(next(row for row in text.splitlines() if "data:" in row).strip())
        result = CliRunner().invoke(main, [command, str(path)])
        assert result.exit_code == 2
        assert result.stderr.startswith(f"moedsr: {path}:{number}: ")
        assert message in result.stderr
        assert result.stderr.count("\n") == 1
        result = CliRunner().invoke(main, [command, str(path), "--dry-run"])
        assert result.exit_code == 0
        assert re.search(rf"^missing: .*{re.escape(message)}", result.output, re.MULTILINE)


def test_nothing_searched_needs_one_trial(tmp_path: Path) -> None:
    text = "base: {data: {source: mini-atlas}}\ntrials: 3\n"
    with pytest.raises(InputError, match=r":2: `trials` is 3, but nothing is searched; use seeds"):
        load_sweep(write(tmp_path, text))


def test_a_run_file_and_a_sweep_file_are_told_apart(tmp_path: Path) -> None:
    run = write(tmp_path, "data: {source: mini-atlas}\ntraining: {steps: 5}\n")
    with pytest.raises(InputError, match=r":1: this is a run file, not a sweep: use `moedsr train"):
        load_sweep(run)
    single = load_run(run)
    assert (single.points, single.base.training.steps, single.search) == (1, 5, {})
    with pytest.raises(InputError, match=r":2: this is a sweep file, not a run: use `moedsr sweep"):
        load_run(write(tmp_path, GOOD))


def test_a_name_from_the_command_line_is_checked(tmp_path: Path) -> None:
    sweep = load_sweep(write(tmp_path, GOOD))
    assert sweep.renamed("other").name == "other"
    with pytest.raises(InputError, match="--name is 'a/b', but must be letters"):
        sweep.renamed("a/b")
