"""Whatever a data file holds: all commands say the same of it; see campaigns/datafiles.py."""

from __future__ import annotations

from typing import Any

import pytest

from campaigns import datafiles
from minifw.data import files


def test_a_slice_of_the_campaign() -> None:
    report = datafiles.run(25, 1)
    assert not report.wrong, report.wrong[0]
    assert report.outcomes["trained"] >= 5
    assert report.outcomes["refused"] >= 2
    assert report.outcomes["resumed"] >= 2


@pytest.mark.slow
def test_a_larger_slice_of_the_campaign() -> None:
    report = datafiles.run(150, 2)
    assert not report.wrong, report.wrong[0]


def test_the_judge_finds_what_it_looks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = files.table_of

    def fails(*arguments: Any) -> Any:
        raise KeyError("planted")

    monkeypatch.setattr(files, "table_of", fails)
    assert "validate ended with 1" in datafiles.run(2, 1).wrong[0]
    calls = iter(range(10**6))

    def forgets(*arguments: Any) -> Any:  # a row is lost from the second reading on
        made = whole(*arguments)
        if next(calls) % 2:
            object.__setattr__(made, "inputs", made.inputs[:-1])
            object.__setattr__(made, "labels", made.labels[:-1])
        return made

    monkeypatch.setattr(files, "table_of", forgets)
    assert datafiles.run(10, 1).wrong
