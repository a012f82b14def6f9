"""What became of a protein's task: prepared, set aside with its reason, or a fault that is no protein's."""

import errno

import pytest

from moedsr.errors import CannotWriteError, InputError
from moedsr_platform.preparation_tasks import _outcome

ray = pytest.importorskip("ray")


def ended_with(error: Exception, monkeypatch: pytest.MonkeyPatch) -> str:
    failure = ray.exceptions.RayTaskError("prepare_anywhere", "", error).as_instanceof_cause()

    def get(reference: object) -> None:
        raise failure

    monkeypatch.setattr(ray, "get", get)
    outcome = _outcome(object(), "store")
    assert isinstance(outcome, str)
    return outcome


def test_a_bad_protein_is_set_aside_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ended_with(InputError("one.pdb: holds no frame"), monkeypatch) == "one.pdb: holds no frame"
    assert ended_with(ValueError("odd"), monkeypatch) == "ValueError: odd"


@pytest.mark.parametrize(
    "error", [CannotWriteError("store/a: cannot be written (No space left)"), OSError(errno.ENOSPC, "No space left")]
)
def test_a_full_disk_ends_the_command(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        CannotWriteError, match=r"^store.*cannot be written.*No space left.*; finished proteins are kept$"
    ):
        ended_with(error, monkeypatch)
