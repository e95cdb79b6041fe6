"""From the columns of a file to samples: words one-hot, gaps filled, rows and columns left out."""

from __future__ import annotations

import csv
import io
import json
import tracemalloc
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import safetensors.numpy
import torch
import yaml
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import minifw as library
from conftest import Answer, Minifw
from minifw import data, experiment, runs
from minifw.config import loading
from minifw.data import asked, cells, encoding, files, frames, joined, kinds
from minifw.data.frame import Frame
from minifw.data.roles import Choice
from minifw.errors import ArtefactError, DataError, short
from minifw.experiment import inputs
from minifw.experiment.build import build_data
from minifw.experiment.plan import plan as make_plan
from minifw.system import machine
from tables_of import table_at

# ---------------------------------------------------------------------------------- made-up files


def frame(named: bool = True, **columns: Any) -> Frame:
    """The columns of a file, each a list: of text, or typed."""
    arrays = [pa.array(values) for values in columns.values()]
    return Frame(
        Path("a.csv"),
        tuple(columns),
        tuple(arrays),
        "0" * 64,
        lambda row: f"a.csv:{row + 2}",
        named,
    )


CITIES = ["Oslo", "Rome", "Lima", "Bern"]


def people(rows: int = 60, seed: int = 0, gaps: float = 0.15) -> list[list[str]]:
    """Rows of age, height, city, member, kind; two numbers, words and a truth value have gaps."""
    rng = np.random.default_rng(seed)
    found = []
    for row in range(rows):
        kind = row % 3
        line = [
            f"{rng.normal(30 + 10 * kind, 4):.1f}",
            f"{rng.normal(1.7 + 0.1 * kind, 0.1):.2f}",
            CITIES[min(3, kind + int(rng.integers(2)))],
            "yes" if rng.random() < 0.3 + 0.2 * kind else "no",
        ]
        found.append([cell if rng.random() >= gaps else "NA" for cell in line] + ["abc"[kind]])
    return found


NAMES = ["age", "height", "city", "member", "kind"]


def write(rows: list[list[str]], path: str | Path = "people.csv", names: Any = NAMES) -> Path:
    lines = [names, *rows] if names else rows
    Path(path).write_text("".join(",".join(line) + "\n" for line in lines))
    return Path(path)


def config_of(path: Path, **keys: Any) -> dict[str, Any]:
    section = {"kind": "csv", "path": str(path), **keys}
    return {
        "name": "people",
        "data": section,
        "network": [{"linear": 6}, "relu", {"linear": 3}],
        "loss": "cross-entropy",
        "train": {"eta": 0.3, "epochs": 20},
    }


def saved(path: Path = Path("people.csv"), **keys: Any) -> Path:
    Path("people.yaml").write_text(yaml.safe_dump(config_of(path, **keys)))
    return Path("people.yaml")


def dataset(folder: Path, rows: list[list[str]], seeds: list[int], **keys: Any) -> data.Dataset:
    """The samples of these seeds, as a run draws them."""
    path = write(rows, folder / "people.csv")
    (folder / "a.yaml").write_text(yaml.safe_dump(config_of(path, dtype=None, **keys)))
    content = config_of(path, **keys) | {"dtype": "float64"}
    (folder / "a.yaml").write_text(yaml.safe_dump(content))
    config, source = loading.load_with_source(folder / "a.yaml")
    plan = make_plan(config, len(seeds), ["full-batch"], source)
    return build_data(config, seeds, plan.table)


def fault(call: Any, *arguments: Any, **more: Any) -> list[str]:
    with pytest.raises(DataError) as raised:
        call(*arguments, **more)
    return list(raised.value.lines)


# ------------------------------------------------------------------------- what a column holds


def test_what_a_column_holds_is_seen() -> None:
    many = [str(number) for number in range(20)]
    for values, kind in (
        (["1", "2.5", "-3e2", "NA", ""], "number"),
        (["", "?", "null"], "number"),
        (["yes", "no", "Yes", "-"], "truth"),
        (["TRUE", "FALSE", "true"], "truth"),
        (["t", "f"], "truth"),
        (["yes", "true"], "words"),
        (["a", "b", "a"], "words"),
        ([*many[:19], "x"], "number"),  # a slip
        (["1", "2", "3", "4", "x"], "number"),
        (["1", "2", "a", "b", "c"], "words"),
        (["1a", "2", "3", "4b", "5", "6c", "7"], "words"),
        ([1.5, None, float("nan")], "number"),
        ([True, None, False], "truth"),
    ):
        assert kinds.column_of("a", pa.array(values)).kind == kind, values


def test_values_of_columns() -> None:
    column = kinds.column_of("a", pa.array(["yes", "?", "NO", "no"]))
    np.testing.assert_array_equal(column.values, [1, np.nan, 0, 0])
    np.testing.assert_array_equal(column.missing, [False, True, False, False])
    column = kinds.column_of("a", pa.array(["10", "9.0", "9", "", "x"]), "words")
    assert column.categories == ("10", "9", "x")
    np.testing.assert_array_equal(column.values, [0, 1, 1, np.nan, 2])
    column = kinds.column_of("a", pa.array([2**60 + 1, 3, None]))
    np.testing.assert_array_equal(column.values, [2.0**60, 3, np.nan])
    column = kinds.column_of("a", pa.array([1.0, float("inf"), None]))
    np.testing.assert_array_equal(column.wrong, [False, True, False])
    np.testing.assert_array_equal(column.missing, [False, False, True])
    for values in (["1", "0", "yes", "F", "2", "NA"], [1.0, 0.0, 1.0, 0.0, 2.0, None]):
        column = kinds.column_of("a", pa.array(values), "truth")
        np.testing.assert_array_equal(column.values, [1, 0, 1, 0, np.nan, np.nan])
        np.testing.assert_array_equal(column.wrong, [False] * 4 + [True, False])
    # Categories of a file with types are those of the same file as text.
    for typed, text in (
        ([1.0, 2.0, None], ["1.0", "2", ""]),
        ([True, False, None], ["TRUE", "false", "NA"]),
        ([3, 2, None], ["3", "2", "null"]),
    ):
        one, other = (kinds.column_of("a", pa.array(v), "words") for v in (typed, text))
        assert one.categories == other.categories
        np.testing.assert_array_equal(one.values, other.values)


