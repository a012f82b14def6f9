"""Where the cache is."""

from pathlib import Path

import pytest

from moedsr.cache_folder import cache_folder


def test_the_variable_goes_before_the_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOEDSR_CACHE", "/somewhere")
    assert cache_folder() == Path("/somewhere")
    monkeypatch.delenv("MOEDSR_CACHE")
    monkeypatch.setenv("HOME", "/home/someone")
    assert cache_folder() == Path("/home/someone/.cache/moedsr")
