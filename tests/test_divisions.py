"""How a table is divided: one split for all seeds, whole groups, and a second file to test on."""

from __future__ import annotations

from itertools import chain, combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import Minifw
from minifw import data, runs
from minifw.config import loading
from minifw.data import grouping
from minifw.data.division import Division
from minifw.errors import ConfigError, DataError
from minifw.experiment.build import build_data
from minifw.experiment.plan import plan as make_plan


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


# ----------------------------------------------------------------------------- one split for all


def test_one_split_for_all_seeds_is_that_of_its_generator() -> None:
    alone, shared = Division(60, train=0.5), Division(60, train=0.5, seed=3)
    for seed in range(5):
        for part, own in zip(shared.parts(seed), alone.parts(3), strict=True):
            assert part.tolist() == own.tolist()
    assert alone.parts(0)[0].tolist() != alone.parts(1)[0].tolist()


@pytest.mark.parametrize("validation", [None, 0.3])
@pytest.mark.parametrize("strata", [None, np.arange(60) % 3])
def test_without_a_split_seed_parts_are_drawn_as_ever(
    validation: float | None, strata: np.ndarray[Any, Any] | None
) -> None:
    found = Division(60, train=0.5, test=0.25, validation=validation, strata=strata).parts(4)
    rest, test = data.split(data.generator(4, "data"), 60, 0.5, 0.25, strata)
    assert found[1].tolist() == test.tolist()
    assert sorted([*found[0], *(found[2] if validation else [])]) == sorted(rest)
    if validation is None or strata is None:
        assert [*found[0], *(found[2] if validation else [])] == rest.tolist()


# --------------------------------------------------------------------------------- whole groups


@pytest.mark.parametrize(
    ("sizes", "wanted", "expected"),
    [
        ([5, 5, 5, 5], 9, 10),
        ([5, 5, 5, 5], 12, 10),
        ([5, 5, 5, 5], 13, 15),
        ([5, 5, 5, 5], 20, 15),  # one group is left
        ([90, 100, 110], 60, 110),  # smaller than each: any can be drawn
        ([3, 7, 20], 12, 10),
        ([4, 6], 5, 4),  # of two as near the smaller
        ([1, 1, 1, 1, 1], 3, 3),
    ],
)
def test_the_nearest_size_of_whole_groups(sizes: list[int], wanted: int, expected: int) -> None:
    assert grouping.nearest(np.array(sizes), wanted) == expected


def test_the_nearest_size_is_that_of_all_subsets() -> None:
    for seed in range(30):
        sizes = rng(seed).integers(2, 30, 8)
        wanted = int(rng(seed).integers(sizes.min(), sizes.sum()))
        totals = {sum(some) for k in range(1, 8) for some in combinations(sizes.tolist(), k)}
        found = grouping.nearest(sizes, wanted)
        assert found in totals
        assert abs(found - wanted) == min(abs(total - wanted) for total in totals)


GROUPS = np.repeat(np.arange(12), [3, 9, 4, 14, 5, 6, 8, 2, 7, 7, 11, 4])  # 80 samples


@pytest.mark.parametrize("validation", [None, 0.2, 5])
@pytest.mark.parametrize(("train", "test"), [(0.8, None), (0.5, 0.25), (40, 20)])
def test_no_group_is_in_two_parts(
    train: float, test: float | None, validation: float | None
) -> None:
    division = Division(80, train=train, test=test, validation=validation, groups=GROUPS)
    seen = set()
    for seed in range(40):
        parts = division.parts(seed)
        assert [len(part) for part in parts] == [*division.sizes][: len(parts)]
        of_parts = [{*GROUPS[part].tolist()} for part in parts]
        assert sum(map(len, of_parts)) == len(set.union(*of_parts))
        assert len({*parts[0]}) == len(parts[0])
        for part in parts[1:]:  # such groups are whole
            assert {*part} == {*np.flatnonzero(np.isin(GROUPS, GROUPS[part]))}
            assert np.ptp(np.bincount(part)[np.unique(part)]) <= 1
        seen |= of_parts[1]
    assert seen == {*range(12)}  # each group is tested by some seed