@pytest.mark.parametrize("token", [*sorted(cells.MISSING), "nan", "NaN", "-NAN", " ?"])
def test_the_usual_words_for_a_missing_value(tmp_path: Path, token: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"a,b,c,y\n1,u,yes,0\n{token},{token},{token},1\n3,v,no,1\n")
    table = table_at(path, missing="mean")
    assert np.isnan(table.inputs[1, 0])
    assert table.features == ("a", "b=u", "b=v", "b=(missing)", "b=(other)", "c")
    np.testing.assert_array_equal(table.inputs[1, 1:5], [0, 0, 1, 0])
    assert table_at(path, missing="drop").inputs.shape == (2, 5)
    (line,) = fault(table_at, path)
    assert line.startswith(
        f"{path}:3: 3 cells are missing in 1 row: 'a' (line 3: {short(token.strip())})"
    )


# ------------------------------------------------------------------------ faults, all in one go


def test_all_faults_are_told_in_one_go_and_counted() -> None:
    bad = frame(
        a=["1", "x", "3", "4", "5", "x"], b=["1", "2", "", "NA", "5", "6"],
        c=["u", "v", "u", "", "v", "u"], d=["1", "2", "3", "4", "oops", "6"],
        y=["p", "q", "?", "q", "p", "q"],
    )  # fmt: skip
    assert fault(files.table_of, bad, Choice()) == [
        "a.csv:3: 3 cells are not numbers: 'a' (2, the first in line 3: 'x'), 'd' (line 6: 'oops'); "
        "data.categorical: [a, d] makes a feature of each value, data.exclude leaves such columns "
        "out; emptied cells would be missing values",
        "a.csv:4: 4 cells are missing in 2 rows: 'b' (2, the first in line 4: ''), "
        "'c' (line 5: ''), 'y' (line 4: '?'); data.missing: drop leaves such rows out, mean or "
        "median fills them",
    ]
    table = files.table_of(bad, Choice(missing="drop", categorical=["a", 4]))
    assert table.features == (
        "a=1", "a=5", "a=x", "a=(other)", "b", "c=u", "c=v", "c=(other)",
        "d=1", "d=2", "d=6", "d=oops", "d=(other)",
    )  # fmt: skip
    only = frame(a=["1", "2", "3"], y=["p", "", "q"])
    (line,) = fault(files.table_of, only, Choice())
    assert line.endswith("'y' (line 3: ''); data.missing: drop leaves such rows out")


def test_many_faulty_columns_are_counted() -> None:
    columns = {f"c{number}": ["1", ""] for number in range(12)}
    many = frame(**columns, y=["p", "q"])  # type: ignore[arg-type]
    (line,) = fault(files.table_of, many, Choice())
    assert "12 cells are missing in 1 row" in line
    assert "'c7' (line 3: '') and 4 more columns;" in line


def test_all_columns_that_are_not_there_are_told() -> None:
    some = frame(age=["1", "2"], size=["3", "4"], kind=["p", "q"])
    choice = Choice(["agee"], "knd", [9], ["size", "x", "z"], group="grp")
    assert fault(files.table_of, some, choice) == [
        "a.csv: data.exclude: columns have numbers from 1 to 3, got 9",
        "a.csv: data.group: there is no column 'grp'; known here: age, kind, size",
        "a.csv: data.target: there is no column 'knd'; did you mean 'kind'?",
        "a.csv: data.features: there is no column 'agee'; did you mean 'age'?",
        "a.csv: data.categorical: there is no column 'x', 'z'; known here: age, size, kind",
    ]


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        (Choice(exclude=["age"], features=["age"]), "'age' is named by both data.features and"),
        (Choice(exclude=["kind"], target="kind"), "'kind' is named by both data.target and"),
        (Choice(group="age", features=["age"]), "data.features and data.group"),
        (Choice(categorical=["kind"]), "'kind' is named by data.categorical, but is none of the"),
        (Choice(features=[1, "age"]), "data.features names column 'age' twice"),
        (Choice(exclude=["age", "size"]), "expects a column beside the target 'kind'"),
        (Choice(target=["size", "kind"]), "several columns are targets of data.task: regression"),
    ],
)
def test_a_column_has_one_purpose(choice: Choice, message: str) -> None:
    some = frame(age=["1", "2"], size=["3", "4"], kind=["p", "q"])
    assert message in fault(files.table_of, some, choice)[0]


# ------------------------------------------------------------------- which columns, which rows


def test_columns_by_name_and_number() -> None:
    some = frame(a=["1", "2"], b=["3", "4"], id=["7", "8"], kind=["p", "q"])
    for choice, features, target in (
        (Choice(), ("a", "b", "id"), "kind"),
        (Choice(exclude=["id"]), ("a", "b"), "kind"),
        (Choice(exclude=[3, "a"]), ("b",), "kind"),
        (Choice(exclude=["kind"]), ("a", "b"), "id"),  # the last of those that are left
        (Choice(features=[2, 1]), ("b", "a"), "kind"),
        (Choice(target=1, exclude=["kind"]), ("b", "id"), "a"),
        (Choice(group="id"), ("a", "b"), "kind"),
    ):
        table = files.table_of(some, choice)
        assert (table.features, table.target) == (features, target)
    np.testing.assert_array_equal(files.table_of(some, Choice(group="id")).groups, [0, 1])


def test_numbers_can_be_categories() -> None:
    some = frame(rank=["1", "3", "2.0", "2", "3"], y=["p", "q", "p", "q", "p"])
    table = files.table_of(some, Choice(categorical=["rank"]))
    assert table.features == ("rank=1", "rank=2", "rank=3", "rank=(other)")
    np.testing.assert_array_equal(table.inputs[:, :3].argmax(1), [0, 2, 1, 1, 2])
    assert table.inputs.sum() == 5
    assert files.table_of(some, Choice(categorical=[])).features == ("rank",)


@pytest.mark.parametrize("form", ["{:02}.11.2026", "2026-11-{:02} 10:00", "11/{}/26"])
def test_dates_are_called_so(form: str) -> None:
    some = frame(
        day=[form.format(n) for n in range(1, 31)], a=["1", "2", "3"] * 10, y=["p", "q"] * 15
    )
    (note,) = files.table_of(some, Choice()).notes
    assert note.startswith("column 'day' is left out, with 30 different dates in 30 rows")


def test_words_that_are_nearly_all_different_are_left_out_unless_they_are_named() -> None:
    words = [f"name {number}" for number in range(30)]
    some = frame(name=words, a=["1", "2", "3"] * 10, empty=[""] * 30, y=["p", "q"] * 15)
    table = files.table_of(some, Choice())
    assert table.features == ("a",)
    assert table.notes == (
        "column 'name' is left out, with 30 different words in 30 rows; data.categorical: [name] "
        "keeps it",
        "column 'empty' is left out, with no value",
    )
    for choice in (Choice(features=["name", "a"]), Choice(categorical=["name"])):
        assert len(files.table_of(some, choice).features) == 32
    lines = fault(files.table_of, frame(name=words, y=["p", "q"] * 15), Choice())
    assert lines[0] == "a.csv: no column is left to be a feature"
    assert "'name' is left out" in lines[1]


