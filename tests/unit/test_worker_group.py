"""What connects the workers of a trial; how they fare is in tests/integration/test_worker_group.py."""

import pytest

from moedsr_platform.sweep_file.schema import Resources
from moedsr_platform.trial.worker_group import backend_of


@pytest.mark.parametrize(
    ("share", "available", "backend"), [(0, True, "gloo"), (0.5, True, "gloo"), (1, True, "nccl"), (1, False, "gloo")]
)
def test_workers_that_may_share_a_gpu_do_without_nccl(
    share: float, available: bool, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.distributed.is_nccl_available", lambda: available)
    assert backend_of(Resources(workers=2, gpus_per_worker=share)) == backend
