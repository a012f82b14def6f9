"""The assembled model."""

from moedsr.config import Config
from moedsr.models.moedsr import MoEDSR


def model(count: int, top_k: int) -> MoEDSR:
    config = Config.model_validate(
        {
            "data": {"source": "mini-atlas"},
            "router": {"layers": 1, "hidden_channels": 8, "point_features": 8},
            "gate": {"top_k": top_k},
            "expert": {"kind": "plain", "count": count, "hidden_layers": 2, "hidden_size": 16},
        }
    )
    return MoEDSR(config, codes=3)


def test_weights_that_compute_for_one_protein_are_those_of_the_chosen_experts() -> None:
    four, two = model(4, 2), model(2, 2)
    total, active = four.parameter_counts()
    weights = [sum(weight.numel() for weight in one.experts.parameters()) for one in (four, two)]
    assert total - active == weights[0] - weights[1] > 0
    assert len(set(two.parameter_counts())) == 1