def test_too_many_categories_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    words = [f"w{number % 1500}" for number in range(6000)]
    some = frame(place=words, y=["p", "q"] * 3000)
    (line,) = fault(files.table_of, some, Choice())
    assert line == (
        "a.csv: column 'place' has 1500 different values, at most 1000 can be one-hot; "
        "data.exclude: [place] leaves it out"
    )
    fewer = frame(place=[word[:3] for word in words], y=["p", "q"] * 3000)
    monkeypatch.setattr(machine, "available", lambda: 4_000_000)
    (line,) = fault(files.table_of, fewer, Choice())
    assert "making samples of this file needs about" in line


def test_dropping_keeps_what_is_left_in_order() -> None:
    some = frame(
        a=["1", "", "3", "4", "5", "6"], b=["w", "v", "?", "u", "u", "w"],
        g=["g", "h", "h", "g", "h", "i"], y=["p", "q", "p", "r", "q", "p"],
    )  # fmt: skip
    table = files.table_of(some, Choice(missing="drop", group="g"), tests=4)
    assert table.features == ("a", "b=u", "b=w", "b=(other)")  # no `v`: its row is gone
    np.testing.assert_array_equal(table.inputs[:, 0], [1, 4, 5, 6])
    np.testing.assert_array_equal(table.inputs[:, 1], [0, 1, 1, 0])
    assert table.classes == ("p", "q", "r")
    np.testing.assert_array_equal(table.labels, [0, 2, 1, 0])
    assert table.tests == 3
    assert table.groups is not None
    assert len({*table.groups[[0, 1]]}) == 1
    assert table.notes == (
        "2 rows are left out of 6, where a value is missing: 'a' 1, 'b' 1",
        "classes of data.test_path that no row of data.path has: 'q', 'r'",
    )
    # Classes whose rows are all gone are no classes; a row without a target never is a sample.
    some = frame(a=["1", "", "3", "4"], y=["p", "q", "r", ""])
    assert files.table_of(some, Choice(missing="drop")).classes == ("p", "r")
    table = files.table_of(some, Choice(missing="mean"))
    assert table.classes == ("p", "q", "r")
    assert table.notes[0] == "1 row is left out of 4, where a value is missing: 'y' 1"
    nothing = frame(a=["1", ""], b=["", "2"], y=["p", "q"])
    (line,) = fault(files.table_of, nothing, Choice(missing="drop"))
    assert line == (
        "a.csv: each row lacks a value ('a' 1, 'b' 1 missing); data.missing: mean or median fills "
        "them, data.exclude leaves columns out"
    )


def test_what_is_filled_is_told_by_column() -> None:
    some = frame(a=["1", "", ""], b=["u", "", "v"], c=["yes", "no", ""], y=["p", "q", "q"])
    assert files.table_of(some, Choice(missing="median")).notes == (
        "missing values are filled with the median of the training samples of each seed: "
        "'a' 2, 'c' 1",
        "missing words are a category of their own: 'b' 1",
    )


def test_several_targets_of_a_regression_and_their_gaps() -> None:
    some = frame(
        a=["1", "2", "3", "4"], u=["1", "", "3", "4"], v=["5", "6", "nan", "8"],
    )  # fmt: skip
    choice = Choice(target=["u", 3], regression=True)
    (line,) = fault(files.table_of, some, choice)
    assert "2 cells are missing: 'u' (line 3: ''), 'v' (line 4: 'nan')" in line
    table = files.table_of(some, replace(choice, missing="mean"))
    np.testing.assert_array_equal(table.labels, [[1, 5], [4, 8]])
    np.testing.assert_array_equal(table.inputs, [[1], [4]])
    assert table.notes == ("2 rows are left out of 4, where a value is missing: 'u' 1, 'v' 1",)
    assert (table.target, table.targets) == ("u, v", ("u", "v"))
    typed = frame(a=[1, 2, 3, 4], u=[1.0, None, 3.0, 4.0], v=[5, 6, None, 8])
    other = files.table_of(typed, replace(choice, missing="mean"))
    np.testing.assert_array_equal(other.labels, table.labels)


# --------------------------------------------------------- from the training samples of each seed


def of_scikit_learn(
    rows: list[list[str]], train: Any, parts: list[Any], strategy: str
) -> list[np.ndarray[Any, Any]]:
    """What scikit-learn makes of these rows, fitted on the training part: numbers, city, member."""
    table = np.array([line[:4] for line in rows], object)
    table[table == "NA"] = np.nan
    for column in (0, 1):
        table[:, column] = [float(cell) for cell in table[:, column]]
    table[:, 2] = ["(missing)" if cell is np.nan else cell for cell in table[:, 2]]
    table[:, 3] = [np.nan if cell is np.nan else float(cell == "yes") for cell in table[:, 3]]
    categories = [*sorted({*CITIES}), "(missing)"]
    seen = {*table[train, 2]}
    numbers = make_pipeline(SimpleImputer(strategy=strategy), StandardScaler())
    words = OneHotEncoder(
        categories=[[name for name in categories if name in seen]],
        handle_unknown="ignore", sparse_output=False,
    )  # fmt: skip
    made = ColumnTransformer(
        [("n", numbers, [0, 1]), ("w", words, [2]), ("t", SimpleImputer(strategy=strategy), [3])]
    )
    made.fit(table[train])
    found = []
    for part in parts:
        values = np.asarray(made.transform(table[part]), float)
        wide = np.zeros((len(values), 2 + len(categories) + 1 + 1))
        wide[:, :2], wide[:, -1] = values[:, :2], values[:, -1]
        known = [2 + place for place, name in enumerate(categories) if name in seen]
        wide[:, known] = values[:, 2:-1]
        wide[:, 2 + len(categories)] = values[:, 2:-1].sum(1) == 0  # `(other)`
        found.append(wide)
    return found


@pytest.mark.parametrize("strategy", ["mean", "median"])
def test_samples_are_those_of_scikit_learn_fitted_on_the_training_part(
    tmp_path: Path, strategy: str
) -> None:
    rows = people(40)
    rows[7][2] = "Pisa"  # once: unknown to the seeds that test on it
    others = 0
    made = dataset(tmp_path, rows, [0, 1, 2, 3, 4, 5], train=0.5, missing=strategy)
    assert made.features[2:8] == (
        "city=Bern", "city=Lima", "city=Oslo", "city=Pisa", "city=Rome", "city=(missing)",
    )  # fmt: skip
    for place in range(6):
        train, test = data.split(data.generator(place, "data"), 40, 0.5, None)
        CITIES.append("Pisa")
        try:
            wanted = of_scikit_learn(rows, train, [train, test], strategy)
        finally:
            CITIES.pop()
        for part, values in zip((made.train, made.test), wanted, strict=True):
            np.testing.assert_allclose(part.inputs[place].numpy(), values, atol=1e-12)
        others += int(wanted[1][:, -2].sum())
    assert others > 0


