"""Which frames are kept, and when they are."""

import logging

import numpy as np
import pytest

from moedsr.errors import InputError
from moedsr.structures.frame_plan import plan_frames


def test_concat_strides_over_all_replicas_as_the_paper_does() -> None:
    plan = plan_frames([10_000] * 3, 100, "concat")
    assert len(plan) == 100
    overall = [(frame.replica - 1) * 10_000 + frame.index + 1 for frame in plan]
    assert overall == list(range(300, 30_001, 300))
    assert [frame.time for frame in plan] == pytest.approx([2 * k / 100 - 1 for k in range(1, 101)])


def test_replica_spans_the_whole_time_in_each() -> None:
    plan = plan_frames([100, 100, 100], 100, "replica")
    assert len(plan) == 99
    for replica in (1, 2, 3):
        times = [frame.time for frame in plan if frame.replica == replica]
        assert times == pytest.approx([2 * k / 33 - 1 for k in range(1, 34)])
        assert [frame.index for frame in plan if frame.replica == replica][-1] == 99


@pytest.mark.parametrize("mode", ["concat", "replica"])
@pytest.mark.parametrize("counts", [[7], [101, 50, 3], [10, 10]])
def test_frames_are_distinct_in_range_and_after_p0(mode: str, counts: list[int]) -> None:
    plan = plan_frames(counts, 12, mode)  # type: ignore[arg-type]
    assert len({(frame.replica, frame.index) for frame in plan}) == len(plan)
    assert all(0 <= frame.index < counts[frame.replica - 1] and -1 < frame.time <= 1 for frame in plan)
    assert plan == sorted(plan, key=lambda frame: (frame.replica, frame.index))
    assert plan[-1].time == 1
    steps = np.diff([frame.index for frame in plan if frame.replica == 1])
    assert np.ptp(steps) <= 1


def test_too_few_frames_are_all_kept_and_said(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        plan = plan_frames([2, 3], 100, "concat", name="1abc_A")
    assert [(frame.replica, frame.index) for frame in plan] == [(1, 0), (1, 1), (2, 0), (2, 1), (2, 2)]
    assert "1abc_A: has 5 frames, fewer than the 100 wanted; all are kept" in caplog.text


def test_replica_needs_a_frame_for_each() -> None:
    with pytest.raises(InputError, match=r"1abc_A: frames is 2, but must be at least 3, one for each replica"):
        plan_frames([10, 10, 10], 2, "replica", name="1abc_A")
