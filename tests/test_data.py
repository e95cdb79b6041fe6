"""Data: generated points, users' files, splitting, normalising, batches."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import make_moons
from sklearn.preprocessing import StandardScaler

from minifw import data
from minifw.errors import DataError, ShapeError
from tables_of import arrays_at, table_at

RADIUS = 1 / math.sqrt(2 * math.pi)


def rng(seed: int = 0) -> np.random.Generator:
    return data.generator(seed, "data")


def test_each_seed_and_purpose_has_its_own_numbers() -> None:
    draws = {
        (seed, purpose): data.generator(seed, purpose).random()
        for seed in (0, 1, 2**32)
        for purpose in data.PURPOSES
    }
    assert len(set(draws.values())) == len(draws)
    assert data.generator(1, "init").random() == draws[1, "init"]


def test_published_numbers_stay() -> None:
    # The first draws of seed 0; a change here changes every figure that was ever published.
    assert [data.generator(0, p).integers(10**6) for p in data.PURPOSES] == [
        int(np.random.default_rng(np.random.SeedSequence(0, spawn_key=(k,))).integers(10**6))
        for k in range(6)
    ]
    assert data.PURPOSES == ("data", "init", "shuffle", "validation", "dropout", "noise")


@pytest.mark.parametrize(("center", "share"), [((0.5, 0.5), 0.5), ((0.0, 0.0), 0.125)])
def test_disk(center: tuple[float, float], share: float) -> None:
    inputs, labels = data.disk(rng(), 100_000, center, RADIUS)
    assert labels.mean() == pytest.approx(share, abs=0.005)
    assert inputs.min() >= 0
    assert inputs.max() <= 1
    distance = np.hypot(*(inputs - center).T)
    assert distance[labels == 1].max() <= RADIUS < distance[labels == 0].min()


def test_half_plane() -> None:
    inputs, labels = data.half_plane(rng(), 1000)
    assert np.array_equal(labels == 1, inputs[:, 0] > inputs[:, 1])


def test_moons_lie_where_scikit_learn_puts_them() -> None:
    theirs, kinds = make_moons(4000, noise=None, random_state=0)
    for inputs, labels in (data.moons(rng(), 4000, 0.0), data.moons(rng(), 4000, 0.1)):
        assert 0.45 < labels.mean() < 0.55
        for label in (0, 1):
            found, expected = inputs[labels == label], theirs[kinds == label]
            np.testing.assert_allclose(found.mean(0), expected.mean(0), atol=0.05)
    inputs, labels = data.moons(rng(), 500, 0.0)
    for point, label in zip(inputs, labels, strict=True):  # each on its own half circle
        assert np.hypot(*(theirs[kinds == label] - point).T).min() < 0.005


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_spirals(classes: int) -> None:
    inputs, labels = data.spirals(rng(), 5000, 0.0, 1.5, classes)
    radius, angle = np.hypot(*inputs.T), np.arctan2(inputs[:, 1], inputs[:, 0])
    expected = 2 * math.pi * (1.5 * radius + labels / classes)
    np.testing.assert_allclose(np.cos(angle - expected), 1, atol=1e-9)
    assert set(labels) == set(range(classes))


def draws_of(seed: int, samples: int = 40) -> tuple[data.Points, data.Points]:
    generator = data.generator(seed, "data")
    return data.moons(generator, samples, 0.1), data.moons(generator, samples // 2, 0.1)


def stacked(seeds: list[int], normalize: bool = True, one_hot: bool = True) -> data.Dataset:
    return data.stack_seeds(
        (draws_of(seed) for seed in seeds), seeds=seeds, features=("x", "y"), classes=("0", "1"),
        normalize=normalize, one_hot=one_hot, dtype=torch.float64,
    )  # fmt: skip


def test_normalising_uses_the_training_samples_of_each_seed() -> None:
    dataset = stacked([3, 4])
    torch.testing.assert_close(dataset.train.inputs.mean(1), torch.zeros(2, 2, dtype=torch.float64))
    torch.testing.assert_close(
        dataset.train.inputs.std(1, correction=0), torch.ones(2, 2, dtype=torch.float64)
    )
    raw = stacked([3, 4], normalize=False)
    for part in ("train", "test"):
        back = (
            getattr(dataset, part).inputs.numpy() * dataset.scale[:, None] + dataset.shift[:, None]
        )
        np.testing.assert_allclose(back, getattr(raw, part).inputs.numpy(), atol=1e-12)


def test_a_constant_feature_is_only_shifted() -> None:
    inputs, labels = np.array([[1.0, 5.0], [2.0, 5.0]]), np.array([0, 1])
    dataset = data.stack_seeds(
        [((inputs, labels), (inputs, labels))], seeds=[0], features=("a", "b"), classes=("0", "1"),
        normalize=True, one_hot=False, dtype=torch.float32,
    )  # fmt: skip
    assert torch.equal(dataset.train.inputs[0, :, 1], torch.zeros(2))


def scaled(*columns: object) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Training samples of these features, as numbers and as scales."""
    inputs = np.stack([np.asarray(column, float) for column in columns], 1)
    labels = np.zeros(len(inputs), np.int64)
    names = [str(place) for place in range(len(columns))]
    dataset = data.stack_seeds(
        [((inputs, labels), (inputs, labels))], seeds=[0], features=names, classes=("0", "1"),
        normalize=True, one_hot=False, dtype=torch.float64,
    )  # fmt: skip
    return dataset.train.inputs[0].numpy(), dataset.scale[0]