def test_groups_of_one_size_leave_nothing_out() -> None:
    division = Division(60, train=0.8, groups=np.arange(60) // 6)
    assert division.sizes == (48, 12, 0)
    for seed in range(10):
        assert sorted(chain(*division.parts(seed))) == [*range(60)]
    assert division.notes(range(10)) == []


def test_groups_that_never_fit_into_the_test_part_are_told() -> None:
    groups = np.repeat([0, 1, 2, 3], [40, 5, 5, 5])
    division = Division(55, train=0.8, test=10, groups=groups)
    (note,) = division.notes(range(10))
    assert note.startswith("1 of 4 groups have more than the 10 test samples, and are always tr")


def test_parts_that_groups_do_not_fill_are_told() -> None:
    groups = np.repeat([0, 1, 2], [9, 10, 11])
    division = Division(30, train=0.5, test=11, groups=groups)
    notes = division.notes(range(20))
    assert notes == [
        "whole groups do not always make 11 test samples: at least 9 are different ones, and some "
        "count more than once"
    ]
    assert division.parts(0)[1].shape == (11,)


@pytest.mark.parametrize(
    ("groups", "validation", "message"),
    [
        (np.zeros(20, int), None, "grouped needs at least 2 groups.* there is 1"),
        (np.arange(20) // 10, 0.2, "grouped needs at least 3 groups.* there are 2"),
        (np.repeat([0, 1, 2], [16, 2, 2]), 0.2, "whole groups would be 16 of the .* training"),
    ],
)
def test_too_few_groups(
    groups: np.ndarray[Any, Any], validation: float | None, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        Division(20, train=0.8, validation=validation, groups=groups).sizes  # noqa: B018


ROWS = [f"p{number // 5},{number % 7},{number % 4},{'yes' if number % 3 else 'no'}\n"
        for number in range(60)]  # fmt: skip
TABLE = "patient,a,b,y\n" + "".join(ROWS)
CONFIG = """\
name: mine
data: {kind: csv, path: mine.csv, split: grouped, group: patient}
network: [{linear: 2}]
loss: cross-entropy
train: {eta: 0.1, epochs: 2, eval_every: 1}
"""


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    (tmp_path / "mine.csv").write_text(TABLE)
    path = tmp_path / "mine.yaml"
    path.write_text(CONFIG)
    return path


def test_a_file_is_divided_by_its_groups(minifw: Minifw, mine: Path) -> None:
    plan = make_plan(loading.load(mine, ["seeds=4", "data.validation=0.2"]), 1, ["full-batch"])
    assert plan.table is not None
    assert plan.features == ("a", "b")
    assert plan.table.groups is not None
    assert (plan.sizes.train, plan.sizes.validation, plan.sizes.test) == (40, 10, 10)
    shown = minifw("show", mine).out
    assert "each divides the same groups of samples anew" in " ".join(shown.split())
    together = plan.draw(plan.seeds).data
    for seed in plan.seeds:
        alone = build_data(plan.config, [seed], plan.table)
        for part, own in alone.parts.items():
            assert (together.parts[part].inputs[seed] == own.inputs[0]).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["data.group=null"], "data.split: grouped needs groups .*: data.group names their column"),
        (["data.split=random"], "data.group: is for data.split: grouped, and split is random"),
        (["data.folds=20"], "data.folds: must be at most the 12 groups that there are, got 20"),
        (["data.group=nobody"], "there is no column 'nobody'"),
    ],
)
def test_keys_that_do_not_go_with_groups(mine: Path, changes: list[str], message: str) -> None:
    with pytest.raises((ConfigError, DataError), match=message) as raised:
        make_plan(*planned(mine, changes))
    assert "\n" not in str(raised.value)


def planned(path: Path, changes: list[str]) -> Any:
    config, source = loading.load_with_source(path, changes)
    return config, 1, ["full-batch"], source


# --------------------------------------------------------------------------------- a test file


UNGROUPED = ["data.split=random", "data.group=null", "data.exclude=[patient]"]


@pytest.fixture
def two(mine: Path) -> list[str]:
    (mine.parent / "mine.csv").write_text("patient,a,b,y\n" + "".join(ROWS[:45]))
    # Other columns of it, and another order, are not of interest.
    lines = [line.strip().split(",") for line in ROWS[45:]]
    turned = "".join(f"{y},note,{b},{a}\n" for _, a, b, y in lines)
    (mine.parent / "test.csv").write_text("y,what,b,a\n" + turned)
    return [*UNGROUPED, f"data.test_path={mine.parent / 'test.csv'}"]


def test_a_second_file_is_tested(mine: Path, two: list[str]) -> None:
    plan = make_plan(*planned(mine, [*two, "seeds=3", "data.normalize=false"]))
    assert (plan.sizes.train, plan.sizes.test) == (45, 15)
    whole = plan.draw(plan.seeds).data
    wanted = [[number % 7, number % 4] for number in range(45, 60)]
    for seed in range(3):
        assert whole.test.inputs[seed].tolist() == wanted
        known = sorted(whole.train.inputs[seed].tolist())
        assert known == sorted([number % 7, number % 4] for number in range(45))
    assert plan.division is not None
    assert plan.division.startswith("all are trained on the same samples, and tested on those of")