def test_test_rows_do_not_change_a_training_sample(tmp_path: Path) -> None:
    """Only what a seed trains on says with what it fills, and which categories it knows."""
    rows = people(50)
    _, test = data.split(data.generator(3, "data"), 50, 0.6, None)
    keys = {"train": 0.6, "missing": "mean"}
    before = dataset(tmp_path, rows, [3], **keys)
    changed = [list(row) for row in rows]
    for row in test:
        changed[row][0] = "1e6" if changed[row][0] != "NA" else "NA"
        changed[row][1] = "NA"
        changed[row][2] = CITIES[0]
        changed[row][3] = "yes"
    after = dataset(tmp_path, changed, [3], **keys)
    assert torch.equal(before.train.inputs, after.train.inputs)
    assert not torch.equal(before.test.inputs, after.test.inputs)
    assert before.prepared is not None
    assert after.prepared is not None
    np.testing.assert_array_equal(before.prepared.fill, after.prepared.fill)
    np.testing.assert_array_equal(before.shift, after.shift)
    # Nor does validation, which is a part of what is not tested on.
    kept = dataset(tmp_path, rows, [3], **keys, validation=0.25)
    own = kept.train.inputs[0].numpy() * kept.scale[0] + kept.shift[0]
    assert kept.prepared is not None
    table = table_at(tmp_path / "people.csv", missing="mean")
    parts = data.split(data.generator(3, "data"), 50, 0.6, None)
    (trained, _), _ = data.held_out((table.inputs[parts[0]], table.labels[parts[0]]), 8)
    np.testing.assert_allclose(kept.prepared.fill[0, 0], np.nanmean(trained[:, 0]))
    np.testing.assert_allclose(np.sort(own[:, 0])[[0, -1]],
                               [np.nanmin(trained[:, 0]), np.nanmax(trained[:, 0])])  # fmt: skip


def test_a_lane_has_the_samples_of_its_own_run(tmp_path: Path) -> None:
    rows, keys = people(40), {"missing": "median", "train": 0.5}
    many, alone = (dataset(tmp_path, rows, seeds, **keys) for seeds in ([0, 1, 2], [1]))
    for name in ("train", "test"):
        one, other = getattr(many, name), getattr(alone, name)
        assert torch.equal(one.inputs[1], other.inputs[0])
    assert many.prepared is not None
    assert alone.prepared is not None
    np.testing.assert_array_equal(many.prepared.fill[1], alone.prepared.fill[0])
    assert not np.array_equal(many.prepared.fill[0], many.prepared.fill[1])
    np.testing.assert_array_equal(many.of(1).prepared.fill, many.prepared.fill[1])  # type: ignore[union-attr]


def test_words_that_are_called_like_our_own() -> None:
    some = frame(w=["(other)", "(missing)", "", "u"], y=["p", "q", "q", "p"])
    table = files.table_of(some, Choice(missing="mean"))
    assert table.features == ("w=(missing)", "w=(other)", "w=u", "w=(other) 2")
    np.testing.assert_array_equal(table.inputs.argmax(1), [1, 0, 0, 2])
    assert table.encoding is not None
    new = frame(w=["(other)", "more", ""])
    found = asked.asked_of(new, table.encoding, None).inputs
    np.testing.assert_array_equal(found.argmax(1), [1, 3, 0])
    assert (
        "two features would be called 'a=b'"
        in fault(
            files.table_of,
            frame(**{"a": ["b", "c"], "a=b": ["1", "2"], "y": ["p", "q"]}),  # type: ignore[arg-type]
            Choice(),
        )[0]
    )


def test_a_column_without_any_training_value_is_filled_with_0() -> None:
    some = encoding.Encoding((encoding.Coded("a", "number"), encoding.Coded("b", "truth")), "mean")
    train = np.array([[np.nan, 1.0], [np.nan, np.nan]])
    prepared = some.prepared(train)
    np.testing.assert_array_equal(prepared.fill, [0, 1])
    np.testing.assert_array_equal(some.applied(train, prepared), [[0, 1], [0, 1]])


def test_unknown_words_are_others_to_each_seed() -> None:
    coded = encoding.Encoding((encoding.Coded("w", "words", ("a", "b", "c")),))
    wide = coded.wide([np.array([0.0, 1.0, 2.0, np.nan])])
    np.testing.assert_array_equal(wide.argmax(1), [0, 1, 2, 3])
    known = encoding.Prepared.stacked([coded.prepared(wide[:1]), coded.prepared(wide[1:2])])
    made = coded.applied(wide, known)
    np.testing.assert_array_equal(made.argmax(-1), [[0, 3, 3, 3], [3, 1, 3, 3]])
    np.testing.assert_array_equal(made.sum(-1), np.ones((2, 4)))
    np.testing.assert_array_equal(wide.argmax(1), [0, 1, 2, 3])  # unchanged


# ------------------------------------------------------------------------- new samples of a file


def coded(*columns: Any, fill: encoding.Fill | None = None) -> encoding.Encoding:
    return encoding.Encoding(tuple(encoding.Coded(*column) for column in columns), fill)


def test_new_samples_have_the_features_of_the_run() -> None:
    known = coded(("a", "number"), ("w", "words", ("u", "v", "(missing)")), ("t", "truth"),
                  fill="mean")  # fmt: skip
    new = frame(w=["v", "new", "", "u"], t=["Yes", "0", "", "f"], more=["1", "2", "3", "4"],
                a=["1", "NA", "3e1", "-4"], y=["p", "?", "z", "p"])  # fmt: skip
    found = asked.asked_of(new, known, "y")
    np.testing.assert_array_equal(found.inputs[:, 0], [1, np.nan, 30, -4])
    np.testing.assert_array_equal(found.inputs[:, 1:5].argmax(1), [1, 3, 2, 0])
    np.testing.assert_array_equal(found.inputs[:, 5], [1, 0, np.nan, 0])
    assert found.classes == ["p", None, "z", "p"]
    assert found.notes == (
        "words that the run did not learn from are 'other' words: 'w' 1",
        "missing values are filled as in the run, by its training samples: 'a' 1, 'w' 1, 't' 1",
    )
    # Without gaps in training a gap among words is no category of its own.
    plain = coded(("w", "words", ("u", "v")), fill="median")
    np.testing.assert_array_equal(asked.asked_of(new, plain, None).inputs.argmax(1), [1, 2, 2, 0])