@pytest.mark.parametrize("samples", [1, 2, 3, 100, 1001])
def test_a_constant_is_only_shifted_whatever_it_is(samples: int) -> None:
    generator = np.random.default_rng(samples)
    powers = 10.0 ** generator.uniform(-140, 140, 50)
    constants = [0.1, -0.1, 0.0, 1 / 3, 5e-324, 1e-200, 1.7e308, -1e200, *powers, *-powers]
    inputs, scale = scaled(*(np.full(samples, constant) for constant in constants))
    assert np.array_equal(scale, np.ones(len(constants)))
    assert (np.abs(inputs) <= samples * 2.3e-16 * np.abs(constants)).all()
    theirs = StandardScaler().fit(np.tile([*powers, *-powers], (samples, 1)))
    assert np.array_equal(scale[8:], theirs.scale_)


def test_what_is_nearly_constant_is_told_as_scikit_learn_tells_it() -> None:
    generator = np.random.default_rng(0)
    levels = 10.0 ** generator.uniform(-20, 20, 400)
    # Rounding hides what is below 7e-14 of the mean here; near that the two may differ.
    sizes = 10.0 ** np.where(np.arange(400) < 200, -18, -12.5 + generator.uniform(0, 10, 400))
    columns = levels * (1 + sizes * generator.normal(size=(300, 400)))
    _, scale = scaled(*columns.T)
    theirs = StandardScaler().fit(columns).scale_
    np.testing.assert_allclose(scale, theirs, rtol=1e-3)
    assert np.array_equal(scale == 1, np.arange(400) < 200)
    # What varies is scaled, however small or large: its squares leave no float.
    for unit in (1e-300, 1e-170, 1e170, 1e300):
        inputs, scale = scaled([0, unit, 3 * unit])
        np.testing.assert_allclose(scale, unit * np.std([0, 1, 3]))
        np.testing.assert_allclose(inputs.std(), 1)


def test_normalising_keeps_every_bit_of_mean_and_deviation() -> None:
    inputs = np.random.default_rng(0).normal(3, 0.2, (1000, 2))
    _, scale = scaled(*inputs.T)
    assert np.array_equal(scale, inputs.std(0))


def test_seed_k_of_a_stack_is_seed_k_alone() -> None:
    many, one = stacked([5, 6, 7]), stacked([6])
    assert torch.equal(many.train.inputs[1], one.train.inputs[0])
    assert torch.equal(many.test.targets[1], one.test.targets[0])
    orders, order = data.BatchOrder([5, 6, 7], 40), data.BatchOrder([6], 40)
    for _ in range(3):
        assert torch.equal(orders()[1], order()[0])


def test_an_order_is_a_permutation_and_new_each_epoch() -> None:
    next_order = data.BatchOrder([0, 1], 50)
    first, second = next_order(), next_order()
    assert torch.equal(first.sort(1).values, torch.arange(50).expand(2, 50))
    assert not torch.equal(first, second)
    assert not torch.equal(first[0], first[1])


