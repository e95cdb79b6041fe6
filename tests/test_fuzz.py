"""Whatever a config holds: it is accepted, or refused with lines that all tell where."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bad_configs import GOOD
from campaigns import fuzz_configs
from minifw.config import loading, model, source, yaml12

ANY_FOLDER = settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200
)
KEYS = sorted({*model.Config.model_fields, *model.Train.model_fields, "kind", "linear", "x"})
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(KEYS),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(KEYS) | st.text(), inner, max_size=4)
    ),
    max_leaves=20,
)


def judged(folder: Path, text: bytes, *overrides: str) -> None:
    report = fuzz_configs.Report()
    fuzz_configs.judge(folder / "a.yaml", text, list(overrides), report)
    assert not report.wrong, report.wrong


def test_a_slice_of_the_campaign(tmp_path: Path) -> None:
    report = fuzz_configs.run(400, seed=1, path=tmp_path / "a.yaml")
    assert not report.wrong, report.wrong[0]
    assert report.outcomes["accepted"] > 5
    assert report.outcomes["refused"] > 300


@given(st.text())
@ANY_FOLDER
def test_any_text(tmp_path: Path, text: str) -> None:
    judged(tmp_path, text.encode("utf-8", "surrogatepass"))


@given(st.binary())
@ANY_FOLDER
def test_any_bytes(tmp_path: Path, content: bytes) -> None:
    judged(tmp_path, content)


@given(st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=6))
@ANY_FOLDER
def test_any_values(tmp_path: Path, values: dict[str, Any]) -> None:
    sound = yaml12.parse(GOOD, source.Source("good"))
    judged(tmp_path, yaml.safe_dump({**sound, **values}).encode("utf-8", "surrogatepass"))


@given(st.lists(st.sampled_from(KEYS) | st.integers(0, 4).map(str), min_size=1, max_size=4), VALUES)
@ANY_FOLDER
def test_any_override(tmp_path: Path, path: list[str], value: Any) -> None:
    text = yaml.safe_dump(value, default_flow_style=True).removesuffix("...\n").strip()
    judged(tmp_path, GOOD.encode(), f"{'.'.join(path)}={text}")


@pytest.mark.parametrize("path", fuzz_configs.SHIPPED, ids=len)
def test_shipped_configs_cut_anywhere(tmp_path: Path, path: bytes) -> None:
    for end in range(0, len(path), 37):
        judged(tmp_path, path[:end])


def test_the_judge_finds_what_it_looks_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(path: Path, overrides: list[str]) -> None:
        raise KeyError(path)

    monkeypatch.setattr(loading, "load", fails)
    report = fuzz_configs.Report()
    fuzz_configs.judge(tmp_path / "a.yaml", b"", [], report)
    assert report.wrong[0][0].startswith("traceback")
    here = tmp_path / "a.yaml"
    assert not fuzz_configs.has_place("name: no place", here, [])
    assert not fuzz_configs.has_place(f"{here}:1:1: \x1b[31m", here, [])
    assert fuzz_configs.has_place(f"{here}:1:1: name: wrong", here, [])