def test_faults_of_new_samples_are_told_in_one_go() -> None:
    known = coded(("a", "number"), ("w", "words", ("u", "v")), ("t", "truth"))
    new = frame(a=["1", "x", ""], w=["u", "", "z"], t=["yes", "maybe", "no"])
    assert fault(asked.asked_of, new, known, None) == [
        "a.csv:3: 1 cell is not a number: 'a' (line 3: 'x')",
        "a.csv:3: 1 cell is no truth value: 't' (line 3: 'maybe')",
        "a.csv:3: 2 cells are missing: 'a' (line 4: ''), 'w' (line 3: ''); predict needs all "
        "values of a sample",
    ]
    (line,) = fault(asked.asked_of, frame(a=["1"], W=["u"]), known, None)
    assert line == "a.csv: there is no column 'w', 't'; known here: a, W"


def test_columns_without_names_are_known_by_their_places() -> None:
    def some(width: int, named: bool = False) -> Frame:
        names = [f"column {place}" for place in range(1, width + 1)]
        if named:
            names = [f"c{place}" for place in range(width)]
        return frame(named, **{name: [str(place)] for place, name in enumerate(names)})

    last = coded(("column 1", "number"), ("column 3", "number"))
    for width, classes in ((4, ["3"]), (3, None)):  # it may lack the target, which was the last
        found = asked.asked_of(some(width), last, "column 4", unnamed=4)
        np.testing.assert_array_equal(found.inputs, [[0, 2]])
        assert found.classes == classes
    for width in (2, 5):
        (line,) = fault(asked.asked_of, some(width), last, "column 4", unnamed=4)
        assert line == (
            f"a.csv: expects 4 columns, got {width}: the file that the run learnt from had no "
            "names of columns, which are known by their places, and 'column 4' was the target; "
            "any values do there"
        )
    first = coded(("column 2", "number"), ("column 3", "number"))
    (line,) = fault(asked.asked_of, some(3), first, "column 1", unnamed=4)
    assert line.startswith("a.csv: expects 4 columns, got 3: ")
    asked.asked_of(some(4), first, "column 1", unnamed=4)
    two = coded(("column 1", "number"), ("column 2", "number"))
    targets = ["column 3", "column 4"]
    found = asked.asked_of(some(2), two, "column 3, column 4", targets, unnamed=4)
    assert found.targets is None
    found = asked.asked_of(some(4), two, "column 3, column 4", targets, unnamed=4)
    np.testing.assert_array_equal(found.targets, [[2, 3]])
    assert fault(asked.asked_of, some(3), two, "column 3, column 4", targets, unnamed=4)
    (line,) = fault(asked.asked_of, some(4, named=True), last, "column 4", unnamed=4)
    assert line.endswith("; the file that the run learnt from gave its columns no names")
    (line,) = fault(asked.asked_of, some(4), coded(("a", "number")), "y")
    assert (
        line == "a.csv: there is no column 'a'; known here: column 1, column 2, column 3, "
        "column 4; this file gives its columns no names"
    )


# -------------------------------------------------------------------------------------- memory


@pytest.mark.parametrize("missing", ["error", "mean", "median"])
def test_the_memory_of_drawing_is_what_is_reckoned_with(tmp_path: Path, missing: str) -> None:
    rng = np.random.default_rng(0)
    rows = [[*(f"{number:.3f}" for number in rng.normal(size=12)), "uvwx"[row % 4], "ab"[row % 2]]
            for row in range(4000)]  # fmt: skip
    path = write(rows, tmp_path / "a.csv", [*(f"c{n}" for n in range(12)), "w", "y"])
    content = config_of(path, missing=missing, exclude=["w"] if missing == "error" else None)
    content["network"] = [{"linear": 2}]
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(content))
    config, source = loading.load_with_source(tmp_path / "a.yaml")
    plan = make_plan(config, 1, ["full-batch"], source)
    plan.draw([0])  # so that all code is there
    tracemalloc.start()
    try:
        plan.draw([0])
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert plan.sizes.encoded == (missing != "error")
    reckoned = plan.sizes._draw()
    assert 0.75 * reckoned < most < 1.05 * reckoned


# ------------------------------------------------------------------------- a file for testing


def test_all_rows_of_a_test_file_are_for_testing(tmp_path: Path) -> None:
    rows = people(60)
    write([[line[4], *line[:4], "x"] for line in rows[40:]], tmp_path / "new.csv",
          ["kind", *NAMES[:4], "more"])  # fmt: skip
    made = dataset(tmp_path, rows[:40], [0, 1], missing="mean", test_path=str(tmp_path / "new.csv"))
    whole = dataset(tmp_path, rows, [0], missing="mean", train=0.5)
    assert made.features == whole.features
    assert (made.train.count, made.test.count) == (40, 20)
    kinds_of = [["abc".index(line[4]) for line in rows[40:]]] * 2
    assert made.test.class_numbers.tolist() == kinds_of
    table = table_at(tmp_path / "people.csv", missing="mean")
    assert made.prepared is not None
    ages = [float(line[0]) for line in rows[:40] if line[0] != "NA"]
    np.testing.assert_allclose(made.prepared.fill[:, 0], [np.mean(ages)] * 2)
    assert len(table.inputs) == 60


def test_what_a_test_file_must_have(minifw: Minifw) -> None:
    rows = people(60, gaps=0)
    write(rows[:40])
    saved(test_path="new.csv")
    for names, lines, message in (
        (NAMES[:4], [line[:4] for line in rows[40:]], "new.csv: data.test_path: there is no column 'kind'"),
        (NAMES, rows[:40], "new.csv: data.test_path: has the content of data.path"),
        (NAMES, [["1", "x", *line[2:]] for line in rows[40:42]], "new.csv:2: 2 cells are not numbers: 'height' (2, the first in new.csv:2: 'x')"),
        (NAMES, [["", *line[1:]] for line in rows[40:42]], "new.csv:2: 2 cells are missing: 'age'"),
    ):  # fmt: skip
        write(lines, "new.csv", names)
        answer = minifw("validate", "people.yaml")
        assert answer.code == 2
        assert message in answer.err
        assert "Traceback" not in answer.err
    write([["", *line[1:]] for line in rows[40:42]], "new.csv")
    answer = minifw("validate", "people.yaml", "--set", "data.missing=drop")
    assert "no row of data.test_path is left, each lacks a value" in answer.err
    write([[*line[:4], f"{line[4]}."] for line in rows[40:]], "new.csv")
    answer = minifw("validate", "people.yaml", "--set", "network.2.out_features=6")
    assert "classes of data.test_path that no row of data.path has: 'a.', 'b.', 'c.'" in answer.err