@pytest.mark.parametrize("one_hot", [True, False])
def test_samples_in_order(one_hot: bool) -> None:
    samples = stacked([0, 1], one_hot=one_hot).train
    order = torch.tensor([[3, 1, 1], [0, 39, 2]])
    inputs, targets = samples.in_order(order)
    for seed in (0, 1):
        assert torch.equal(inputs[seed], samples.inputs[seed][order[seed]])
        assert torch.equal(targets[seed], samples.targets[seed][order[seed]])
    for wrong in (-1, 40):  # also where it would be a sample of the other seed
        order[0, 1] = wrong
        with pytest.raises(ShapeError, match="in_order: positions must be 0 to 39, got"):
            samples.in_order(order, (torch.empty(0), torch.empty(0)))


# ----------------------------------------------------------------------------------------- files


def csv_file(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "points.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_csv(tmp_path: Path) -> None:
    path = csv_file(tmp_path, "\ufeffa, b ,kind\n1,2,cat\n-3e2,4.5,dog\n\n0,0,cat\n")
    table = table_at(path)
    assert table.features == ("a", "b")
    assert table.classes == ("cat", "dog")
    np.testing.assert_array_equal(table.inputs, [[1, 2], [-300, 4.5], [0, 0]])
    np.testing.assert_array_equal(table.labels, [0, 1, 0])
    one = table_at(path, ["b"], "kind")
    np.testing.assert_array_equal(one.inputs, [[2], [4.5], [0]])


def test_whole_number_classes_are_in_numeric_order(tmp_path: Path) -> None:
    path = csv_file(tmp_path, "a,y\n1,10\n2,9\n3,-1\n")
    table = table_at(path, None, "y")
    assert table.classes == ("-1", "9", "10")
    np.testing.assert_array_equal(table.labels, [2, 1, 0])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b,y\n1,2,0\n1,x,1\n", r"points.csv:3: 1 cell is not a number: 'b' \(line 3: 'x'\)"),
        (
            "a,b,y\n1,2,0\n1,,1\n",
            r"points.csv:3: 1 cell is missing: 'b' \(line 3: ''\); data.missing: drop leaves",
        ),
        ("a,b,y\n1,nan,0\n1,2,1\n", r"points.csv:2: 1 cell is missing: 'b' \(line 2: 'nan'\)"),
        ("a,b,y\n1,2,0\n1,2\n", r"points.csv:3: expects 3 values, as in line 1, got 2"),
        ("a,b,y\n1,2,\n", r"points.csv:2: 1 cell is missing: 'y' \(line 2: ''\)"),
        ("a,a,y\n1,2,3\n", r"points.csv:1: column names must differ, 'a' is there twice"),
        ("a,b,y\n1,2,0\n3,4,0\n", r"at least two classes, all samples are '0'"),
        ("a,b,y\n", r"a line of column names and then samples, got 1 line"),
        ("", r"got 0 line"),
        (
            b"a,y\n1,1\n\xff,1\n",
            r"points.csv:3: is not UTF-8 text; data.encoding: latin-1 reads it",
        ),
        ("a,y\n" + "".join(f"1,{i}\n" for i in range(1001)), r"is the target really a class\?"),
    ],
)
def test_csv_faults_have_their_place(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(DataError, match=message) as raised:
        table_at(csv_file(tmp_path, text), None, "y")
    assert "\n" not in str(raised.value)


def test_csv_columns_that_are_not_there(tmp_path: Path) -> None:
    path = csv_file(tmp_path, "height,width,label\n1,2,0\n3,4,1\n")
    with pytest.raises(DataError, match=r"there is no column 'lable'; did you mean 'label'\?"):
        table_at(path, None, "lable")
    with pytest.raises(DataError, match=r"there is no column 'heigth'; did you mean 'height'\?"):
        table_at(path, ["heigth"])
    with pytest.raises(DataError, match="cannot be read as data: No such file"):
        table_at(tmp_path / "none.csv")
    with pytest.raises(DataError, match="cannot be read as data: this is a directory"):
        table_at(tmp_path)


def npz_file(tmp_path: Path, **arrays: object) -> Path:
    path = tmp_path / "points.npz"
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path


def test_npz(tmp_path: Path) -> None:
    path = npz_file(tmp_path, x=np.eye(4, 3), y=np.array(["b", "a", "b", "a"]))
    table = arrays_at(path)
    assert table.classes == ("a", "b")
    assert table.features == ("x[0]", "x[1]", "x[2]")
    np.testing.assert_array_equal(table.labels, [1, 0, 1, 0])


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.eye(3), "z": [0, 1, 0]}, r"there is no array 'y'"),
        ({"x": np.eye(3), "y": [0, 1]}, r"got \(3, 3\) and \(2,\)"),
        ({"x": np.ones(3), "y": [0, 1, 0]}, r"got \(3,\)"),
        (
            {"x": [[0, 1], [np.nan, np.nan]], "y": [0, 1]},
            r"row 2: 2 cells are missing in 1 row: 'x\[0\]' \(row 2: 'nan'\), 'x\[1\]'",
        ),
        (
            {"x": [[0, 1], [2, np.inf]], "y": [0, 1]},
            r"row 2: 1 cell is not a number: 'x\[1\]' \(row 2: 'inf'\)",
        ),
        ({"x": np.ones((2, 2)) * 1j, "y": [0, 1]}, r"finite real numbers"),
        (
            {"x": np.eye(2), "y": [0.5, np.nan]},
            r"row 2: 1 cell is missing: 'y' \(row 2: 'nan'\)",
        ),
        ({"x": np.eye(2), "y": np.array([1j, 2])}, r"numbers, truth values or text\), got complex"),
        ({"x": np.eye(2), "y": np.array([b"a", b"\xff"])}, r"'y' must hold text, got bytes"),
        ({"x": np.eye(2), "y": [10**400, 1]}, r"it holds Python objects"),
        (
            {"x": np.full((2, 2), np.longdouble("1e4000")), "y": [0, 1]},
            r"'x\[0\]' \(2, the first in row 1: 'inf'\)",
        ),
        ({"x": np.empty((0, 2)), "y": np.empty(0, int)}, r"got \(0, 2\)"),
        ({"x": np.array([[1, None]], dtype=object), "y": [0]}, r"cannot be read as data"),
    ],
)
def test_npz_faults(tmp_path: Path, arrays: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message) as raised:
        arrays_at(npz_file(tmp_path, **arrays))
    assert "\n" not in str(raised.value)


