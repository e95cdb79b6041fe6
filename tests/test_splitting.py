"""Splits that keep the classes' shares, and the tables that need no file."""

from __future__ import annotations

import csv
import io
import json
import sys
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn import datasets
from sklearn.model_selection import StratifiedShuffleSplit

from conftest import Minifw
from minifw import data, experiment, runs
from minifw.config import loading
from minifw.data import splitting, tables
from minifw.errors import ArtefactError, ConfigError, DataError
from minifw.experiment.build import build_data
from minifw.experiment.plan import plan as make_plan
from tables_of import table_at


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


# ---------------------------------------------------------------------------- stratified splits


@pytest.mark.parametrize(
    ("counts", "size", "expected"),
    [
        ([50, 50, 50], 120, [40, 40, 40]),
        ([59, 71, 48], 142, [47, 57, 38]),  # 47.07, 56.64, 38.29
        ([5, 3, 2], 3, [1, 1, 1]),  # 1.5, 0.9, 0.6: the largest rests are .9 and .6
        ([1, 1, 1], 2, [1, 1, 0]),  # equal rests: the first classes
        ([7, 0, 3], 10, [7, 0, 3]),
        ([7, 0, 3], 0, [0, 0, 0]),
    ],
)
def test_shares_by_largest_remainders(counts: list[int], size: int, expected: list[int]) -> None:
    assert data.shares(np.array(counts), size).tolist() == expected


def test_a_stratified_split_by_hand() -> None:
    labels = np.array([0, 1, 0, 0, 1, 0, 2, 2, 0, 0])  # 6, 2 and 2
    order = rng(3).permutation(10)
    train, test = data.split(rng(3), 10, 5, None, labels)
    # 3, 1 and 1 for training: of each class the first ones in the order, and in that order.
    expected = []
    left = {0: 3, 1: 1, 2: 1}
    for sample in order.tolist():
        if left[int(labels[sample])]:
            left[int(labels[sample])] -= 1
            expected.append(sample)
    assert train.tolist() == expected
    assert test.tolist() == [sample for sample in order.tolist() if sample not in expected]


@pytest.mark.parametrize("name", ["digits", "iris", "wine", "breast-cancer"])
@pytest.mark.parametrize(("train", "test"), [(0.8, None), (0.5, 0.25), (60, 31)])
def test_shares_are_those_of_scikit_learn(name: str, train: float, test: float | None) -> None:
    labels = tables.read_sklearn(name).class_numbers
    training, testing = splitting.split_sizes(len(labels), train, test)
    splitter = StratifiedShuffleSplit(1, train_size=training, test_size=testing, random_state=0)
    for seed in range(3):
        ours = data.split(rng(seed), len(labels), train, test, labels)
        theirs = next(splitter.split(labels, labels))
        assert not {*ours[0]} & {*ours[1]}
        for own, other in zip(ours, theirs, strict=True):
            assert len(own) == len(other)
            # Which class gets one more is drawn there where rests are equal.
            assert np.abs(np.bincount(labels[own]) - np.bincount(labels[other])).max() <= 1


def test_both_splits_draw_the_same() -> None:
    one, other = rng(), rng()
    data.split(one, 50, 0.5, None)
    data.split(other, 50, 0.5, None, np.arange(50) % 3)
    assert one.random() == other.random()


def test_stratified_samples_for_validation_are_the_last_of_each_class() -> None:
    labels = np.array([1, 0, 1, 1, 0, 0, 1, 1, 1, 1])  # 3 of 0, 7 of 1; 3 of 10: 0.9 and 2.1
    kept = splitting.kept_of(labels, len(labels), 3)
    assert np.flatnonzero(kept).tolist() == [5, 8, 9]


# ------------------------------------------------------------------------------------- the tables


@pytest.mark.parametrize(
    ("name", "load"),
    [
        ("digits", datasets.load_digits),
        ("iris", datasets.load_iris),
        ("wine", datasets.load_wine),
        ("breast-cancer", datasets.load_breast_cancer),
    ],
)
def test_what_scikit_learn_has(name: str, load: Any) -> None:
    table, theirs = tables.read_sklearn(name), load()
    assert np.array_equal(table.inputs, theirs.data)
    assert list(table.features) == list(theirs.feature_names)
    named = [table.classes[label] for label in table.class_numbers]
    assert named == [str(theirs.target_names[label]) for label in theirs.target]
    assert list(table.classes) == sorted(table.classes)  # as those of a file