def test_neither_of_two_files_may_change(minifw: Minifw) -> None:
    rows = people(60)
    write(rows[:40])
    write(rows[40:], "new.csv")
    answer = minifw("train", saved(test_path="new.csv", missing="mean"), "--json", "--quiet")
    assert answer.code == 0, answer.err
    run = library.load(answer.json["run_dir"])
    assert run.data().test.count == 20
    for name in ("new.csv", "people.csv"):
        good = Path(name).read_text()
        Path(name).write_text("nothing to read")
        with pytest.raises(ArtefactError, match="one of these data files has changed"):
            run.data()
        Path(name).write_text(good)


def test_columns_of_two_files_have_a_type_in_common() -> None:
    one = frame(a=[1, 2], b=["x", "y"], c=[True, False], y=["p", "q"])
    two = replace(
        frame(y=["q"], a=[2.5], b=[7.0], d=["more"]), checksum="1" * 64, path=Path("b.csv"),
        place=lambda row: f"b.csv: row {row + 1}",
    )  # fmt: skip
    both = joined.joined(one, two, ["a", "b", "y"])
    assert [column.to_pylist() for column in both.columns] == [
        [1, 2, 2.5], ["x", "y", "7"], [True, False, None], ["p", "q", "q"],
    ]  # fmt: skip
    assert [both.where(row) for row in (1, 2)] == ["a.csv:3", "b.csv: row 1"]
    nameless = replace(two, named=False, names=("column 1", "column 2", "column 3", "column 4"))
    (line,) = fault(joined.joined, one, nameless, ["a"])
    assert line.endswith("b.csv has none; data.header says it of both")
    wide = replace(
        one, names=(*one.names, "e"), columns=(*one.columns, one.columns[0]), named=False
    )
    (line,) = fault(joined.joined, wide, nameless, ["a"])
    assert line.startswith("b.csv: data.test_path: expects 5 columns, as a.csv has, got 4: ")


# ------------------------------------------------------------- the same decisions in each command


@pytest.fixture
def run(minifw: Minifw) -> Path:
    """A run that fills gaps and knows words, of three seeds."""
    rows = people()
    rows[7][2] = "Pisa"
    write(rows)
    answer = minifw("train", saved(missing="mean"), "--seeds", 3, "--json", "--quiet")
    assert answer.code == 0, answer.err
    assert answer.err.count("minifw: data: missing values are filled with the mean") == 1
    return Path(answer.json["run_dir"])


def rows_of(answer: Answer) -> list[dict[str, str]]:
    assert answer.code == 0, answer.err
    return list(csv.DictReader(io.StringIO(answer.out)))


def test_each_seed_has_the_test_error_of_its_run_again(minifw: Minifw, run: Path) -> None:
    errors = json.loads((run / "results.json").read_text())["modes"]["full-batch"]["minifw"]
    kinds_of = [line[4] for line in people()]
    for seed in range(3):
        rows = rows_of(minifw("predict", run, "people.csv", "--seed", seed))
        _, test = data.split(data.generator(seed, "data"), 60, 0.8, None)
        wrong = [rows[row]["class"] != kinds_of[row] for row in test]
        assert 100 * np.mean(wrong) == pytest.approx(errors["test_error"][seed])


def test_what_was_noticed_is_kept_and_told_by_each_command(minifw: Minifw, run: Path) -> None:
    notes = json.loads((run / "results.json").read_text())["data"]["notes"]
    assert [note.partition(":")[0] for note in notes] == [
        "missing values are filled with the mean of the training samples of each seed",
        "missing words are a category of their own",
    ]
    assert library.load(run).notes == tuple(notes)
    said = [f"minifw: data: {note}" for note in notes]
    small = ("--seeds", 2, "--quiet", "--set", "train.epochs=2")
    for words in (
        ("validate", "people.yaml"), ("show", "people.yaml"), ("train", "people.yaml", *small),
        ("compare", "people.yaml", *small, "--set", "train.batch_size=10"),
        ("sweep", "people.yaml", "--over", "train.eta=0.1,0.2", *small,
         "--set", "data.validation=0.2"),
        ("variance", "people.yaml", "--quiet", "--set", "train.epochs=2", "--data", 2, "--init", 2),
    ):  # fmt: skip
        answer = minifw(*words)
        assert answer.code == 0, (words, answer.err)
        lines = [line.replace("minifw: minifw: ", "minifw: ") for line in answer.err.splitlines()]
        assert [lines.count(line) for line in said] == [1, 1], (words, answer.err)


def test_predict_fills_gaps_and_takes_new_words(minifw: Minifw, run: Path) -> None:
    about = json.loads((run / "inputs.json").read_text())
    assert about["encoding"]["columns"][2]["categories"][-2:] == ["Rome", "(missing)"]
    write([["31", "NA", "Paris", "no"], ["", "1.7", "", "TRUE"]], "new.csv", NAMES[:4])
    rows = rows_of(minifw("predict", run, "new.csv", "--all-seeds"))
    assert len(rows) == 2
    # By hand, from what the run keeps.
    kept = safetensors.numpy.load((run / "normalization.safetensors").read_bytes())
    weights = safetensors.numpy.load(
        (run / "checkpoints/minifw-full-batch.safetensors").read_bytes()
    )
    for seed in range(3):
        wide = np.zeros((2, len(about["features"])))
        place = about["features"].index
        wide[0, 0], wide[0, 1], wide[0, place("city=(other)")] = 31, kept["fill"][seed, 1], 1
        gap = "city=(missing)"
        assert kept["known"][seed, place(gap)]
        wide[1, 0], wide[1, 1], wide[1, place(gap)], wide[1, -1] = kept["fill"][seed, 0], 1.7, 1, 1
        x = ((wide - kept["shift"][seed]) / kept["scale"][seed]).astype(np.float32)
        hidden = np.maximum(0, x @ weights["0.weight"][seed].T + weights["0.bias"][seed])
        output = hidden @ weights["2.weight"][seed].T + weights["2.bias"][seed]
        said = [row[f"seed {seed}"] for row in rows]
        assert said == [about["classes"][number] for number in output.argmax(1)]
    write([["31", "tall", "Paris", "maybe"]], "bad.csv", NAMES[:4])
    answer = minifw("predict", run, "bad.csv")
    assert answer.code == 2
    assert (
        answer.err.splitlines()
        == [
            "minifw: bad.csv:2: 1 cell is not a number: 'height' (line 2: 'tall')",
            "minifw: bad.csv:2: 1 cell is no truth value: 'member' (line 2: 'maybe')",
        ]
        or answer.err.count("bad.csv:2: 1 cell is") == 2
    )


