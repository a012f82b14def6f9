import pytest
import torch

from moedsr.models.router import neighbourhoods as module
from moedsr.models.router.neighbourhoods import neighbourhoods


@pytest.mark.parametrize("at_once", [1, 7, 10_000])
@pytest.mark.parametrize("pairs", [0, 60])
def test_holds_every_pair_once_and_every_point(at_once: int, pairs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PAIRS_AT_ONCE", {"cpu": at_once})
    random = torch.Generator().manual_seed(0)
    target = torch.randint(20, (pairs,), generator=random).sort().values
    source = torch.randint(20, (pairs,), generator=random)
    pieces = neighbourhoods(target, source, 20)
    assert sorted(torch.cat([piece.point for piece in pieces]).tolist()) == list(range(20))
    found = []
    for piece in pieces:
        assert piece.pair.numel() <= max(at_once, piece.pair.shape[1])
        rows, slots = (piece.pair < pairs).nonzero(as_tuple=True)
        number = piece.pair[rows, slots]
        assert (target[number] == piece.point[rows]).all()
        assert (source[number] == piece.neighbour[rows, slots]).all()
        found += number.tolist()
    assert sorted(found) == list(range(pairs))


def test_little_is_padded() -> None:
    degree = torch.randint(20, 80, (2000,), generator=torch.Generator().manual_seed(0))
    target = torch.repeat_interleave(torch.arange(2000), degree)
    pieces = neighbourhoods(target, torch.zeros_like(target), 2000)
    assert sum(piece.pair.numel() for piece in pieces) < 1.08 * len(target)