def test_npz_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "points.npz"
    for content in (b"", b"not a zip", b"\x93NUMPY"):
        path.write_bytes(content)
        with pytest.raises(DataError, match="cannot be read as data"):
            arrays_at(path)


@pytest.mark.parametrize(
    ("train", "test", "sizes"),
    [
        (0.8, None, (80, 20)),
        (0.5, 0.25, (50, 25)),
        (60, None, (60, 40)),
        (10, 20, (10, 20)),
        (0.8, 20, (80, 20)),
    ],
)
def test_split(train: float, test: float | None, sizes: tuple[int, int]) -> None:
    first, second = data.split(rng(), 100, train, test)
    assert (len(first), len(second)) == sizes
    assert len(set(first) | set(second)) == sum(sizes)


@pytest.mark.parametrize(
    ("train", "test"), [(100, None), (0.001, None), (80, 30), (200, None), (0.8, 0.001)]
)
def test_splits_that_do_not_fit(train: float, test: float | None) -> None:
    with pytest.raises(DataError, match="at least 1 training and 1 test sample"):
        data.split(rng(), 100, train, test)


def test_balance() -> None:
    inputs = np.zeros((4, 1))
    draws = [((inputs, np.array([0, 0, 0, 1])), (inputs, np.array([0, 1, 1, 1])))]
    dataset = data.stack_seeds(
        draws,
        seeds=[0],
        features=("a",),
        classes=("no", "yes"),
        normalize=False,
        one_hot=False,
        dtype=torch.float32,
    )
    share, wrong = data.balance(dataset)
    assert share.tolist() == [[0.25, 0.75]]
    assert wrong.tolist() == [0.75]  # the majority of the training samples is guessed
