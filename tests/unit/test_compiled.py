"""Compiled functions give what they give uncompiled, are kept no longer than they are right, and need no folder."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

from moedsr.geometry import compiled as module
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
    def refuses(function: object) -> None:
        raise RuntimeError("cannot cache function: no locator available")

    monkeypatch.setattr(module, "_Kept", refuses)
    assert compiled(total)(np.ones(3)) == 3.0


def test_a_change_in_a_function_of_another_file_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In each session both files are imported anew; the code that is kept of the caller holds that of the called."""
    head = "from moedsr.geometry.compiled import compiled\n"
    (tmp_path / "the_caller.py").write_text(
        f"{head}from the_called import inner\n@compiled\ndef outer(x):\n    return inner(x)\n"
    )
    monkeypatch.setattr(module, "__file__", str(tmp_path / "compiled.py"))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # the files change within a second
    monkeypatch.syspath_prepend(tmp_path)

    def session(added: int) -> tuple[int, bool]:
        """What comes out, and whether code that was kept gave it."""
        (tmp_path / "the_called.py").write_text(f"{head}@compiled\ndef inner(x):\n    return x + {added}\n")
        for name in ("the_caller", "the_called"):
            sys.modules.pop(name, None)
        importlib.invalidate_caches()
        module.sources.cache_clear()
        outer = importlib.import_module("the_caller").outer
        return outer(1), bool(outer.stats.cache_hits)

    try:
        assert [session(added) for added in (1, 1, 5)] == [(2, False), (2, True), (6, False)]
    finally:
        module.sources.cache_clear()
