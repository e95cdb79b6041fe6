"""Generated data of more kinds, against their formulas and scikit-learn's generators."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import make_blobs, make_circles

from minifw import data
from minifw.config.generated import Generated
from minifw.config.loading import load
from minifw.config.sections import section as made
from minifw.data.teachers import Teacher
from minifw.errors import ConfigError
from minifw.experiment import plan as planning


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def of(kind: str, **keys: Any) -> Generated:
    return made(Generated, kind, **keys)


# ---------------------------------------------------------------------------------------- circles


def test_circles_have_their_radii() -> None:
    inputs, labels = data.circles(rng(), 4000, 0.0, 0.3)
    np.testing.assert_allclose(np.hypot(*inputs.T), np.where(labels == 0, 1, 0.3))
    assert abs(labels.mean() - 0.5) < 4 * 0.5 / np.sqrt(4000)
    quarters = np.bincount((inputs > 0) @ [1, 2]) / 4000
    assert np.abs(quarters - 0.25).max() < 4 * np.sqrt(0.25 * 0.75 / 4000)


def test_circles_are_scikit_learns() -> None:
    ours, labels = data.circles(rng(1), 20_000, 0.1, 0.5)
    theirs, wanted = make_circles(20_000, noise=0.1, factor=0.5, random_state=0)
    for number in (0, 1):
        mine, other = (
            np.hypot(*points[each == number].T)
            for points, each in ((ours, labels), (theirs, wanted))
        )
        np.testing.assert_allclose(mine.mean(), other.mean(), atol=0.005)
        np.testing.assert_allclose(mine.std(), other.std(), rtol=0.05)


# ------------------------------------------------------------------------------------------ blobs


def test_blobs_lie_around_the_same_centres_whatever_the_seed() -> None:
    middles = []
    for seed in (0, 1):
        inputs, labels = data.blobs(rng(seed), 30_000, 3, 4, 2.0, 7)
        assert inputs.shape == (30_000, 4)
        groups = [inputs[labels == number] for number in range(3)]
        middles.append(np.stack([group.mean(0) for group in groups]))
        for group in groups:
            np.testing.assert_allclose(group.std(0), 2.0, rtol=0.04)
    np.testing.assert_allclose(middles[0], middles[1], atol=4 * 2.0 * np.sqrt(2 / 10_000))
    other, labels = data.blobs(rng(), 300, 3, 4, 0.0, 8)
    assert np.abs(other[labels == 0][0] - middles[0][0]).max() > 0.5


def test_blobs_are_scikit_learns() -> None:
    inputs, labels = data.blobs(rng(), 9000, 3, 2, 1.0, 3)
    centers = np.stack([data.blobs(rng(), 200, 3, 2, 0.0, 3)[0][k] for k in _firsts(3)])
    theirs, wanted = make_blobs(9000, centers=centers, cluster_std=1.0, random_state=0)
    for number in range(3):
        mine, other = inputs[labels == number], theirs[wanted == number]
        np.testing.assert_allclose(mine.mean(0), other.mean(0), atol=0.1)
        np.testing.assert_allclose(np.cov(mine.T), np.cov(other.T), atol=0.12)
    assert np.abs(centers).max() <= 10


def _firsts(classes: int) -> list[int]:
    labels = data.blobs(rng(), 200, classes, 2, 0.0, 3)[1]
    return [int(np.flatnonzero(labels == number)[0]) for number in range(classes)]


# ----------------------------------------------------------------------------------- checkerboard


@pytest.mark.parametrize("cells", [2, 5])
def test_checkerboard_by_its_formula(cells: int) -> None:
    inputs, labels = data.checkerboard(rng(), 500, cells)
    for (x, y), label in zip(inputs, labels, strict=True):
        assert label == (int(cells * x) + int(cells * y)) % 2
    assert inputs.min() >= 0
    assert inputs.max() < 1


def test_the_lines_of_a_checkerboard_are_where_the_class_changes() -> None:
    board = of("checkerboard", cells=3)
    line = np.array(board.declaration.outline(board.keys)["line"])
    segments = np.split(line, np.flatnonzero(np.isnan(line[:, 0])))
    ends = [part[~np.isnan(part[:, 0])] for part in segments]
    found = {tuple(map(tuple, part.round(6))) for part in ends if len(part)}
    third, two = 0.333333, 0.666667
    assert found == {
        ((third, 0.0), (third, 1.0)), ((0.0, third), (1.0, third)),
        ((two, 0.0), (two, 1.0)), ((0.0, two), (1.0, two)),
    }  # fmt: skip


# ---------------------------------------------------------------------------------------- teacher


def test_a_teacher_by_its_formula() -> None:
    inputs, labels = data.teacher(rng(), 300, 3, 5, 4, 11)
    known = Teacher.of(3, 5, 4, 11, classes=True)
    assert known.weight.shape == (5, 3)
    for x, label in zip(inputs, labels, strict=True):
        hidden = [max(0.0, float(w @ x + b)) for w, b in zip(known.weight, known.bias, strict=True)]
        scores = [
            (float(v @ np.array(hidden)) - t) / s
            for v, t, s in zip(known.out, known.shift, known.scale, strict=True)
        ]
        assert label == int(np.argmax(scores))
    np.testing.assert_allclose([inputs.mean(), inputs.std()], [0, 1], atol=0.12)


@pytest.mark.parametrize(("inputs", "hidden", "classes"), [(2, 10, 2), (2, 10, 4), (10, 50, 10)])
def test_the_classes_of_a_teacher_are_about_as_frequent(
    inputs: int, hidden: int, classes: int
) -> None:
    for seed in (0, 1):
        _, labels = data.teacher(rng(5), 10_000, inputs, hidden, classes, seed)
        often = np.bincount(labels, minlength=classes) * classes / 10_000
        assert np.abs(often - 1).max() < 0.15


def test_the_numbers_of_a_teacher_have_mean_0_and_deviation_1() -> None:
    inputs, plain = data.teacher_regression(rng(2), 10_000, 4, 8, 3, 0.0, 5)
    assert plain.shape == (10_000, 3)
    np.testing.assert_allclose(plain.mean(0), 0, atol=0.05)
    np.testing.assert_allclose(plain.std(0), 1, atol=0.05)
    again, noisy = data.teacher_regression(rng(2), 10_000, 4, 8, 3, 0.5, 5)
    assert (inputs == again).all()
    np.testing.assert_allclose((noisy - plain).std(0), 0.5, rtol=0.05)


def test_another_teacher_seed_is_another_teacher() -> None:
    labels = [data.teacher(rng(), 1000, 2, 10, 2, seed)[1] for seed in (0, 0, 1)]
    assert (labels[0] == labels[1]).all()
    assert (labels[0] != labels[2]).mean() > 0.1
    numbers = [data.teacher_regression(rng(), 50, 2, 10, 1, 0.0, seed)[1] for seed in (0, 0, 1)]
    assert (numbers[0] == numbers[1]).all()
    assert np.abs(numbers[0] - numbers[2]).max() > 0.1
    assert np.isfinite(data.teacher_regression(rng(), 50, 1, 1, 1, 0.0, 2)[1]).all()


# -------------------------------------------------------------------------------------- in configs

KINDS = [
    ("{kind: teacher, inputs: 5, classes: 3}", 3, 5),
    ("{kind: teacher-regression, inputs: 3, targets: 2}", 2, 3),
    ("{kind: blobs, features: 1, classes: 4}", 4, 1),
    ("{kind: circles}", 2, 2),
    ("{kind: checkerboard, cells: 3}", 2, 2),
]


def plan_of(tmp_path: Path, section: str, outputs: int) -> planning.Plan:
    loss = "mse" if "regression" in section else "cross-entropy"
    path = tmp_path / "a.yaml"
    path.write_text(
        f"name: a\nseeds: 3\ndata: {section}\nnetwork: [{{linear: {outputs}}}]\nloss: {loss}\n"
        "train: {eta: 0.1, epochs: 2}\n"
    )
    return planning.plan(load(path), 3, ["full-batch"])


@pytest.mark.parametrize(("section", "outputs", "features"), KINDS)
def test_a_lane_has_the_bits_of_its_seed_alone(
    tmp_path: Path, section: str, outputs: int, features: int
) -> None:
    plan = plan_of(tmp_path, section, outputs)
    assert len(plan.features) == features
    assert len(plan.classes) == (0 if plan.measure.targets else outputs)
    together, alone = plan.draw(plan.seeds).data, plan.draw([2]).data
    for name in ("train", "test"):
        of_all, of_one = together.parts[name], alone.parts[name]
        assert of_all.inputs[2].equal(of_one.inputs[0])
        assert of_all.targets[2].equal(of_one.targets[0])
    assert not together.train.inputs[0].equal(together.train.inputs[1])


def test_names_of_a_number_of_features() -> None:
    assert of("teacher").feature_names == ("x", "y")
    assert of("teacher", inputs=1).feature_names == ("x",)
    assert of("blobs", features=3).feature_names == ("x1", "x2", "x3")
    assert of("teacher-regression").target_names == ("y",)
    assert of("teacher-regression", targets=2).target_names == ("y1", "y2")


def test_a_network_of_other_outputs_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="4 classes, the last layer has 3 outputs"):
        plan_of(tmp_path, "{kind: blobs, classes: 4}", 3)
    with pytest.raises(ConfigError, match=r"data.factor: must be below 1(\.0)?, got 1"):
        plan_of(tmp_path, "{kind: circles, factor: 1}", 2)
