"""`minifw init --data FILE`: a config that fits a file, and trains it without a change."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from campaigns.enlarged import write_pair
from conftest import ROOT, Answer, Minifw
from minifw.config import yaml12
from minifw.config.source import Source

FILES = sorted(path for path in (ROOT / "tests/data").iterdir() if path.is_file())
TARGETS = {"birds-missing.csv": "species", "passengers.csv": "outcome"}
"""Where the last column is not the one to predict."""


def good(answer: Answer) -> Answer:
    assert answer.code == 0, answer.err
    return answer


def keys(name: str = "mine") -> dict[str, Any]:
    text = Path(f"{name}.yaml").read_text(encoding="utf-8")
    found = yaml12.parse(text, Source(name))
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


def test_the_data_file_is_in_another_folder(minifw: Minifw) -> None:
    Path("work").mkdir()
    shutil.copy(ROOT / "tests/data/yield.csv", "work")
    good(minifw("init", "mine", "--data", "work/yield.csv"))
    assert keys()["data"]["path"] == "work/yield.csv"
    absolute = Path("work/yield.csv").resolve()
    good(minifw("init", "other", "--data", absolute))
    assert keys("other")["data"]["path"] == str(absolute)
    assert minifw("validate", "mine.yaml", "other.yaml").code == 0


TABLE = pd.DataFrame(
    {
        "id": np.arange(1, 81),
        "length": np.random.default_rng(0).normal(10, 2, 80).round(2),
        "rank": np.arange(80) % 7,
        "site": [["north", "south", "isle"][i % 3] for i in range(80)],
        "kept": [bool(i % 5 % 2) for i in range(80)],
        "kind": [["p", "q"][i % 2] for i in range(80)],
    }
)


def write(name: str) -> None:
    table = TABLE
    if name == "t.csv":
        table.to_csv(name, index=False)
    elif name == "t.parquet":
        table.to_parquet(name)
    elif name == "t.arff":
        rows = table.to_csv(index=False, header=False)
        Path(name).write_text(
            "@relation t\n@attribute id numeric\n@attribute length numeric\n@attribute rank numeric\n"
            "@attribute site {north,south,isle}\n@attribute kept {True,False}\n"
            f"@attribute kind {{p,q}}\n@data\n{rows}"
        )
    elif name == "t.npy":
        np.save(name, table.to_records(index=False).astype(
            [("id", "i8"), ("length", "f8"), ("rank", "i8"), ("site", "U9"), ("kept", "?"),
             ("kind", "U9")]))  # fmt: skip


@pytest.mark.parametrize("name", ["t.csv", "t.parquet", "t.arff", "t.npy"])
def test_each_kind_of_table_gets_the_same_config(minifw: Minifw, name: str) -> None:
    write(name)
    good(minifw("init", "mine", "--data", name))
    made = keys()
    assert made["data"] == {
        "kind": Path(name).suffix[1:], "path": name, "target": "kind", "exclude": ["id"],
        "train": 0.8, "split": "stratified",
    }  # fmt: skip
    assert made["network"] == [{"linear": 16}, "relu", {"linear": 2}]
    assert (made["loss"], made["optimizer"]) == ("cross-entropy", "adam")
    assert minifw("validate", "mine.yaml").code == 0
    shown = good(minifw("show", "mine.yaml", "--json")).json
    assert shown["network"][-1]["output"] == 2


NPZ = {
    "x and y": ({"x": (30, 4), "y": "classes"}, {"features": "x", "target": "y"}),
    "other names": ({"labels": "classes", "inputs": (30, 4)},
                    {"features": "inputs", "target": "labels"}),
    "numbers": ({"x": (30, 4), "y": (30,)},
                {"features": "x", "target": "y", "task": "regression"}),
    "images": ({"pictures": (30, 3, 4), "y": "classes"}, {"features": "pictures", "target": "y"}),
    "several targets": ({"x": (30, 4), "y": (30, 2)},
                        {"features": "x", "target": "y", "task": "regression"}),
}  # fmt: skip


@pytest.mark.parametrize(("arrays", "data"), NPZ.values(), ids=NPZ)
def test_archives_of_arrays(minifw: Minifw, arrays: dict[str, Any], data: dict[str, str]) -> None:
    rng = np.random.default_rng(0)
    made: Any = {
        name: np.arange(30) % 3 if shape == "classes" else rng.normal(size=shape)
        for name, shape in arrays.items()
    }
    np.savez("a.npz", **made)
    good(minifw("init", "mine", "--data", "a.npz"))
    found = keys()["data"]
    split = {} if "task" in data else {"split": "stratified"}
    assert found == {"kind": "npz", "path": "a.npz", **data, "train": 0.8, **split}
    good(minifw("train", "mine.yaml", "--set", "train.epochs=2"))


@pytest.mark.parametrize("tests", [8, 0])
def test_a_folder_of_images(minifw: Minifw, tests: int) -> None:
    rng = np.random.default_rng(0)
    folder = Path("files")
    for part, count in (("train", 20), ("t10k", tests)):
        if count:
            images = rng.integers(0, 256, (count, 3, 4), np.uint8)
            write_pair(folder, part, images, np.arange(count, dtype=np.uint8) % 3, ".gz")
    good(minifw("init", "mine", "--data", "files"))
    more = {} if tests else {"train": 0.8}
    assert keys()["data"] == {"kind": "idx", "path": "files", **more}
    assert keys()["network"] == [{"linear": 16}, "relu", {"linear": 3}]
    trained = good(minifw("train", "mine.yaml", "--set", "train.epochs=2", "--json")).json
    found = good(minifw("data", "files", "--json")).json
    assert found == good(minifw("data", "mine.yaml", "--json")).json | {
        "data": "files", "notes": found["notes"]
    }  # fmt: skip
    assert found["parts"] == {
        "train": trained["data"]["train"], "test": trained["data"]["test"], "validation": 0
    }  # fmt: skip
    assert len(found["features"]) == 12


def test_which_arrays_are_meant_may_have_to_be_said(minifw: Minifw) -> None:
    np.savez("a.npz", a=np.zeros((30, 4)), b=np.ones((30, 3)), c=np.arange(30) % 2)
    answer = minifw("init", "mine", "--data", "a.npz")
    assert "a (30, 4), b (30, 3), c (30,)" in answer.err
    words = ("--set", "data.features=b", "--set", "data.target=c")
    good(minifw("init", "mine", "--data", "a.npz", *words))
    assert minifw("validate", "mine.yaml").code == 0


TARGETS_OF = {
    "words": (["p", "q", "r"] * 20, None, False),
    "truth values": (["True", "False"] * 30, None, False),
    "few whole numbers": ([*range(5)] * 12, None, False),
    "whole numbers as floats": ([1.0, 2.0] * 30, None, False),
    "many whole numbers": ([*range(30)] * 2, None, True),
    "few numbers that are not whole": ([0.5, 1.5] * 30, None, True),
    "numbers": (np.random.default_rng(0).normal(size=60), None, True),
    "few whole numbers, as asked": ([*range(5)] * 12, "regression", True),
    "many whole numbers, as asked": ([*range(30)] * 2, "classification", False),
}


@pytest.mark.parametrize(("target", "asked", "regression"), TARGETS_OF.values(), ids=TARGETS_OF)
def test_the_task_follows_from_the_target(
    minifw: Minifw, target: Any, asked: str | None, regression: bool
) -> None:
    a = np.random.default_rng(1).normal(size=60)
    pd.DataFrame({"a": a, "y": target}).to_csv("t.csv", index=False)
    good(minifw("init", "mine", "--data", "t.csv", *(["--task", asked] if asked else [])))
    made = keys()
    task = made["data"].get("task", "classification")
    assert (task == "regression") is regression
    assert made["loss"] == ("mse" if regression else "cross-entropy")
    outputs = 1 if regression else len({*target})
    assert made["network"][-1] == {"linear": outputs}
    assert minifw("validate", "mine.yaml").code == 0


def test_a_column_by_number_and_several_targets(minifw: Minifw) -> None:
    write("t.csv")
    good(minifw("init", "one", "--data", "t.csv", "--target", 4))
    assert keys("one")["data"]["target"] == "site"
    good(minifw("init", "two", "--data", "t.csv", "--target", "length", "--target", "rank",
                "--set", "data.exclude=[id]"))  # fmt: skip
    made = keys("two")
    assert made["data"]["target"] == ["length", "rank"]
    assert made["network"][-1] == {"linear": 2}
    assert minifw("validate", "one.yaml", "two.yaml").code == 0


def test_keys_that_are_given_have_a_comment_too(minifw: Minifw) -> None:
    Path("t.csv").write_text("a,p,y\n" + "".join(f"{i},{i % 6},{i % 2}\n" for i in range(60)))
    good(minifw("init", "mine", "--data", "t.csv", "--target", "y", "--set", "data.split=grouped",
                "--set", "data.group=p", "--set", "data.folds=3"))  # fmt: skip
    text = Path("mine.yaml").read_text()
    assert "  group: p                    # rows with the same value stay together" in text
    assert "  folds: 3                    # parts; each is tested by networks trained on" in text


def test_keys_that_are_given_are_kept(minifw: Minifw) -> None:
    Path("t.txt").write_text(
        "".join(f"{i % 7}|{i % 5}|{'no' if i % 2 else 'yes'}\n" for i in range(50))
    )
    good(minifw("init", "mine", "--data", "t.txt", "--set", "data.names=[a, b, c]",
                "--set", "data.split=random", "--set", "data.train=30",
                "--set", "data.exclude=[b]"))  # fmt: skip
    assert keys()["data"] == {
        "kind": "csv", "path": "t.txt", "delimiter": "|", "target": "c", "exclude": ["b"],
        "names": ["a", "b", "c"], "split": "random", "train": 30,
    }  # fmt: skip
    assert minifw("validate", "mine.yaml").code == 0


def test_gaps_of_the_target_alone_leave_rows_out(minifw: Minifw) -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"a": rng.normal(size=40), "y": [*"pq"] * 20})
    table.loc[3, "y"] = None
    table.to_csv("t.csv", index=False)
    good(minifw("init", "mine", "--data", "t.csv"))
    assert keys()["data"]["missing"] == "drop"
    assert minifw("validate", "mine.yaml").out == "mine.yaml: ok\n"


def test_one_feature_is_left_whatever_it_is(minifw: Minifw) -> None:
    x = np.random.default_rng(0).normal(size=40).round(3)
    pd.DataFrame({"celsius": x, "fahrenheit": 32 + 1.8 * x}).to_csv("t.csv", index=False)
    answer = good(minifw("init", "mine", "--data", "t.csv"))
    assert "exclude" not in keys()["data"]
    assert "column 'celsius' is the target 'fahrenheit' in another unit" in answer.err
    assert minifw("validate", "mine.yaml").code == 0


def test_columns_that_are_excluded_stay_so_beside_those_that_are_found(minifw: Minifw) -> None:
    write("t.csv")
    good(minifw("init", "mine", "--data", "t.csv", "--set", "data.exclude=[length, 3]"))
    assert keys()["data"]["exclude"] == ["length", 3, "id"]
    assert minifw("validate", "mine.yaml").code == 0


def test_a_file_without_names_has_numbers(minifw: Minifw) -> None:
    lines = [f"{i};{i % 7 + 0.5};5;{'no' if i % 2 else 'yes'}\n" for i in range(50)]
    Path("t.txt").write_text("".join(lines))
    good(minifw("init", "mine", "--data", "t.txt"))
    data = keys()["data"]
    assert data == {
        "kind": "csv", "path": "t.txt", "delimiter": ";", "header": False, "target": 4,
        "exclude": [1, 3], "train": 0.8, "split": "stratified",
    }  # fmt: skip
    assert minifw("validate", "mine.yaml").code == 0


SIZES = {
    100: ("full-batch", None, 1),
    1000: ("full-batch", None, 2),
    1300: ("sgd", 32, 2),
    13000: ("sgd", 128, 2),
}


@pytest.mark.parametrize("samples", SIZES)
def test_sizes_and_steps_are_by_the_number_of_samples(minifw: Minifw, samples: int) -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(samples, 3)).round(3), columns=[*"abc"])
    table.assign(y=np.arange(samples) % 2).to_csv("t.csv", index=False)
    good(minifw("init", "mine", "--data", "t.csv"))
    mode, batch, layers = SIZES[samples]
    made: Any = keys()
    assert (made["train"]["mode"], made["train"].get("batch_size")) == (mode, batch)
    assert len(made["network"]) == 2 * layers + 1
    steps = made["train"]["epochs"] * (samples * 0.8 / batch if batch else 1)
    assert 300 <= steps <= 6000
    assert minifw("validate", "mine.yaml").code == 0


ODD_NAMES = ["a, b", "c: d", "[f]", "null", "12", "true", "- g", "'h", "ä\tö", '"i"', "{j}"]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_names_that_yaml_would_read_otherwise(minifw: Minifw, name: str) -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame({name: np.arange(40), "x": rng.normal(size=40), "y": [*"pq"] * 20})
    table.to_csv("t.csv", index=False)
    header = ("--set", "data.header=true")  # 12 could be a value
    good(minifw("init", "mine", "--data", "t.csv", *header))
    assert keys()["data"]["exclude"] == [name]
    assert minifw("validate", "mine.yaml").code == 0
    table[["x", "y", name]].assign(**{name: [0, 1] * 20}).to_csv("t.csv", index=False)
    good(minifw("init", "other", "--data", "t.csv", *header))
    assert keys("other")["data"]["target"] == name
    assert minifw("validate", "other.yaml").code == 0


def test_each_line_is_of_at_most_100_characters_with_a_comment(minifw: Minifw) -> None:
    shutil.copy(ROOT / "tests/data/passengers.csv", "p.csv")
    good(minifw("init", "mine", "--data", "p.csv", "--target", "outcome"))
    lines = Path("mine.yaml").read_text(encoding="utf-8").splitlines()
    assert max(map(len, lines)) <= 100
    of_data = lines[lines.index("data:") + 1 :]
    for line in of_data[: of_data.index("")]:
        assert "  # " in line, line


def test_what_was_noticed_stands_at_the_end_and_on_stderr(minifw: Minifw) -> None:
    shutil.copy(ROOT / "tests/data/passengers.csv", "p.csv")
    answer = good(minifw("init", "mine", "--data", "p.csv", "--target", "outcome"))
    text = Path("mine.yaml").read_text(encoding="utf-8").partition("# Noticed in the file:\n")[2]
    for said in ("'id' is left out: it is another whole number", "'age' 36", "'deck' 135"):
        assert said in text
        assert said in answer.err
    assert answer.err.endswith("minifw: now edit it, or: minifw train mine.yaml\n")


LAST_IS_A_NAME = "a,kind,name\n" + "".join(f"{i % 4},{i % 2},n{i}\n" for i in range(40))
MISTAKES = {
    "no such file": ("", ("--data", "none.csv"),
                     "none.csv: cannot be read as data: No such file or directory"),
    "a folder without images": ("", ("--data", "."), ".: there is no file of images"),
    "a target of images": ("", ("--data", ".", "--target", "a"), ".: is a folder of images"),
    "one of MNIST's files": (
        "\0\0\x08\1\0\0\0\1\0", (), "t.csv: is one of MNIST's files; name the folder"),
    "the last column are names": (
        LAST_IS_A_NAME, (),
        "t.csv: column 'name' is no target, with 40 different words in 40 rows; --target names "
        "another: a, kind"),
    "words by regression": (
        LAST_IS_A_NAME, ("--task", "regression"),
        "t.csv: target 'name' holds words, such as 'n0', and a regression takes numbers; --target "
        "names another column, --task classification takes words"),
    "no such column": (LAST_IS_A_NAME, ("--target", "kidn"), "did you mean 'kind'?"),
    "no such task": (LAST_IS_A_NAME, ("--task", "rank"), "--task: must be classification or regression"),
    "one class": ("a,b\n" + "".join(f"{i % 4},p\n" for i in range(9)), (),
                  "t.csv: target 'b': expects at least two classes, all samples are 'p'"),
    "one column": ("a\n" + "".join(f"{i % 4}\n" for i in range(9)), (),
                   "t.csv: expects a column beside the target 'a'"),
    "not a key of data": (LAST_IS_A_NAME, ("--set", "seed=1"), "--set seed=1: expects a key of data"),
    "a slip among numbers": (
        "a,b,y\n" + "".join(f"{i},{i % 3},{i % 2}\n" for i in range(30)) + "2,1o,1\n", (),
        "t.csv:32: 1 cell is not a number: 'b' (line 32: '1o'); data.categorical: [b]"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "words", "said"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes_are_one_line_and_leave_no_config(
    minifw: Minifw, text: str, words: tuple[str, ...], said: str
) -> None:
    Path("t.csv").write_text(text)
    answer = minifw("init", "mine", *([] if "--data" in words else ["--data", "t.csv"]), *words)
    assert answer.code == 2
    assert said in answer.err
    assert answer.err.count("\n") == 1
    assert not Path("mine.yaml").exists()


def test_options_of_a_file_need_a_file(minifw: Minifw) -> None:
    for words in (("--target", "a"), ("--task", "regression"), ("--set", "data.train=5")):
        answer = minifw("init", "mine", *words)
        assert answer.err == f"{words[0]}: is for --data FILE, of which none is given\n"


def test_a_config_that_is_there_is_kept(minifw: Minifw) -> None:
    write("t.csv")
    Path("mine.yaml").write_text("name: dear\n")
    answer = minifw("init", "mine", "--data", "t.csv")
    assert answer.code == 2
    assert "mine.yaml" in answer.err
    assert Path("mine.yaml").read_text() == "name: dear\n"
