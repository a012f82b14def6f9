"""One sentence that is honest in both directions."""

import pytest

from moedsr_platform.display.verdict import verdict

IOU = {"naive/iou": 0.485, "oracle/iou": 0.689}


@pytest.mark.parametrize(
    ("iou", "how"),
    [
        (0.367, "the best model 0.367: worse than doing nothing, by 0.118; the best static surface scores 0.689"),
        (0.512, "the best model 0.512: better than doing nothing, by 0.027; the best static"),
        (0.4852, "the best model 0.485: no better and no worse than doing nothing; the best static"),
    ],
)
def test_worse_better_equal(iou: float, how: str) -> None:
    text = verdict({**IOU, "val/iou": iou}, "val/iou", "max")
    assert text is not None
    assert text.startswith("val/iou: doing nothing (P0 for every frame) scores 0.485, ")
    assert how in text


def test_where_less_is_better() -> None:
    scores = {"val/chamfer_l1": 0.04, "naive/chamfer_l1": 0.05}
    text = verdict(scores, "val/chamfer_l1", "min")
    assert text is not None
    assert text.endswith("the best model 0.040: better than doing nothing, by 0.010")


def test_gap_closed_has_its_own_zero_and_one() -> None:
    text = verdict({"val/gap_closed": -0.9}, "val/gap_closed", "max")
    assert text is not None
    assert "scores 0.000, the best model -0.900: worse" in text
    assert text.endswith("surface scores 1.000")


def test_nothing_is_said_without_the_baseline() -> None:
    assert verdict({"val/iou": 0.5}, "val/iou", "max") is None
    assert verdict({}, "val/iou", "max") is None
