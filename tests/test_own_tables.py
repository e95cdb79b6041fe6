"""A user's own function that returns a table: whatever it is made of, divided as any other."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch

import minifw as library
from conftest import Minifw
from minifw.config import loading
from minifw.data import files, generator, own
from minifw.data.roles import Choice
from minifw.errors import ArtefactError, DataError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 3))
Y = np.arange(40) % 2

FILE = """\
from typing import Literal

import numpy as np


def load(count: int = 40, shift: float = 0.0):
    rng = np.random.default_rng(0)
    y = np.arange(count) % 3
    return rng.normal(size=(count, 2)) + y[:, None] + shift, y


def table(folder):
    return {name: column for name, *column in (line.split(",") for line in (folder / "columns.txt").read_text().split())}


def numbers():
    x = np.linspace(0, 1, 30)
    return x[:, None], np.stack([x, 2 * x], 1)


def images():
    return np.arange(30 * 4 * 5, dtype=np.uint8).reshape(30, 4, 5), np.arange(30) % 2


def fails():
    return 1 / 0


def half(rng, count: int = 3):
    pass


def turned(samples, rng):
    pass


def draws(rng, samples, width: float = 0.2):
    inputs = rng.uniform(-1, 1, (samples, 2))
    return inputs, (inputs[:, 0] > width).astype(int)


def owned(target: int = 3):
    pass
