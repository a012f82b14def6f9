"""Jobs: what is uploaded, what is refused before the upload, and a job on a local cluster."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from moedsr.errors import InputError
from moedsr_platform.cli import main
from moedsr_platform.cluster import jobs

ROOT = Path(__file__).resolve().parents[2]


def test_what_need_not_travel_is_not_counted(tmp_path: Path) -> None:
    (tmp_path / "code.py").write_bytes(b"x" * 10)
    for name in (".venv", "results", ".git", "data/__pycache__", "mine"):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        (folder / "large").write_bytes(b"x" * 1000)
    (tmp_path / ".rayignore").write_text("mine/\n")
    assert jobs.check_size(tmp_path) == 10 + len("mine/\n")


def test_too_much_to_upload_is_said_before_the_upload(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "LIMIT", 3 * 1024**2)
    (tmp_path / "trajectories").mkdir()
    (tmp_path / "trajectories" / "a.xtc").write_bytes(b"x" * 4 * 1024**2)
    with pytest.raises(InputError, match=r"has 4 MB to upload, but a cluster takes 3 MB.*trajectories \(4 MB\)"):
        jobs.check_size(tmp_path)


def test_this_checkout_can_be_uploaded() -> None:
    assert jobs.check_size(ROOT) < 50 * 1024**2


def test_workers_find_the_platform_without_an_installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracking:5000")
    environment = jobs.runtime_environment(tmp_path)
    assert environment["env_vars"]["PYTHONPATH"] == "platform"
    assert environment["env_vars"]["MLFLOW_TRACKING_URI"] == "http://tracking:5000"
    assert environment["working_dir"] == str(tmp_path)
    assert ".venv" in environment["excludes"]


def test_a_file_that_would_not_travel_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "sweep.yaml"
    other.write_text("x")
    with pytest.raises(InputError, match=r"is not inside .*, which is all that the job will see"):
        jobs.submit(other, tmp_path / "checkout", "http://127.0.0.1:1", (), lambda text: None)


@pytest.mark.parametrize("address", ["http://127.0.0.1:9", "127.0.0.1:9"])
def test_no_cluster_is_one_line(address: str) -> None:
    file = str(ROOT / "sweeps" / "quickstart.yaml")
    arguments = ["submit", file, "--address", address, "--working-dir", str(ROOT)]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2, result.output
    assert f"--address is {address}, but must be" in result.output or "http://127.0.0.1:9" in result.output
    assert result.output.count("\n") == 1
    assert "Traceback" not in result.output
