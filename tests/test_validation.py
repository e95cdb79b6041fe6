"""Samples for validation: which they are, what is recorded of them, and that nothing else moves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from conftest import ROOT
from minifw import data
from minifw.config import loading
from minifw.config.model import Config
from minifw.data import Dataset, Samples
from minifw.data.files import Table
from minifw.errors import ConfigError
from minifw.experiment.build import build_data
from minifw.experiment.plan import plan

SIMPLENET = ROOT / "configs" / "simplenet.yaml"
KEPT = ("--set", "data.validation=10")


def config_of(*overrides: str) -> Config:
    return loading.load(SIMPLENET, ["data.train=40", "data.test=30", *overrides])


def table(samples: int) -> Table:
    """A file whose samples are told apart by their first feature."""
    inputs = np.stack([np.arange(samples), np.ones(samples)], 1).astype(float)
    labels = np.arange(samples) % 2
    return Table(inputs, labels, ("x", "y"), ("0", "1"), "", "kind")


def csv(folder: Path, samples: int = 50) -> Path:
    path = folder / "mine.csv"
    rows = [f"{n},{(n * 7) % 13},{'ab'[n % 2]}" for n in range(samples)]
    path.write_text("\n".join(["x,y,kind", *rows]) + "\n")
    return path


def raw(dataset: Dataset, samples: Samples) -> Any:
    """The samples as they were drawn: normalisation undone."""
    values = samples.inputs.double().numpy() * dataset.scale[:, None] + dataset.shift[:, None]
    return values.round(5)


def same(left: Samples, right: Samples) -> bool:
    return all(torch.equal(a, b) for a, b in zip(vars(left).values(), vars(right).values(),
                                                 strict=True))  # fmt: skip


# ------------------------------------------------------------------------------ which samples


@pytest.mark.parametrize("key", ["10", "0.25"])
def test_the_last_training_samples_are_kept(key: str) -> None:
    """The draw and the test samples stay; normalising goes by those that are trained on."""
    plain = build_data(config_of("data.normalize=false"), [3, 4], None)
    kept = build_data(config_of("data.normalize=false", f"data.validation={key}"), [3, 4], None)
    assert plain.validation is None
    assert kept.validation is not None
    assert torch.equal(kept.train.inputs, plain.train.inputs[:, :30])
    assert torch.equal(kept.validation.inputs, plain.train.inputs[:, 30:])
    assert torch.equal(kept.validation.labels, plain.train.labels[:, 30:])
    assert same(kept.test, plain.test)
    normal = build_data(config_of(f"data.validation={key}", "dtype=float64"), [3, 4], None)
    assert normal.validation is not None
    drawn = plain.train.inputs.double().numpy()
    mean, std = drawn[:, :30].mean(1), drawn[:, :30].std(1)
    assert np.allclose(normal.shift, mean)
    assert np.allclose(normal.scale, std)
    expected = (drawn[:, 30:] - mean[:, None]) / std[:, None]
    assert np.allclose(normal.validation.inputs.numpy(), expected, atol=1e-6)


def test_samples_of_a_file_are_for_one_purpose_each(tmp_path: Path) -> None:
    overrides = [f"data={{kind: csv, path: {csv(tmp_path)}, train: 0.6, validation: 10}}"]
    config = loading.load(SIMPLENET, [*overrides, "dtype=float64"])
    planned = plan(config, 2, ["full-batch"])
    assert (planned.sizes.train, planned.sizes.validation, planned.sizes.test) == (20, 10, 20)
    drawn = planned.draw([0, 1]).data
    assert drawn.validation is not None
    without = loading.load(SIMPLENET, [overrides[0].replace(", validation: 10", "")])
    plain = build_data(without, [0, 1], planned.table)
    for seed in range(2):
        parts = [{*raw(drawn, part)[seed, :, 0]} for part in drawn.parts.values()]
        assert [len(part) for part in parts] == [20, 20, 10]
        assert len(set.union(*parts)) == 50
        assert {*raw(plain, plain.test)[seed, :, 0]} == parts[1]


@pytest.mark.parametrize(
    ("key", "came"),
    [("40", "40"), ("41", "41"), ("0.999", "0.999 of them, which is 40"),
     ("0.001", "0.001 of them, which is 0")],
)  # fmt: skip
def test_some_are_left_for_each_purpose(key: str, came: str, tmp_path: Path) -> None:
    must = "must be at least 1 and fewer than the training samples, of which there are"
    with pytest.raises(ConfigError) as found:
        config_of(f"data.validation={key}")
    assert [str(fault) for fault in found.value.faults] == [
        f"--set data.validation={key}: data.validation: {must} 40, got {came}"
    ]
    kind = f"data={{kind: csv, path: {csv(tmp_path)}, train: 40}}"
    config = loading.load(SIMPLENET, [kind, f"data.validation={key}"])
    with pytest.raises(ConfigError, match=rf"data\.validation: {must} 40, got {came}"):
        plan(config, 1, ["full-batch"])


@pytest.mark.parametrize("key", ["0", "1.0", "1.5", "-0.1", "true", "'0.2'", "[1]"])
def test_a_wrong_share_is_one_line(key: str) -> None:
    with pytest.raises(ConfigError, match="data.validation: must be a fraction below 1 or a") as e:
        config_of(f"data.validation={key}")
    assert len(e.value.faults) == 1


def test_a_batch_is_of_what_remains(tmp_path: Path) -> None:
    words = ["train.mode=sgd", "data.validation=10"]
    assert config_of(*words, "train.batch_size=30").train.batch_size == 30
    with pytest.raises(ConfigError) as found:
        config_of(*words, "train.batch_size=31")
    (fault,) = found.value.faults
    what = "must be at most the 30 training samples that data.validation leaves"
    assert f"train.batch_size: {what} (--set data.validation=10), got 31" in str(fault)
    kind = f"data={{kind: csv, path: {csv(tmp_path)}, train: 40, validation: 10}}"
    config = loading.load(SIMPLENET, [kind, "train.batch_size=31", "train.mode=sgd"])
    with pytest.raises(ConfigError, match=f"train.batch_size: {what}, got 31"):
        plan(config, 1, ["sgd"])


def test_extra_samples_leave_all_others_alone(tmp_path: Path) -> None:
    """For a study: as many as test samples, from a generator of their own."""
    config = config_of("data={kind: moons, train: 40, test: 30}")
    plain = build_data(config, [5, 6], None)
    more = build_data(config, [5, 6], None, extra_validation=True)
    assert same(more.train, plain.train)
    assert same(more.test, plain.test)
    assert np.array_equal(more.shift, plain.shift)
    assert more.validation is not None
    own, labels = config.data.draw(data.generator(6, "validation"), 30)
    assert np.allclose(raw(more, more.validation)[1], own, atol=1e-4)
    assert more.validation.labels[1].tolist() == labels.tolist()
    # The key itself wins; and a file has no more samples.
    keyed = config_of("data={kind: moons, train: 40, test: 30, validation: 10}")
    left, right = (build_data(keyed, [5], None, extra_validation=e) for e in (False, True))
    assert left.validation is not None
    assert right.validation is not None
    assert same(left.validation, right.validation)
    of_file = loading.load(SIMPLENET, [f"data={{kind: csv, path: {csv(tmp_path)}}}"])
    assert build_data(of_file, [0], table(50), extra_validation=True).validation is None