def test_diabetes_is_in_its_own_units() -> None:
    """Scaling it by all samples, as scikit-learn does by default, would know those of the test."""
    table = tables.read_sklearn("diabetes")
    theirs = datasets.load_diabetes()
    assert table.inputs[0].tolist() == [59, 2, 32.1, 101, 157, 93.2, 38, 4, 4.8598, 87]
    centred = table.inputs - table.inputs.mean(0)
    scaled = centred / np.sqrt((centred**2).sum(0))
    np.testing.assert_allclose(scaled, theirs.data, atol=1e-12)
    assert np.array_equal(table.labels[:, 0], theirs.target)
    assert (table.classes, table.targets) == ((), ("progression",))
    assert list(table.features) == theirs.feature_names


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["data={kind: sklearn, name: diabetes, split: stratified}", "loss=mse"],
            "data.split: stratified needs classes, and the targets are numbers; random divides them",
        ),
        (
            ["data={kind: sklearn, name: diabetes, task: classification}", "loss=mse"],
            "data.task: must be regression: the targets here are numbers",
        ),
        (
            ["data.task=regression"],
            "data.task: must be classification: the targets here are classes",
        ),
    ],
)
def test_numbers_have_no_shares(tmp_path: Path, overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config_of(tmp_path, *overrides)
    (line,) = caught.value.lines
    assert line.endswith(message)


def test_its_frame_as_a_file_is_the_same_table(tmp_path: Path) -> None:
    table = tables.read_sklearn("wine")
    frame = datasets.load_wine(as_frame=True).frame
    frame["target"] = [table.classes[label] for label in table.class_numbers]
    frame.to_csv(tmp_path / "wine.csv", index=False)
    read = table_at(tmp_path / "wine.csv")
    assert np.array_equal(read.inputs, table.inputs)
    assert np.array_equal(read.labels, table.class_numbers)
    assert (read.features, read.classes, read.target) == (
        table.features,
        table.classes,
        table.target,
    )


def test_without_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(DataError, match=r"^data.kind: sklearn needs .*pip install 'minifw\[sk"):
        tables.read_sklearn("iris")


def test_modular_addition() -> None:
    table = tables.modular_addition(5)
    rows = {tuple(row): label for row, label in zip(table.inputs, table.class_numbers, strict=True)}
    assert rows == {(a, b): (a + b) % 5 for a in range(5) for b in range(5)}
    assert table.classes == ("0", "1", "2", "3", "4")


def test_parity() -> None:
    table = tables.parity(3)
    rows = {tuple(row): label for row, label in zip(table.inputs, table.class_numbers, strict=True)}
    assert len(rows) == 8
    assert all(label == sum(row) % 2 for row, label in rows.items())


def test_a_table_is_known_by_its_numbers_and_names() -> None:
    one = tables.modular_addition(5)
    assert one.checksum == tables.modular_addition(5).checksum
    assert one.checksum != tables.modular_addition(7).checksum
    with pytest.raises(ArtefactError, match=r"^data.name: scikit-learn's 'iris' has changed since"):
        tables.read_sklearn("iris", expected=one.checksum)


# ------------------------------------------------------------------------------------- in a config

CONFIG = """
name: mine
seeds: 3
data: {kind: sklearn, name: iris, split: stratified}
network: [{linear: 8}, tanh, {linear: 3}]
loss: cross-entropy
train: {eta: 0.1, epochs: 4, eval_every: 2}
"""


def config_of(tmp_path: Path, *overrides: str) -> Any:
    (tmp_path / "mine.yaml").write_text(CONFIG)
    return loading.load_with_source(tmp_path / "mine.yaml", overrides)


def inputs_of(part: Any) -> list[Any]:
    return [sorted(map(tuple, seed.tolist())) for seed in part.inputs]


@pytest.mark.parametrize(
    "kind",
    [
        "{kind: sklearn, name: iris, split: stratified, normalize: false, validation: 0.2}",
        "{kind: modular-addition, modulus: 12, split: stratified, train: 0.75}",
        "{kind: parity, bits: 6, split: stratified, normalize: false}",
        "{kind: parity, bits: 6, split: random, normalize: false}",
    ],
)
def test_seed_k_of_a_stack_is_seed_k_alone_and_no_sample_is_in_two_parts(
    tmp_path: Path, kind: str
) -> None:
    config, _ = config_of(tmp_path, f"data={kind}", "network.2.out_features=12")
    table = experiment.build.read_table(config.data, None)
    seeds = [4, 0, 7]
    stack = build_data(config, seeds, table)
    for place, seed in enumerate(seeds):
        alone = build_data(config, [seed], table)
        for name, part in stack.parts.items():
            own, other = part.of(place), alone.parts[name].of(0)
            assert own.inputs.equal(other.inputs)
            assert own.targets.equal(other.targets)
    every = sorted(map(tuple, table.inputs.astype(np.float32).tolist()))
    drawn = [inputs_of(part) for part in stack.parts.values()]
    for of_seed in zip(*drawn, strict=True):
        assert sorted(chain(*of_seed)) == every
    if config.data.split == "stratified":
        share = np.bincount(table.class_numbers) / len(table.class_numbers)
        for part in stack.parts.values():
            assert part.labels is not None
            for labels in part.labels.numpy():
                counts = np.bincount(labels, minlength=len(share))
                assert np.abs(counts - share * len(labels)).max() < 1


def test_validation_leaves_the_test_samples_as_they_are(tmp_path: Path) -> None:
    config, _ = config_of(tmp_path, "data.normalize=false")
    kept, _ = config_of(tmp_path, "data.normalize=false", "data.validation=0.1")
    table = tables.read_sklearn("iris")
    one, other = (build_data(each, [0, 1], table) for each in (config, kept))
    assert one.test.inputs.equal(other.test.inputs)
    assert other.validation is not None
    assert inputs_of(one.train) == [
        sorted(a + b)
        for a, b in zip(inputs_of(other.train), inputs_of(other.validation), strict=True)
    ]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "data.train=2",
            "data.split: stratified needs a sample of each class in every part, but class "
            "'virginica', of 50 in 150 samples, has none of the 2 training samples; other sizes, "
            "or split: random",
        ),
        ("data.test=1", "has none of the 1 test samples"),
        ("data.validation=2", "has none of the 2 validation samples"),
    ],
)
def test_too_few_of_a_class(tmp_path: Path, override: str, message: str) -> None:
    config, source = config_of(tmp_path, override)
    with pytest.raises(ConfigError) as caught:
        make_plan(config, 1, ["full-batch"], source)
    (line,) = caught.value.lines
    assert message in line
    assert line.startswith(str(tmp_path / "mine.yaml:4:42: data.split: "))
    loose, source = config_of(tmp_path, override, "data.split=random")
    make_plan(loose, 1, ["full-batch"], source)


