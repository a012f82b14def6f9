"""One clear line for whatever is wrong in a YAML file."""

from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict, Field

from moedsr.config_file import YamlSource, load_config
from moedsr.errors import InputError

DATA = "data: {source: mini-atlas}\n"


def _doubling(lines: int) -> str:
    """Each line holds the one before it twice."""
    return "k0: &k0 1\n" + "".join(f"k{n}: &k{n} [*k{n - 1}, *k{n - 1}]\n" for n in range(1, lines))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            DATA + "expert: {cuont: 3}",
            ":2: unknown key `expert.cuont` (did you mean `count`?); allowed: anchor_",
        ),
        (DATA + "expert:\n  count: many", ':3: `expert.count` is "many", but must be a valid integer'),
        (DATA + "training: {seed: 0.5}", ":2: `training.seed` is 0.5, but must be a valid integer"),
        (DATA + "loss: {load_balance: none}", "must be 'switch', 'paper' or 'cv2'"),
        (
            DATA + "expert: {harmonic_channels: 5}",
            "harmonic_channels is 5, but must be one of [1, 3, 4, 9, 16]",
        ),
        (DATA + "gate: {top_k: 9}", "gate.top_k is 9, but must be at most expert.count = 4"),
        (DATA + "gate: {top_k: 0}", "`gate.top_k` is 0, but must be greater than or equal to 1"),
        (DATA + "router: {l_max: -1}", "`router.l_max` is -1"),
        ("data: {proteins: [a]}", "one of `source` and `store` must be given"),
        ("router: {}", ":1: key `data` is missing"),
        (DATA + "data: {}", ":2: key `data` stands twice"),
        ("data: [", "not valid YAML"),
        (
            "data:\n\tsource: a",
            ":2: not valid YAML: found character '\\t' that cannot start any token; indent with spaces",
        ),
        ("data: " + 3000 * "[" + 3000 * "]", "not valid YAML: nested too deeply"),
        (_doubling(18), "holds more than 100000 values"),
        (DATA + "training: {seed: 1:30}", '`training.seed` is "1:30", but must be a valid integer'),
        (DATA + "training: {seed: 99999999999}", "`training.seed` is 99999999999, but must be less than 2147483648"),
        (DATA + "training: {learning_rate: .inf}", "must be a finite number"),
        (DATA + "router: {use_normals: yes}", '`router.use_normals` is "yes", but must be true or false'),
        (DATA + "router: {backbone: [a]}", '`router.backbone` is ["a"], but must be text'),
        (DATA + "router: 3", "`router` is 3, but must be a mapping of keys to values"),
        (DATA + "evaluation: {split: vall}", '`evaluation.split` is "vall" (did you mean `val`?), but must be'),
        ("- a", ":1: the file must be a mapping"),
        ("1: 2", ":1: key 1 must be text"),
        (DATA + "training: {seed: 2020-01-01}", "dates and binary values must be quoted"),
    ],
)
def test_errors(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as error:
        load_config(path)
    assert message in str(error.value)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")
    grace_steps: int = 1


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid")
    scheduler: Inner | None = None
    register_as: Inner | None = Field(None, alias="register")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("scheduler: {grace_step: 3}", "unknown key `scheduler.grace_step` (did you mean `grace_steps`?)"),
        ("register: {steps: 3}", "unknown key `register.steps` (did you mean `grace_steps`?); allowed: grace_steps"),
        ("registre: {}", "unknown key `registre` (did you mean `register`?); allowed: register, scheduler"),
    ],
)
def test_help_uses_the_files_own_names_and_looks_into_optional_sections(
    tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "file.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as error:
        YamlSource(path).build(Outer)
    assert message in str(error.value)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read: No such file"):
        load_config(tmp_path / "absent.yaml")


def test_numbers_without_a_dot_are_numbers(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(DATA + "training: {learning_rate: 1e-4}\nexpert: {softplus_beta: 1E2}")
    config = load_config(path)
    assert config.training.learning_rate == 1e-4
    assert config.expert.softplus_beta == 100.0


def test_defaults_are_the_papers_sizes(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(DATA)
    config = load_config(path)
    assert (config.expert.hidden_layers, config.expert.hidden_size, config.expert.softplus_beta) == (
        8,
        512,
        100,
    )
    assert config.flat()["gate.top_k"] == 2


def test_where(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("a:\n  b: 1\n  c:\n    - x\n    - y\n")
    source = YamlSource(path)
    assert source.where(("a", "b")) == f"{path}:2"
    assert source.where(("a", "c", 1)) == f"{path}:5"
    assert source.where(("a", "absent")) == f"{path}:1"


def test_on_and_no_are_words(tmp_path: Path) -> None:
    path = tmp_path / "words.yaml"
    path.write_text("on: no\nyes: off\nflag: true\n")
    assert YamlSource(path).data == {"on": "no", "yes": "off", "flag": True}
