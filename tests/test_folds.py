"""Cross-validation: folds, their intervals, and runs in which a fold is a lane like any seed."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from sklearn.model_selection import GroupKFold, StratifiedKFold

import minifw as library
from campaigns.folds import FEATURES, coverage
from conftest import Minifw
from minifw import runs
from minifw.config import loading
from minifw.data.division import Division
from minifw.data.folds import fold_sizes, folds
from minifw.errors import ConfigError, DataError, UsageError
from minifw.experiment.build import build_data
from minifw.experiment.plan import plan as make_plan
from minifw.report.tables import Interval
from minifw.statistics.overlap import Overlap, corrected, corrected_test
from minifw.statistics.paired import compare
from minifw.statistics.summary import summarize


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


# ---------------------------------------------------------------------------------------- folds


@pytest.mark.parametrize(("samples", "count"), [(10, 3), (12, 4), (7, 7), (101, 10)])
def test_folds_differ_by_one_sample_at_most(samples: int, count: int) -> None:
    sizes = np.bincount(folds(rng(), samples, count), minlength=count)
    assert sizes.sum() == samples
    assert sizes.max() - sizes.min() == bool(samples % count)
    assert sorted(sizes) == sorted(fold_sizes(samples, count))


def test_folds_are_drawn() -> None:
    one, other = folds(rng(0), 60, 5), folds(rng(1), 60, 5)
    assert one.tolist() == folds(rng(0), 60, 5).tolist()
    assert one.tolist() != other.tolist()


@pytest.mark.parametrize("counts", [[50, 50, 50], [31, 17, 9, 5], [100, 5]])
def test_stratified_folds_have_as_many_of_a_class_as_those_of_scikit_learn(
    counts: list[int],
) -> None:
    labels = np.repeat(np.arange(len(counts)), counts)
    labels = rng(9).permutation(labels)
    found = folds(rng(), len(labels), 5, strata=labels)
    table = np.array([np.bincount(labels[found == k], minlength=len(counts)) for k in range(5)])
    assert (table.max(0) - table.min(0) <= 1).all()
    assert np.ptp(table.sum(1)) <= 1
    theirs = StratifiedKFold(5, shuffle=True, random_state=0).split(labels, labels)
    other = [np.bincount(labels[test], minlength=len(counts)) for _, test in theirs]
    assert np.sort(table, 0).tolist() == np.sort(np.array(other), 0).tolist()


def test_folds_of_whole_groups_are_as_large_as_those_of_scikit_learn() -> None:
    groups = rng(3).integers(0, 40, 300) ** 2 // 40  # small and large ones
    groups = np.unique(groups, return_inverse=True)[1]
    found = folds(rng(), 300, 6, groups=groups)
    for group in np.unique(groups):
        assert len({*found[groups == group]}) == 1
    theirs = GroupKFold(6).split(groups, groups, groups)
    assert sorted(np.bincount(found)) == sorted(len(test) for _, test in theirs)
    assert sorted(np.bincount(found)) == sorted(fold_sizes(300, 6, groups))


def test_too_few_samples_or_groups_for_the_folds() -> None:
    with pytest.raises(DataError, match="at most the 4 samples that there are, got 5"):
        fold_sizes(4, 5)
    with pytest.raises(DataError, match="at most the 2 groups that there are, got 3"):
        fold_sizes(4, 3, np.array([0, 0, 1, 1]))


# ----------------------------------------------------------------------------------- a division


DIVISIONS = {
    "random": Division(50, folds=4),
    "stratified": Division(50, folds=4, strata=np.arange(50) % 3),
    "grouped": Division(50, folds=4, groups=np.arange(50) // 4),
    "validation": Division(50, folds=4, validation=0.25),
    "stratified, validation": Division(50, folds=4, strata=np.arange(50) % 3, validation=9),
    "grouped, validation": Division(50, folds=4, groups=np.arange(50) // 4, validation=0.25),
}


@pytest.mark.parametrize("name", DIVISIONS)
def test_each_sample_is_tested_in_one_fold_of_each_division(name: str) -> None:
    division = DIVISIONS[name]
    sizes = division.sizes
    for first in (0, 4):
        tested: list[int] = []
        for seed in range(first, first + 4):
            train, test, *kept = division.parts(seed)
            assert [len(train), len(test)] == [sizes.train, sizes.test]
            assert [len(part) for part in kept] == [sizes.validation] * bool(sizes.validation)
            assert not {*test} & {*train, *(kept[0] if kept else [])}
            assert not {*train} & {*(kept[0] if kept else [])}
            assert len({*train}) == len(train)
            assert np.bincount(test).max() <= 2
            tested += {*test.tolist()}
        assert sorted(tested) == [*range(50)]


def test_folds_of_one_size_leave_no_sample_out() -> None:
    division = Division(48, folds=4)
    for seed in range(4):
        train, test = division.parts(seed)
        assert sorted([*train, *test]) == [*range(48)]
    assert division.notes([0, 1, 2, 3]) == []


def test_the_divisions_are_those_of_their_generators() -> None:
    division = Division(20, folds=5)
    found = folds(library.data.generator(1, "data"), 20, 5)
    for seed in range(5, 10):
        assert sorted(division.parts(seed)[1]) == np.flatnonzero(found == seed - 5).tolist()


def test_one_division_for_all() -> None:
    division = Division(20, folds=5, seed=7)
    found = folds(library.data.generator(7, "data"), 20, 5)
    for seed in range(15):
        assert sorted(division.parts(seed)[1]) == np.flatnonzero(found == seed % 5).tolist()


def test_folds_of_whole_groups_keep_them_together() -> None:
    groups = np.arange(50) // 4
    division = Division(50, folds=4, groups=groups, validation=0.25)
    for seed in range(8):
        of_parts = [{*groups[part].tolist()} for part in division.parts(seed)]
        assert sum(map(len, of_parts)) == len(set.union(*of_parts))


def test_what_unequal_folds_do_is_noted() -> None:
    (note,) = Division(50, folds=4).notes([0])
    assert note.startswith("50 samples make no 4 equal folds: of 2 folds one test sample")
    (note,) = Division(50, folds=4, groups=np.arange(50) // 4).notes([0])
    assert "4 folds of whole groups have 12 to 14 samples: all count as 14" in note


# ------------------------------------------------------------------------------- the statistics


def test_the_corrected_interval_by_hand() -> None:
    # Nadeau and Bengio 2003: t = mean / sqrt((1/J + n_test/n_train) sd²), with J - 1 degrees.
    errors = np.array([4.0, 6.0, 5.0, 9.0, 6.0])
    overlap = Overlap(ratio=0.25, parts=5)
    error = np.sqrt((1 / 5 + 0.25) * 3.5)  # squares of -2, 0, -1, 3, 0: 14 / 4
    half = stats.t(4).ppf(0.975) * error
    assert corrected(errors, overlap) == pytest.approx((6 - half, 6 + half), rel=1e-12)
    p = 2 * stats.t(4).sf(6 / error)
    assert corrected_test(errors, overlap) == pytest.approx(p, rel=1e-12)


def test_without_an_overlap_it_is_students_interval() -> None:
    errors = rng().normal(5, 1, 12)
    plain = stats.t.interval(0.95, 11, errors.mean(), stats.sem(errors))
    assert corrected(errors, Overlap(0.0, 12)) == pytest.approx(plain)
    assert corrected_test(errors - 4.5, Overlap(0.0, 12)) == pytest.approx(
        stats.ttest_1samp(errors - 4.5, 0).pvalue
    )


def test_the_same_folds_again_are_no_more_evidence() -> None:
    errors = np.array([4.0, 6.0, 5.0, 9.0])
    once = corrected(np.tile(errors, 2), Overlap(1 / 3, 4))
    assert once is not None
    sd = np.tile(errors, 2).std(ddof=1)
    half = stats.t(3).ppf(0.975) * sd * np.sqrt(1 / 4 + 1 / 3)
    assert once == pytest.approx((6 - half, 6 + half))


def test_edges_of_the_corrected_interval() -> None:
    overlap = Overlap(0.1, 10)
    assert corrected(np.array([3.0]), overlap) is None
    assert corrected_test(np.array([3.0]), overlap) == 1.0
    assert corrected(np.array([0.1, 0.1, 0.1]), overlap) == (0.1, 0.1)
    assert corrected_test(np.zeros(3), overlap) == 1.0


def test_the_summary_of_folds() -> None:
    overlap = Overlap(1 / 9, 10)
    errors = [*rng().uniform(0, 3, 10)]
    found = summarize([*errors, None], overlap)
    assert (found.n, found.diverged, found.median_interval) == (11, 1, None)
    assert found.mean_interval == pytest.approx(corrected(np.array(errors), overlap))
    few = summarize([0.0, 0.0, 4.0], overlap)
    assert few.mean_interval is not None
    assert few.mean_interval[0] == 0.0  # no error is below 0


def test_pairs_of_folds() -> None:
    a, b = rng(1).normal(10, 1, 10), rng(2).normal(11, 1, 10)
    overlap = Overlap(1 / 9, 10)
    pair = compare([*a], [*b], margin=2.0, overlap=overlap)
    assert pair.test == "corrected t"
    assert pair.p == corrected_test(a - b, overlap)
    assert pair.interval == pytest.approx(corrected(a - b, overlap))
    assert pair.equivalence_interval == pytest.approx(corrected(a - b, overlap, 0.9))
    assert pair.warning() is None
    assert "corrected for training samples that overlap" in pair.sentence()
    mirrored = compare([*b], [*a], margin=2.0, overlap=overlap)
    assert pair.interval is not None
    assert mirrored.interval == (-pair.interval[1], -pair.interval[0])
    plain = compare([*a], [*b], margin=2.0)
    assert plain.interval is not None
    assert np.ptp(pair.interval) > np.ptp(plain.interval)


@pytest.mark.slow
def test_corrected_intervals_cover_where_others_do_not() -> None:
    found = coverage(10, 5, 300, [FEATURES])
    assert found["Student"] < 0.75
    assert found["corrected"] >= 0.93


# ------------------------------------------------------------------------------------ the runs


CONFIG = """\
name: folds
data: {kind: sklearn, name: iris, split: stratified, folds: 4}
network: [{linear: 4}, relu, {linear: 3}]
loss: cross-entropy
train: {eta: 0.1, epochs: 20, eval_every: 10, checkpoint_every: 5}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "folds.yaml"
    path.write_text(CONFIG)
    return path


