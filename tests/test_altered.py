"""Training samples altered on purpose, against what the words of each key say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minifw import data
from minifw.config.loading import dump, load, load_with_source
from minifw.data.altered import Alteration, altered
from minifw.data.dataset import Dataset
from minifw.errors import ConfigError, DataError
from minifw.experiment import plan as planning
from minifw.experiment.drawing import samples_of
from minifw.study.lanes import Lane, stack, structure

NAMES = ("a", "b", "c")
SEEDS = 3


def config_of(tmp_path: Path, data: str, *overrides: str) -> Any:
    kind = data.split(",")[0].partition("kind: ")[2].strip("}")
    outputs = {"disk": 2, "sine": 1}.get(kind, 3)
    loss = "mse" if kind == "sine" else "cross-entropy"
    path = tmp_path / "a.yaml"
    path.write_text(
        f"name: a\nseeds: {SEEDS}\ndtype: float64\ndata: {data}\n"
        f"network: [{{linear: {outputs}}}]\nloss: {loss}\ntrain: {{eta: 0.1, epochs: 2}}\n"
    )
    return load(path, overrides)


def drawn(tmp_path: Path, data: str, *overrides: str) -> tuple[Dataset, Any]:
    """The samples of all seeds, and their plan."""
    config = config_of(tmp_path, data, "data.normalize=false", *overrides)
    made = planning.plan(config, SEEDS, ["full-batch"])
    return made.draw(made.seeds).data, made


def samples(n: int, classes: int, features: int = 2) -> tuple[Any, Any]:
    rng = np.random.default_rng(5)
    return rng.normal(size=(n, features)), rng.integers(0, classes, n)


def noise(seed: int = 0) -> np.random.Generator:
    return data.generator(seed, "noise")


# ------------------------------------------------------------------------------------ label noise


@pytest.mark.parametrize(("share", "n"), [(0.1, 1000), (0.25, 10), (1.0, 77), (0.0, 9)])
def test_exactly_that_share_of_labels_is_wrong(share: float, n: int) -> None:
    train = samples(n, 3)
    inputs, labels = altered(train, Alteration(label_noise=share), noise(), NAMES)
    assert (labels != train[1]).sum() == round(share * n)
    assert (inputs == train[0]).all()
    assert set(labels) <= {0, 1, 2}


def test_a_wrong_label_is_any_other_class_alike() -> None:
    train = np.zeros((30_000, 1)), np.full(30_000, 1)
    _, labels = altered(train, Alteration(label_noise=1.0), noise(), NAMES)
    counts = np.bincount(labels, minlength=3)
    assert counts[1] == 0
    assert abs(counts[0] - 15_000) < 4 * np.sqrt(30_000 / 4)


def test_wrong_labels_of_a_small_share_are_among_those_of_a_larger() -> None:
    train = samples(200, 3)
    few, many = (
        altered(train, Alteration(label_noise=share, feature_noise=f), noise(), NAMES)[1]
        for share, f in ((0.1, 0.0), (0.3, 2.0))
    )
    wrong = few != train[1]
    assert wrong.sum() == 20
    assert (many[wrong] == few[wrong]).all()


def test_noise_of_features_is_the_same_whatever_else_is_altered() -> None:
    train = data.disk(np.random.default_rng(3), 100)
    plain, both = (
        altered(train, by, noise(), ("0", "1"), draw=data.disk)[0] - train[0]
        for by in (
            Alteration(feature_noise=0.5),
            Alteration(feature_noise=1.0, label_noise=0.3),
        )
    )
    np.testing.assert_allclose(both, 2 * plain)


# ---------------------------------------------------------------------------------- feature noise


def test_feature_noise_is_in_units_of_each_feature() -> None:
    rng = np.random.default_rng(1)
    inputs = rng.normal(size=(20_000, 3)) * [1, 1e200, 1e-3] + [0, 0, 7]
    inputs = np.concatenate([inputs, np.full((20_000, 1), 0.1)], 1)
    inputs[5, 0] = np.nan
    noisy = np.array([True, True, True, True])
    made, labels = altered(
        (inputs, np.zeros(20_000)), Alteration(feature_noise=0.5), noise(), (), noisy=noisy
    )
    spread = np.nanstd((made - inputs) / [1, 1e200, 1e-3, 1], 0)
    np.testing.assert_allclose(spread[:3], 0.5, rtol=0.03)
    assert (made[:, 3] == 0.1).all()  # a constant has none
    assert np.isnan(made[5, 0])
    assert (labels == 0).all()


def test_features_that_are_left_out_stay() -> None:
    train = samples(50, 2)
    made, _ = altered(
        train, Alteration(feature_noise=1.0), noise(), NAMES, noisy=np.array([True, False])
    )
    assert (made[:, 0] != train[0][:, 0]).all()
    assert (made[:, 1] == train[0][:, 1]).all()


# ------------------------------------------------------------------------------ imbalance and share


def test_a_ratio_is_a_long_tail() -> None:
    # Cui et al. 2019, n_k = n mu^k with mu = ratio^(-1/(K-1)): CIFAR-10, 5000 of each class.
    ten = tuple("0123456789")
    quotas = Alteration(imbalance=100).quotas(np.full(10, 5000), ten)
    assert quotas.tolist() == [5000, 2997, 1797, 1077, 646, 387, 232, 139, 83, 50]
    # Where the classes differ, one of them keeps all and none gets more than it has.
    counts = np.array([100, 20, 60])
    quotas = Alteration(imbalance=4).quotas(counts, NAMES)
    assert quotas.tolist() == [40, 20, 10]


def test_a_mapping_has_the_share_that_a_class_keeps() -> None:
    inputs = np.arange(90.0)[:, None]
    labels = np.arange(90) % 3
    by = Alteration(imbalance={"b": 0.2, "c": 0.5})
    made, left = altered((inputs, labels), by, noise(), NAMES)
    assert np.bincount(left).tolist() == [30, 6, 15]
    assert (left == made[:, 0] % 3).all()
    for number, count in enumerate((30, 6, 15)):  # the first of each, in their order
        assert made[left == number, 0].tolist() == [number + 3 * k for k in range(count)]


def test_generated_data_draw_until_each_class_has_its_own() -> None:
    by = Alteration(imbalance=9)
    train = data.disk(np.random.default_rng(3), 400)
    inputs, labels = altered(train, by, noise(), ("0", "1"), draw=data.disk)
    assert np.bincount(labels).tolist() == [360, 40]
    inside = ((inputs - 0.5) ** 2).sum(1) <= 1 / (2 * np.pi)
    assert (inside == labels).all()
    assert len(np.unique(inputs, axis=0)) == 400
    zeros = train[0][train[1] == 0]
    assert (inputs[: len(zeros) + 40][labels[: len(zeros) + 40] == 0] == zeros).all()


def test_a_share_is_the_first_samples() -> None:
    train = samples(101, 3)
    inputs, labels = altered(train, Alteration(share=0.3), noise(), NAMES)
    assert (inputs == train[0][:30]).all()
    assert (labels == train[1][:30]).all()
    ordered = np.sort(train[1])
    _, labels = altered((train[0], ordered), Alteration(share=0.3), noise(), NAMES, stratified=True)
    assert np.abs(np.bincount(labels) - 0.3 * np.bincount(ordered)).max() < 1


@pytest.mark.parametrize(
    ("by", "message"),
    [
        (Alteration(imbalance={"d": 0.5}), "no class is 'd'"),
        (Alteration(imbalance=1e3), "leaves no training sample of class 'c'"),
        (Alteration(share=0.001), "must leave at least 1 of the 90 training samples, got 0.001"),
    ],
)
def test_what_cannot_be(by: Alteration, message: str) -> None:
    with pytest.raises(DataError, match=message):
        altered(samples(90, 3), by, noise(), NAMES)


# -------------------------------------------------------------------------------------- in configs

IRIS = "{kind: sklearn, name: iris, split: stratified, validation: 0.1, "
ALL = "label_noise: 0.2, feature_noise: 0.5, share: 0.5, imbalance: 3}"
SPIRALS = "{kind: spirals, classes: 3, train: 90, test: 50, validation: 0.2, "


@pytest.mark.parametrize("kind", [IRIS, SPIRALS])
def test_only_training_samples_are_altered(tmp_path: Path, kind: str) -> None:
    plain, _ = drawn(tmp_path, kind + "}")
    made, plan = drawn(tmp_path, kind + ALL)
    for part in ("test", "validation"):
        for values in ("inputs", "labels"):
            assert getattr(made.parts[part], values).equal(getattr(plain.parts[part], values))
    assert made.train.count == plan.sizes.train == samples_of(plan.config, plan.table)[0]
    assert made.train.count < plain.train.count
    assert plan.sizes.test == plain.test.count
    alone = plan.draw([1]).data
    assert alone.train.inputs[0].equal(made.train.inputs[1])
    assert alone.train.class_numbers[0].equal(made.train.class_numbers[1])


def test_each_seed_has_its_own_wrong_labels(tmp_path: Path) -> None:
    kind = "{kind: sklearn, name: iris, split: stratified, split_seed: 1"
    made, _ = drawn(tmp_path, kind + ", label_noise: 0.2}")
    plain, _ = drawn(tmp_path, kind + "}")
    wrong = made.train.class_numbers != plain.train.class_numbers
    assert wrong.sum(-1).tolist() == [24, 24, 24]
    assert not wrong[0].equal(wrong[1])


def test_the_keys_are_counted_together(tmp_path: Path) -> None:
    # 120 of 150 for training, 12 kept for validation: 108 trained on, half of them, 18 each.
    made, _ = drawn(tmp_path, IRIS + "share: 0.5, imbalance: 3}")
    plain, _ = drawn(tmp_path, IRIS + "}")
    assert plain.train.count == 108
    for labels in made.train.class_numbers:
        assert np.bincount(labels.numpy()).tolist() == [18, 10, 6]


def test_regression_takes_feature_noise_and_a_share(tmp_path: Path) -> None:
    kind = "{kind: sine, train: 40, normalize_target: false"
    made, _ = drawn(tmp_path, kind + ", feature_noise: 1, share: 0.25}")
    plain, _ = drawn(tmp_path, kind + "}")
    assert made.train.targets.equal(plain.train.targets[:, :10])
    assert not made.train.inputs.equal(plain.train.inputs[:, :10])


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ("{kind: disk, imbalance: 0.5}", "must be a ratio of at least 1, or a mapping of classes"),
        ("{kind: disk, imbalance: {0: 1.5}}", "got a mapping with 1.5"),
        ("{kind: disk, imbalance: {}}", "must be a ratio"),
        ("{kind: disk, imbalance: true}", "must be a ratio"),
        ("{kind: disk, imbalance: {two: 0.5}}", "no class is 'two'; known here: 0, 1"),
        ("{kind: disk, imbalance: 1e5}", "data.imbalance: leaves no training sample of class '1'"),
        ("{kind: disk, radius: 0.001, imbalance: 2}", "draws gave only"),
        ("{kind: disk, train: 10, share: 0.01}", "data.share: must leave at least 1 of the 10"),
        ("{kind: disk, label_noise: 1.5}", "data.label_noise: must be at most 1"),
        ("{kind: sine, label_noise: 0.5}", "data.label_noise: is for classes"),
        ("{kind: sklearn, name: iris, imbalance: 2}", "needs data.split: stratified"),
        (
            "{kind: sklearn, name: iris, split: stratified, imbalance: {seto: 0.5}}",
            "data.imbalance: no class is 'seto'; did you mean 'setosa'?",
        ),
        ("{kind: sklearn, name: iris, split: stratified, imbalance: 900}", "of class 'virginica'"),
    ],
)
def test_a_wrong_key_is_told_in_its_line(tmp_path: Path, section: str, message: str) -> None:
    def planned() -> None:
        config_of(tmp_path, section)
        config, source = load_with_source(tmp_path / "a.yaml")
        planning.plan(config, SEEDS, ["full-batch"], source)

    with pytest.raises(ConfigError, match=message.replace("{", "\\{")) as raised:
        planned()
    assert "a.yaml:4" in str(raised.value)


def test_an_embedding_takes_no_noise(tmp_path: Path) -> None:
    config = config_of(
        tmp_path,
        "{kind: modular-addition, modulus: 5, feature_noise: 0.1}",
        "network=[{kind: embedding, num_embeddings: 5, embedding_dim: 4}, flatten, {linear: 5}]",
    )
    with pytest.raises(ConfigError, match=r"data.feature_noise: a layer takes the features as"):
        planning.plan(config, SEEDS, ["full-batch"])


def test_a_resolved_config_has_the_keys_that_were_given(tmp_path: Path) -> None:
    config = config_of(tmp_path, "{kind: disk, imbalance: {1: 0.5}, label_noise: 0.1}")
    text = dump(config)
    assert "imbalance" in text
    assert "share" not in text
    path = tmp_path / "again.yaml"
    path.write_text(text)
    assert load(path) == config


def test_noise_is_of_the_lanes_of_one_stack(tmp_path: Path) -> None:
    configs = {
        k: config_of(tmp_path, IRIS + f"label_noise: {share}}}")
        for k, share in enumerate((0.0, 0.1, 0.2))
    }
    assert len({structure(config) for config in configs.values()}) == 1
    fewer = config_of(tmp_path, IRIS + "share: 0.5}")
    assert structure(fewer) != structure(configs[0])
    plan = planning.plan(configs[0], SEEDS, ["full-batch"])
    lanes = [Lane.of(cell, seed) for cell in configs for seed in (0, 1)]
    made = stack(lanes, configs, dict.fromkeys(configs, plan.table), ())
    alone = planning.plan(configs[2], SEEDS, ["full-batch"]).draw([1]).data
    assert made.data.train.class_numbers[-1].equal(alone.train.class_numbers[0])
    wrong = made.data.train.class_numbers[:2] != made.data.train.class_numbers[4:]
    assert wrong.sum(-1).tolist() == [22, 22]


def test_a_caption_says_what_was_altered(tmp_path: Path) -> None:
    from minifw.experiment.results import about

    config = config_of(tmp_path, "{kind: disk, imbalance: 10, share: 0.5, label_noise: 0.1}")
    said = about(config, 2)
    for words in ("50 % of the training samples", "imbalanced 10:1", "10 % of training labels"):
        assert words in said
    assert "training" not in about(config_of(tmp_path, "{kind: disk}"), 2)
    assert json.dumps(config.data.alteration.words)