def test_a_program_gives_columns_an_array_or_a_file(minifw: Minifw, run: Path) -> None:
    pandas = pytest.importorskip("pandas")
    found = library.load(run)
    write(people(9, seed=5), "new.csv")
    table = pandas.read_csv("new.csv")
    by_file = found.predict("new.csv")
    rows = rows_of(minifw("predict", run, "new.csv"))
    assert by_file.classes.tolist() == [row["class"] for row in rows]
    mixed = table[["kind", "member", "city", "height", "age"]]
    columns = {name: [None if cell != cell else cell for cell in table[name]] for name in NAMES[:4]}
    coded_as = inputs.read(runs.load(run)).coded
    array = asked_at_wide(Path("new.csv"), coded_as)
    for x in (Path("new.csv"), table, mixed, mixed.astype({"city": "category"}), columns, array):
        answer = found.predict(x)
        assert np.array_equal(answer.each, by_file.each)
        assert np.array_equal(answer.scores, by_file.scores)
    one = found.inputs(table, 1)
    assert torch.equal(one, found.data().of(1).inputs(array))
    for x, message in (
        (table.drop(columns="city"), "predict: x: there is no column 'city'"),
        (table.assign(age="old"), "predict: x: row 1: 9 cells are not numbers: 'age'"),
        ({"age": [1]}, "predict: x: there is no column 'height', 'city', 'member'"),
        (array[:, 1:], r"predict: x must be \(samples, 10\)"),
        (np.full_like(array, np.inf), "must be a finite number, got inf"),
    ):
        with pytest.raises(DataError, match=message):
            found.predict(x)


def asked_at_wide(path: Path, known: encoding.Encoding) -> np.ndarray[Any, Any]:
    return asked.asked_of(frames.read_frame(path), known, None).inputs


def test_truth_values_are_0_and_1_to_networks_and_known_to_predict(minifw: Minifw) -> None:
    rows = people(gaps=0)
    write(rows)
    answer = minifw("train", saved(exclude=["city"]), "--json", "--quiet")
    run = Path(answer.json["run_dir"])
    kept = safetensors.numpy.load((run / "normalization.safetensors").read_bytes())
    np.testing.assert_array_equal([kept["shift"][0, 2], kept["scale"][0, 2]], [0, 1])
    said = rows_of(minifw("predict", run, "people.csv"))
    write([[*line[:3], str(int(line[3] == "yes"))] for line in rows], "new.csv", NAMES[:4])
    assert rows_of(minifw("predict", run, "new.csv")) == said


def test_a_run_without_gaps_refuses_them(minifw: Minifw) -> None:
    write(people(gaps=0))
    answer = minifw("train", saved(), "--json", "--quiet")
    assert answer.err == ""
    run = Path(answer.json["run_dir"])
    write([["31", "NA", "Paris", "no"]], "new.csv", NAMES[:4])
    answer = minifw("predict", run, "new.csv")
    assert answer.code == 2
    assert "1 cell is missing: 'height' (line 2: 'NA'); predict needs all values" in answer.err
    wide = np.zeros((1, 8))
    wide[0, 0] = np.nan
    with pytest.raises(DataError, match=r"x\[0, 0\] must be a finite number"):
        library.load(run).predict(wide)


def test_a_run_whose_file_or_columns_have_changed_is_not_resumed(minifw: Minifw) -> None:
    write(people())
    config, source = loading.load_with_source(saved(missing="mean"), ["seeds=2"])
    plan = make_plan(config, 2, ["full-batch"], source)

    def stop(label: str, total: int) -> Any:
        @contextmanager
        def shown() -> Any:
            def progress(done: int, text: str) -> None:
                raise OSError("stop")

            yield progress

        return shown()

    with pytest.raises(OSError, match="stop"):
        experiment.start(plan, Path("runs"), stop)
    (run,) = [path for path in Path("runs").iterdir() if (path / "inputs.json").exists()]
    about = json.loads((run / "inputs.json").read_text())
    assert about["encoding"]["fill"] == "mean"
    good = Path("people.csv").read_text()
    write(people(seed=1))
    answer = minifw("resume", run, "--quiet")
    assert answer.code != 0
    assert "this data file has changed since the run began" in answer.err
    Path("people.csv").write_text(good)
    answer = minifw("resume", run, "--quiet")
    assert answer.code == 0, answer.err
    other = minifw("train", "people.yaml", "--seeds", 2, "--json", "--quiet")
    assert (run / "results.json").exists()
    mine, theirs = (
        json.loads((path / "results.json").read_text())["modes"]["full-batch"]["minifw"]
        for path in (run, Path(other.json["run_dir"]))
    )
    assert mine["test_error"] == theirs["test_error"]


@pytest.mark.parametrize(
    ("columns", "has_plane"),
    [(["age", "height"], False), (["member", "age"], False), (["city"], False)],
)
def test_a_plane_is_drawn_of_numbers_without_gaps_only(
    minifw: Minifw, columns: list[str], has_plane: bool
) -> None:
    write(people(30))
    answer = minifw("train", saved(missing="mean", features=columns), "--json", "--quiet")
    assert answer.code == 0, answer.err
    assert (Path(answer.json["run_dir"]) / "decision.npz").exists() == has_plane
    write(people(30, gaps=0))
    answer = minifw("train", saved(missing="mean", features=columns), "--json", "--quiet")
    assert (Path(answer.json["run_dir"]) / "decision.npz").exists() == (columns[1:] == ["height"])


def test_a_run_of_columns_without_names(minifw: Minifw) -> None:
    """Of words alone a line of names looks like a sample, and the reverse."""
    rng = np.random.default_rng(0)
    rows = [["uvw"[k := int(rng.integers(3))], "xyz"[int(rng.integers(3))], "pqr"[k]]
            for _ in range(60)]  # fmt: skip
    write(rows, names=None)
    answer = minifw("train", saved(header=False), "--json", "--quiet")
    assert answer.code == 0, answer.err
    run = Path(answer.json["run_dir"])
    assert json.loads((run / "inputs.json").read_text())["unnamed"] == 3
    write([["w", "z"]], "new.csv", None)
    answer = minifw("predict", run, "new.csv")
    assert len(rows_of(answer)) == 1
    assert answer.err == ""
    write([["w", "?", "r"], ["new", "z", "p"]], "new.csv", None)
    assert "1 cell is missing: 'column 2' (line 1: '?')" in minifw("predict", run, "new.csv").err
    write([["w", "x", "r"], ["new", "z", "p"]], "new.csv", None)
    answer = minifw("predict", run, "new.csv")
    assert len(rows_of(answer)) == 2
    assert "the file has column 'column 3' too" in answer.err
    assert "words that the run did not learn from are 'other' words: 'column 1' 1" in answer.err
    write([["w", "x", "r", "s"]], "new.csv", None)
    answer = minifw("predict", run, "new.csv")
    assert answer.code == 2
    assert "expects 3 columns, got 4" in answer.err
    # Where the target was the first column, a file without it would be read in other columns.
    answer = minifw("train", saved(header=False, target=1), "--json", "--quiet")
    run = Path(answer.json["run_dir"])
    write([["z", "r"]], "new.csv", None)
    answer = minifw("predict", run, "new.csv")
    assert answer.code == 2
    assert "expects 3 columns, got 2" in answer.err
    write([["?", "z", "r"]], "new.csv", None)
    assert len(rows_of(minifw("predict", run, "new.csv"))) == 1


