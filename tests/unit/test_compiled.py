"""Compiled functions give what they would give uncompiled, and need no folder to be kept in."""

import numba
import numpy as np
import pytest

from moedsr.geometry.compiled import compiled


def total(values: np.ndarray) -> float:
    result = 0.0
    for value in values:
        result += value
    return result


def test_compiled_loop_is_the_loop() -> None:
    values = np.random.default_rng(0).normal(size=100)
    assert compiled(total)(values) == total(values)


def test_no_folder_to_keep_code_in(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = numba.njit

    def refuses_to_cache(function: object, **options: bool) -> object:
        if options.get("cache"):
            raise RuntimeError("cannot cache function: no locator available")
        return plain(function, **options)

    monkeypatch.setattr(numba, "njit", refuses_to_cache)
    assert compiled(total)(np.ones(3)) == 3.0
