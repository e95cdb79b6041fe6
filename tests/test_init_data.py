"""`minifw init --data FILE`: a config that fits a file, and trains it without a change."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from conftest import ROOT, Minifw
from minifw.config import yaml12

FILES = sorted(path for path in (ROOT / "tests/data").iterdir() if path.is_file())
TARGETS = {"birds-missing.csv": "species", "passengers.csv": "outcome"}
"""Where the last column is not the one to predict."""


def good(answer: object) -> object:
    assert answer.code == 0, answer.err  # type: ignore[attr-defined]
    return answer


def keys(name: str = "mine") -> dict[str, object]:
    found = yaml12.parse(Path(f"{name}.yaml").read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_each_file_is_trained_without_a_further_key(minifw: Minifw, path: Path) -> None:
    Path("data").mkdir()
    shutil.copy(path, "data")
    more = ["--target", TARGETS[path.name]] if path.name in TARGETS else []
    made = good(minifw("init", "mine", "--data", f"data/{path.name}", *more))
    assert made.out == "mine.yaml\n"
    assert minifw("validate", "mine.yaml").out == "mine.yaml: ok\n"
    run = good(minifw("train", "mine.yaml", "--json")).json
    # It learns: less wrong than to guess the most frequent class, or the mean.
    data = run["data"]
    guess = data.get("mean_error")
    if guess is None:
        counts = np.array([*data["class_balance"].values()])
        guess = 100 * (1 - counts.max() / counts.sum())
    assert run["test_error"][0] < guess