def test_there_are_as_many_seeds_as_folds(config: Path) -> None:
    plan = make_plan(loading.load(config), 1, ["full-batch"])
    assert plan.seeds == [0, 1, 2, 3]
    assert (plan.sizes.train, plan.sizes.test) == (112, 38)
    assert plan.division == "4-fold cross-validation, 1 division"
    assert len(plan.notes) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("seeds=6", "seeds: must be a multiple of data.folds, 4, .* got 6; seeds=8"),
        ("seed=2", "seed: must be a multiple of data.folds, 4, .* got 2; seed=0"),
        (
            "data.train=0.5",
            "data.train: cannot be given with data.folds, where all but one fold are for training; "
            "--set data.train=null takes it away",
        ),
        ("data.test=10", "data.test: cannot be given with data.folds"),
        ("data.imbalance=2", "data.imbalance: cannot be given with data.folds"),
        ("data.folds=1", "data.folds"),
        ("data.split=grouped", "data.split: grouped needs groups of samples: data of kind sklearn"),
    ],
)
def test_keys_that_do_not_go_with_folds(config: Path, change: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as raised:
        loading.load(config, [change])
    assert "\n" not in str(raised.value)


def test_a_key_that_does_not_go_with_folds_can_be_taken_away(config: Path) -> None:
    found = loading.load(config, ["data.train=0.5", "data.train=null"])
    assert make_plan(found, 1, ["full-batch"]).seeds == [0, 1, 2, 3]


def test_folds_that_lack_a_class(config: Path) -> None:
    with pytest.raises(ConfigError, match="class 'setosa' has 50 for 51 folds; fewer folds"):
        make_plan(loading.load(config, ["data.folds=51"]), 1, ["full-batch"])
    with pytest.raises(ConfigError, match="at most the 150 samples that there are, got 151"):
        make_plan(loading.load(config, ["data.folds=151"]), 1, ["full-batch"])


def test_a_fold_in_a_stack_is_the_fold_alone(config: Path) -> None:
    plan = make_plan(loading.load(config, ["seeds=8"]), 1, ["full-batch"])
    together = plan.draw(plan.seeds).data
    for seed in plan.seeds:
        alone = build_data(plan.config, [seed], plan.table)
        for part, own in alone.parts.items():
            assert (together.parts[part].inputs[seed] == own.inputs[0]).all()
            assert (together.parts[part].targets[seed] == own.targets[0]).all()


def test_a_run_of_folds_says_what_it_is(config: Path, tmp_path: Path) -> None:
    run = library.train(config, seeds=8, runs_dir=tmp_path / "runs")
    results = json.loads((run.path / "results.json").read_text())
    assert results["data"]["division"] == "4-fold cross-validation, 2 divisions"
    assert results["data"]["cross_validation"] == {"folds": 4, "divisions": 2, "ratio": 38 / 112}
    summary = results["modes"]["full-batch"]["minifw"]["summary"]
    known = corrected(np.array(run.test_error), Overlap(38 / 112, 8))
    assert known is not None
    assert summary["mean_interval"] == pytest.approx([max(0.0, known[0]), known[1]])
    assert summary["median_interval"] is None
    table = (run.path / "tables/table1.md").read_text()
    assert "over 8 seeds: 4-fold cross-validation, 2 divisions. The interval of the mean" in table
    # Seeds 0 to 3 alone, the first division, are the same networks.
    first = library.train(config, runs_dir=tmp_path / "runs")
    assert first.seeds == [0, 1, 2, 3]
    assert first.test_error.tolist() == run.test_error[:4].tolist()


def test_compared_folds_have_corrected_figures(config: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(CONFIG.replace("eta: 0.1", "eta: 0.01"))
    found = library.compare(config, other, runs_dir=tmp_path / "runs")
    assert found.seeds == [0, 1, 2, 3]
    (pair,) = found.pairs
    one, two = found.arms.values()
    assert pair.test == "corrected t"
    assert pair.p == pytest.approx(corrected_test(one - two, Overlap(38 / 112, 4)))
    pairs = (found.path / "tables/pairs.md").read_text()
    assert "the corrected resampled t-test" in pairs
    runs = [library.train(each, runs_dir=tmp_path / "runs") for each in (config, other)]
    finished = library.compare(*(run.path for run in runs), runs_dir=tmp_path / "runs")
    assert finished.pairs[0].p == pair.p


def test_a_sweep_of_folds(config: Path, tmp_path: Path) -> None:
    swept = library.sweep(
        config,
        over={"train.eta": [0.01, 0.1]},
        overrides={"data.validation": 0.2},
        runs_dir=tmp_path / "runs",
    )
    cells = json.loads((swept.path / "cells.json").read_text())
    assert [cell["seeds"] for cell in cells["cells"]] == [[0, 1, 2, 3]] * 2
    assert cells["cells"][0]["cross_validation"]["folds"] == 4
    for cell, figures in zip(cells["cells"], cells["outcome"]["cells"], strict=True):
        wanted = corrected(np.array(cell["test_error"]), Overlap(38 / 112, 4))
        assert wanted is not None
        assert figures["mean_interval"] == pytest.approx([max(0, wanted[0]), wanted[1]])
    first = swept.cells[0]
    low, high = first.mean_interval or (math.nan, math.nan)
    assert [low, high] == cells["outcome"]["cells"][0]["mean_interval"]
    assert first.interval is None


def test_the_table_and_the_figure_of_a_sweep_of_folds_have_means(
    config: Path, tmp_path: Path
) -> None:
    """The median of folds has no interval: the mean's is shown, and the words say so."""
    swept = library.sweep(
        config,
        over={"train.eta": [0.01, 0.1]},
        overrides={"data.validation": 0.2},
        runs_dir=tmp_path / "runs",
    )
    table = swept.table()
    assert table.head[-3:] == ["mean", "95 % interval", "median"]
    assert "mean with its 95 % interval, corrected for training sets that overlap, and median" in (
        table.caption
    )
    assert "bootstrap" not in table.caption
    best = swept.best
    assert best is not None
    assert best.mean_interval is not None
    assert (
        f"Its mean test error is {best.mean:.2f} % (95 % interval {best.mean_interval[0]:.2f} "
        in (table.caption)
    )
    (row,) = [cells for name, cells in table.rows if name == str(best.number)]
    assert row[-3:] == [best.mean, Interval(*best.mean_interval), best.median]
    summaries = (swept.path / "tables/summaries.md").read_text()
    assert "corrected for training sets that overlap; none of the median" in summaries
    (axis,) = swept.figure().axes
    assert "mean and its 95 % interval of 4 seeds" in axis.get_title()


def test_a_study_of_variance_takes_no_folds(config: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no independent draws of the data"):
        library.variance(config, data=2, init=2, order=2, runs_dir=tmp_path / "runs")


def test_an_interrupted_run_of_folds_goes_on(
    config: Path, minifw: Minifw, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish, written = runs.Run.write, []

    def failing(run: runs.Run, name: str, content: str | bytes) -> None:
        written.append(name)
        if sum(each.startswith("checkpoints/") for each in written) == 2:
            raise KeyboardInterrupt
        publish(run, name, content)

    words = ("train", config, "--set", "data.validation=0.2", "--quiet", "--json", "--runs-dir")
    whole = json.loads(minifw(*words, "whole").out)
    with monkeypatch.context() as patch:
        patch.setattr(runs.Run, "write", failing)
        assert minifw(*words, "broken").code == 130
    (broken,) = Path("broken").iterdir()
    resumed = json.loads(minifw("resume", broken, "--quiet", "--json").out)
    for key in ("test_error", "train_loss", "validation_error", "data"):
        assert resumed[key] == whole[key]