@pytest.mark.parametrize("split", ["random", "stratified"])
def test_training_samples_beside_a_second_file(mine: Path, two: list[str], split: str) -> None:
    keys = ["seeds=3", "data.train=30", "data.validation=10", f"data.split={split}"]
    plan = make_plan(*planned(mine, [*two, *keys]))
    assert (plan.sizes.train, plan.sizes.validation, plan.sizes.test) == (20, 10, 15)
    whole = plan.draw(plan.seeds).data
    assert whole.validation is not None
    if split == "stratified":  # a third is "no": 15 of 45
        for part, count in ((whole.validation, 3), (whole.train, 7)):
            assert part.labels is not None
            assert [row.tolist().count(0) for row in part.labels] == [count] * 3
    assert plan.division is not None
    assert plan.division.endswith("training samples drawn anew by each")


def test_a_test_file_knows_none_of_the_training_statistics(mine: Path, two: list[str]) -> None:
    """Normalising is by the training samples alone: a test value far away changes nothing."""
    before = make_plan(*planned(mine, two)).draw([0]).data
    path = mine.parent / "test.csv"
    path.write_text(path.read_text().replace("no,note,1,3\n", "no,note,1,3000\n", 1))
    after = make_plan(*planned(mine, two)).draw([0]).data
    assert (before.train.inputs == after.train.inputs).all()
    assert not (before.test.inputs == after.test.inputs).all()


@pytest.mark.parametrize("classes", ["abc", "acb"])
def test_a_class_of_the_test_file_alone_has_no_share(classes: str) -> None:
    own, new = [classes.index("a"), classes.index("c")] * 10, [classes.index("b")] * 4
    strata = np.array(own + new)
    divided = Division(24, train=0.5, validation=0.2, strata=strata, tests=4)
    divided.check_classes([*"abc"])
    train, test, validation = divided.parts(0)
    assert [len(train), len(test), len(validation)] == [8, 4, 2]
    lacking = Division(24, train=1, strata=strata, tests=4)
    with pytest.raises(DataError, match="has none of the 1 training samples"):
        lacking.check_classes([*"abc"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["data.test=5"], "data.test: cannot be given with data.test_path"),
        (["data.folds=3"], "data.test_path: cannot be given with data.folds"),
        (["data.train=46"], "data.train: must be at least 1 and at most the 45 samples of data.pa"),
        (["data.exclude=null"], "data.test_path: there is no column 'patient'; known here: "),
    ],
)
def test_what_does_not_go_with_a_test_file(
    mine: Path, two: list[str], changes: list[str], message: str
) -> None:
    with pytest.raises((ConfigError, DataError), match=message) as raised:
        make_plan(*planned(mine, [*two, *changes]))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("1,2,3,no\n", "mine.csv has a line of names and .*test.csv has none"),
        ("a,b,y\n1,2,no\n3,x,yes\n", "test.csv:3.*'x'"),
        ("a,b,y\n1,2,no\n3,,yes\n", "test.csv:3"),
    ],
)
def test_faults_of_a_test_file_are_told_with_its_lines(
    mine: Path, two: list[str], content: str, message: str
) -> None:
    (mine.parent / "test.csv").write_text(content)
    with pytest.raises(DataError, match=message) as raised:
        make_plan(*planned(mine, [*two, "data.categorical=[]"]))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("file", ["mine.csv", "test.csv"])
def test_resume_notices_a_change_of_either_file(
    minifw: Minifw, monkeypatch: pytest.MonkeyPatch, mine: Path, two: list[str], file: str
) -> None:
    publish = runs.Run.write

    def failing(run: runs.Run, name: str, content: str | bytes) -> None:
        if name == "metrics.jsonl":
            raise KeyboardInterrupt
        publish(run, name, content)

    sets = [word for change in two for word in ("--set", change)]
    with monkeypatch.context() as patch:
        patch.setattr(runs.Run, "write", failing)
        assert minifw("train", mine, *sets, "--quiet", "--runs-dir", "broken").code == 130
    (broken,) = Path("broken").iterdir()
    path = mine.parent / file
    before = path.read_text()
    path.write_text(before.replace("yes", "no", 1))
    answer = minifw("resume", broken, "--quiet")
    assert answer.code == 4
    assert "one of these data files has changed since the run began" in answer.err
    path.write_text(before)
    assert minifw("resume", broken, "--quiet").code == 0


def test_arrays_of_a_second_archive_are_tested(tmp_path: Path) -> None:
    for name, rows in (("one", 20), ("two", 8)):
        x = np.arange(2.0 * rows).reshape(rows, 2) + (100 if name == "two" else 0)
        np.savez(tmp_path / f"{name}.npz", x=x, y=np.arange(rows) % 2)
    path = tmp_path / "arrays.yaml"
    path.write_text(
        CONFIG.replace(
            "{kind: csv, path: mine.csv, split: grouped, group: patient}",
            "{kind: npz, path: one.npz, test_path: two.npz, normalize: false}",
        )
    )
    plan = make_plan(*planned(path, []))
    found = plan.draw([0]).data
    assert found.test.inputs[0].tolist() == (np.arange(16.0).reshape(8, 2) + 100).tolist()
    assert found.train.count == 20