def test_resume_notices_another_version_of_the_samples(
    minifw: Minifw, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("c.yaml").write_text(CONFIG.replace("eval_every: 2", "checkpoint_every: 1"))
    publish, read = runs.Run.write, datasets.load_iris

    def failing(run: runs.Run, name: str, content: str | bytes) -> None:
        if name == "metrics.jsonl":
            raise KeyboardInterrupt
        publish(run, name, content)

    def another() -> Any:
        found = read()
        found.data[7, 1] += 0.1
        return found

    with monkeypatch.context() as patch:
        patch.setattr(runs.Run, "write", failing)
        assert minifw("train", "c.yaml", "-q").code == 130
    (path,) = Path("runs").iterdir()
    with monkeypatch.context() as patch:
        patch.setattr(datasets, "load_iris", another)
        answer = minifw("resume", path)
    assert answer.code == 4
    assert answer.err.startswith("data.name: scikit-learn's 'iris' has changed since the run began")
    assert minifw("resume", path, "-q").code == 0
    whole = minifw("train", "c.yaml", "--json", "-q").json["run_dir"]
    assert errors_of(path) == errors_of(Path(whole))


def errors_of(run: Path) -> list[float]:
    found = json.loads((run / "results.json").read_text())
    errors: list[float] = found["modes"]["full-batch"]["minifw"]["test_error"]
    return errors


def test_each_seed_has_its_test_error_again_by_predict(minifw: Minifw) -> None:
    """The samples of a table as a file: names of features and classes are those of the run."""
    Path("c.yaml").write_text(CONFIG)
    run = Path(minifw("train", "c.yaml", "--json", "-q").json["run_dir"])
    table = tables.read_sklearn("iris")
    names = [table.classes[label] for label in table.class_numbers]
    with Path("iris.csv").open("w") as file:
        writer = csv.writer(file)
        writer.writerow([*table.features, table.target])
        writer.writerows([*row, name] for row, name in zip(table.inputs, names, strict=True))
    for seed in range(3):
        answer = minifw("predict", run, "iris.csv", "--seed", seed)
        rows = list(csv.DictReader(io.StringIO(answer.out)))
        parts = data.split(data.generator(seed, "data"), 150, 0.8, None, table.class_numbers)
        wrong = [rows[sample]["class"] != names[sample] for sample in parts[1]]
        assert 100 * np.mean(wrong) == pytest.approx(errors_of(run)[seed])


@pytest.mark.parametrize("command", ["validate", "show", "train"])
def test_all_commands_agree_about_a_split(minifw: Minifw, command: str) -> None:
    Path("c.yaml").write_text(CONFIG)
    said = minifw(command, "c.yaml", "--set", "data.train=2")
    assert said.code == 2
    assert said.err == (
        "c.yaml:4:42: data.split: stratified needs a sample of each class in every part, but class "
        "'virginica', of 50 in 150 samples, has none of the 2 training samples; other sizes, or "
        "split: random\n"
    )
    assert not Path("runs").exists()