def test_a_file_with_types_is_the_same_table_as_text(minifw: Minifw) -> None:
    pandas = pytest.importorskip("pandas")
    rows = people(60)
    write(rows)
    frame_of = pandas.read_csv("people.csv", na_values=["NA"])
    frame_of["city"] = frame_of["city"].astype("category")
    frame_of["age"] = (frame_of["age"] * 10).round().astype("Int64")
    frame_of["member"] = frame_of["member"].map({"yes": True, "no": False}).astype("boolean")
    frame_of["day"] = pandas.Timestamp("2026-01-05") + pandas.to_timedelta(
        np.arange(60) % 3, unit="D"
    )
    frame_of["day"] = frame_of["day"].dt.date
    frame_of = frame_of[["age", "height", "city", "member", "day", "kind"]]
    frame_of.to_parquet("people.parquet")
    frame_of.to_csv("people.csv", index=False, na_rep="")
    runs_of = []
    for kind in ("csv", "parquet"):
        changes = ["--set", f"data.kind={kind}", "--set", f"data.path=people.{kind}"]
        answer = minifw("train", saved(missing="median"), *changes, "--json", "--quiet")
        assert answer.code == 0, answer.err
        runs_of.append(Path(answer.json["run_dir"]))
    text, typed = (json.loads((path / "inputs.json").read_text()) for path in runs_of)
    assert typed["features"] == text["features"]
    assert "day=2026-01-06" in typed["features"]
    errors = [json.loads((path / "results.json").read_text())["modes"] for path in runs_of]
    assert (
        errors[0]["full-batch"]["minifw"]["test_error"]
        == errors[1]["full-batch"]["minifw"]["test_error"]
    )
    mixed = [minifw("predict", run, f"people.{kind}").out
             for run in runs_of for kind in ("csv", "parquet")]  # fmt: skip
    assert len({*mixed}) == 1
    assert mixed[0].count("\n") == 61


def test_gaps_of_arrays_are_filled(minifw: Minifw) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 3)) + np.arange(60)[:, None] % 3, np.arange(60) % 3
    x[rng.random((60, 3)) < 0.1] = np.nan
    np.savez("a.npz", x=x, y=y)
    np.save("a.npy", np.column_stack([x, y]))
    outputs = []
    for kind in ("npz", "npy"):
        content = config_of(Path(f"a.{kind}"), kind=kind, missing="mean")
        Path("a.yaml").write_text(yaml.safe_dump(content))
        answer = minifw("train", "a.yaml", "--json", "--quiet")
        assert answer.code == 0, answer.err
        assert "missing values are filled with the mean" in answer.err
        run = answer.json["run_dir"]
        answer = minifw("predict", run, f"a.{kind}")
        rows = rows_of(answer)
        assert "samples differ from it" in answer.err
        outputs.append([row["class"] for row in rows])
        bare = Path(f"bare.{kind}")
        np.savez(bare, x=x[:4]) if kind == "npz" else np.save(bare, x[:4])
        assert [row["class"] for row in rows_of(minifw("predict", run, bare))] == outputs[-1][:4]
    assert outputs[0] == outputs[1]
    answer = minifw("validate", "a.yaml", "--set", "data.missing=error")
    assert "a.npy: row " in answer.err
    assert "data.missing: drop leaves such rows out, mean or median fills them" in answer.err


def test_a_regression_with_words_and_gaps(minifw: Minifw) -> None:
    write([[*line[:2], *line[2:4], f"{len(line[2])}.5"] for line in people()], names=NAMES)
    Path("people.yaml").write_text(yaml.safe_dump(
        config_of(Path("people.csv"), missing="median", task="regression")
        | {"loss": "mse", "network": [{"linear": 5}, "relu", {"linear": 1}]}
    ))  # fmt: skip
    answer = minifw("train", "people.yaml", "--seeds", 2, "--json", "--quiet")
    assert answer.code == 0, answer.err
    run = answer.json["run_dir"]
    write([["NA", "1.7", "Paris", ""]], "new.csv", NAMES[:4])
    (row,) = rows_of(minifw("predict", run, "new.csv"))
    assert np.isfinite([float(value) for value in row.values()]).all()


def test_whole_numbers_of_an_embedding_and_their_gaps(minifw: Minifw) -> None:
    """A mean is no whole number; a median may be one to some seeds only."""
    rows = [[str(row % 2 + 1), "ab"[row // 15]] for row in range(30)]
    rows[3][0] = ""
    write(rows, names=["token", "kind"])
    network = [{"embedding": {"num_embeddings": 4, "embedding_dim": 3}}, "flatten", {"linear": 2}]
    Path("people.yaml").write_text(
        yaml.safe_dump(config_of(Path("people.csv"), normalize=False) | {"network": network})
    )
    answer = minifw("validate", "people.yaml", "--set", "data.missing=mean")
    assert answer.code == 2
    assert "takes whole numbers from 0 to 3" in answer.err
    assert "nan" not in answer.err
    answer = minifw("validate", "people.yaml", "--set", "data.missing=drop")
    assert answer.code == 0, answer.err
    # The median of some seeds is whole, that of the next is not.
    values = np.array([float(row[0] or "nan") for row in rows])
    trained = [data.split(data.generator(seed, "data"), 30, 0.8, None)[0] for seed in range(50)]
    whole = [float(np.nanmedian(values[some])).is_integer() for some in trained]
    seed = next(seed for seed in range(49) if whole[seed] and not whole[seed + 1])
    median = ("validate", "people.yaml", "--set", "data.missing=median", "--set", f"seed={seed}")
    assert minifw(*median).code == 0
    answer = minifw(*median, "--set", "seeds=2")
    assert answer.code == 2
    assert "takes whole numbers from 0 to 3" in answer.err