"""

CONFIG = """\
name: own
seeds: 2
data: {python: mine.load, train: 24}
network: [{linear: 3}]
loss: cross-entropy
train: {eta: 0.1, epochs: 4, eval_every: 2}
"""
QUICK = ("--allow-code", "--json")


@pytest.fixture
def _files(minifw: Minifw) -> None:
    Path("mine.py").write_text(FILE)
    Path("own.yaml").write_text(CONFIG)
    Path("columns.txt").write_text(
        "\n".join(f"{name}," + ",".join(values) for name, values in {
            "height": [str(k / 10) for k in range(30)], "city": ["Oslo", "Rome", "Lima"] * 10,
            "kind": ["a", "b"] * 15,
        }.items())
    )  # fmt: skip


# -------------------------------------------------------------------------- what may be returned


def read(returned: object, **choice: Any) -> Any:
    """The samples of what a function returned."""
    frame, targets = own.frame_of("mine", returned)
    chosen = choice.pop("target", targets if len(targets) > 1 else targets[0] if targets else None)
    return own.checked(files.table_of(frame, Choice(target=chosen, **choice)))


@pytest.mark.parametrize(
    ("inputs", "targets"),
    [
        (X, Y), (X.tolist(), Y.tolist()), (torch.tensor(X), torch.tensor(Y)),
        (X, np.where(Y, "yes", "no")), (X, [("no", "yes")[label] for label in Y]),
        (X.astype(object), Y.astype(object)), (X, Y.astype(bool)), (X, Y.astype(float)),
        (pa.table({f"x[{k}]": X[:, k] for k in range(3)}), pa.array(Y)),
    ],
)  # fmt: skip
def test_inputs_and_targets_of_any_array(inputs: Any, targets: Any) -> None:
    table = read((inputs, targets))
    np.testing.assert_array_equal(table.inputs, X)
    np.testing.assert_array_equal(table.labels, Y)
    assert table.features == ("x[0]", "x[1]", "x[2]")
    assert table.target == "y"


def frames() -> Mapping[str, Any]:
    """The same columns in all that holds columns."""
    columns = {"a": X[:, 0], "b": X[:, 1], "kind": np.where(Y, "u", "v")}
    data = pd.DataFrame(columns)
    return {
        "pandas": data, "pyarrow": pa.table(columns), "mapping": columns,
        "indexed": data.set_index(np.arange(40)[::-1]), "chunked": pa.concat_tables([
            pa.table(columns).slice(0, 7), pa.table(columns).slice(7)]),
        "category": data.astype({"kind": "category"}), "series": {n: data[n] for n in data},
    }  # fmt: skip


@pytest.mark.parametrize("kind", frames())
def test_a_table_has_names_and_its_last_column_is_the_target(kind: str) -> None:
    table = read(frames()[kind])
    np.testing.assert_array_equal(table.inputs, X[:, :2])
    assert (table.features, table.classes, table.target) == (("a", "b"), ("u", "v"), "kind")
    np.testing.assert_array_equal(table.labels, 1 - Y)
    other = read(frames()[kind], target="b", regression=True, exclude=["kind"])
    assert (other.features, other.targets) == (("a",), ("b",))


def test_names_come_with_the_columns() -> None:
    data = pd.DataFrame(X, columns=["a", "b", "c"])
    table = read((data, pd.Series(Y, name="sort")))
    assert (table.features, table.target) == (("a", "b", "c"), "sort")
    numbered = read((pd.DataFrame(X), Y))
    assert numbered.features == ("0", "1", "2")
    several = read((data, X[:, :2] * 2), regression=True)
    assert several.targets == ("y[0]", "y[1]")
    np.testing.assert_array_equal(several.labels, X[:, :2] * 2)


def test_gaps_and_words_are_those_of_a_file() -> None:
    data = pd.DataFrame({"a": [1.0, None, 3.0] * 10, "city": ["Oslo", "Rome", None] * 10})
    table = read((data, np.arange(30) % 2), missing="mean")
    assert table.features == ("a", "city=Oslo", "city=Rome", "city=(missing)", "city=(other)")
    assert int(np.isnan(table.inputs).sum()) == 10
    with pytest.raises(DataError, match="a: 10.*city: 10|missing"):
        read((data, np.arange(30) % 2))


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (None, "got NoneType"), ((X, Y, Y), "got 3 values"), (X, "got ndarray"),
        ((X, Y[:-1]), "got 40 rows of inputs and 39 of targets"),
        ((X[:0], Y[:0]), "got 0 rows of inputs and 0 of targets"),
        ((np.zeros((2, 2, 2, 2, 2)), Y), "got (2, 2, 2, 2, 2)"),
        (({"a": [1, 2]}, {"a": [1, 2]}), "column names must differ, 'a' is there twice"),
        ({"a": [1, 2, 3], "b": [1, 2]}, "column 'b' must have one value for each sample"),
        ({"a": [[1, 2]], "b": [1]}, "column 'a' must have one value for each sample"),
        ({}, "got a table without columns or rows"),
        ((np.array([[1, "a"], [{}, 2]], object), [0, 1]), "'x[0]' must hold numbers, truth values or text, all of one kind"),
        ((X * 1j, Y), "'x[0]' must hold real numbers, truth values or text, got complex128"),
        (([[1, 2], [3]], [0, 1]), "x must be an array, its rows differ in shape"),
    ],
)  # fmt: skip
def test_what_is_no_table_is_told_in_one_line(returned: Any, message: str) -> None:
    with pytest.raises(DataError) as caught:
        read(returned)
    assert len(caught.value.lines) == 1
    assert caught.value.lines[0].startswith("mine: ")
    assert message in caught.value.lines[0]


def test_the_checksum_is_that_of_what_came() -> None:
    first = read((X, Y)).checksum
    assert read((X.copy(), Y)).checksum == first
    changed = X.copy()
    changed[3, 1] = np.nextafter(changed[3, 1], 9)
    others = [(changed, Y), (X, 1 - Y), (X[::-1], Y), (X[:-1], Y[:-1]), (pd.DataFrame(X), Y)]
    assert first not in {read(other).checksum for other in others}


# -------------------------------------------------------------------------------- from a config


@pytest.mark.usefixtures("_files")
def test_each_seed_divides_it(minifw: Minifw, tmp_path: Path) -> None:
    run = library.train("own.yaml", runs_dir=tmp_path, progress=False, allow_code=True)
    data = run.data()
    own_x = np.random.default_rng(0).normal(size=(40, 2)) + (np.arange(40) % 3)[:, None]
    assert (data.train.count, data.test.count, data.classes) == (24, 16, ("0", "1", "2"))
    for place in range(2):
        order = generator(place, "data").permutation(40)
        inputs = data.train.inputs[place].numpy() * data.scale[place] + data.shift[place]
        np.testing.assert_allclose(inputs, own_x[order[:24]], atol=1e-5)
        np.testing.assert_array_equal(data.test.class_numbers[place], order[24:] % 3)


@pytest.mark.usefixtures("_files")
def test_keys_are_its_arguments_and_those_of_columns(minifw: Minifw) -> None:
    more = (
        "--set",
        "data.split=stratified",
        "--set",
        "data.validation=6",
        "--set",
        "data.count=60",
    )
    made = minifw("train", "own.yaml", *QUICK, *more)
    assert made.code == 0, made.err
    folds = minifw(
        "train", "own.yaml", *QUICK, "--set", "data={python: mine.load, folds: 4}", "--seeds", 4
    )
    assert folds.code == 0, folds.err
    words = (
        "--set",
        "data={python: mine.table, folder: ., exclude: [city]}",
        "--set",
        "network.0.linear=2",
    )
    table = minifw("train", "own.yaml", *QUICK, *words)
    assert table.json["data"]["features"] == ["height"]
    several = minifw("train", "own.yaml", *QUICK, "--set", "data={python: mine.numbers, task: regression}",
                     "--set", "network.0.linear=2", "--set", "loss=mse")  # fmt: skip
    assert several.json["data"]["targets"] == ["y[0]", "y[1]"]
    of_images = minifw("validate", "own.yaml", "--allow-code", "--set", "data.python=mine.images",
                       "--set", "network=[{conv2d: 2, kernel_size: 2}, flatten, {linear: 2}]")  # fmt: skip
    assert of_images.err.endswith("`- unflatten: [1, 4, 5]`\n")


@pytest.mark.usefixtures("_files")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("mine.half", "mine.half: must begin with the arguments rng, samples, to draw points for each "
                      "seed, or have neither, to return a table; got rng, count"),
        ("mine.turned", "got samples, rng"),
        ("mine.fails", "ZeroDivisionError: division by zero"),
        ("mine.owned", "argument 'target' has the name of a key of all data; give it another"),
    ],
)  # fmt: skip
def test_faults_of_a_function(minifw: Minifw, words: str, message: str) -> None:
    told = minifw("validate", "own.yaml", "--allow-code", "--set", f"data={{python: {words}}}")
    assert (told.code, told.err.count("\n")) == (2, 1)
    assert message in told.err
    assert not Path("runs").exists()


@pytest.mark.usefixtures("_files")
def test_a_function_that_draws_still_does(minifw: Minifw) -> None:
    words = (
        "--set",
        "data={python: mine.draws, train: 30, test: 20, width: 0.1}",
        "--set",
        "network.0.linear=2",
    )
    made = minifw("train", "own.yaml", *QUICK, *words)
    assert made.json["data"]["features"] == ["x", "y"]
    told = minifw("validate", "own.yaml", "--allow-code", *words, "--set", "data.split=stratified")
    assert "data.split: unknown key" in told.err


@pytest.mark.usefixtures("_files")
def test_its_folder_is_that_of_the_config(minifw: Minifw) -> None:
    Path("sub").mkdir()
    for name in ("mine.py", "columns.txt"):
        Path(name).rename(Path("sub", name))
    text = CONFIG.replace("mine.load", "mine.table").replace("linear: 3", "linear: 2")
    Path("sub/own.yaml").write_text(text)
    made = minifw("train", "sub/own.yaml", *QUICK)
    assert made.code == 0, made.err
    assert minifw("validate", f"{made.json['run_dir']}/config.yaml", "--allow-code").code == 0
    kept = library.load(made.json["run_dir"], allow_code=True)
    assert kept.data().train.count == 24


@pytest.mark.usefixtures("_files")
def test_a_run_resumes_with_the_same_table_only(minifw: Minifw) -> None:
    words = ("--set", "data={python: mine.table, folder: .}", "--set", "network.0.linear=2")
    made = minifw("train", "own.yaml", *QUICK, *words)
    run = made.json["run_dir"]
    config = loading.load(Path(run) / "config.yaml", allow_code=True)
    assert config.data.folder == str(Path.cwd())  # type: ignore[union-attr]
    Path("new.csv").write_text("height,city\n0.1,Oslo\n0.2,Paris\n")
    asked = minifw("predict", run, "new.csv", *QUICK)
    assert len(asked.json["rows"]) == 2
    kept = library.load(run, allow_code=True)
    assert kept.data().train.count == 24
    lines = Path("columns.txt").read_text()
    Path("columns.txt").write_text(lines.replace("0.7", "0.8", 1))
    with pytest.raises(
        ArtefactError, match=r"mine.table \(mine.py:12\): returns other samples than"
    ):
        kept.data()
