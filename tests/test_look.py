"""`minifw data`: what is in a file or in a config's data, against pandas and scikit-learn."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from conftest import ROOT, Answer, Minifw
from minifw.data import facts
from minifw.data.kinds import Column

BIRDS = ROOT / "tests/data/birds-missing.csv"
CONFIG = """\
name: a
data: {kind: csv, path: b.csv, target: species, missing: mean%s}
network: [{linear: %d}]
loss: mse
train: {eta: 0.1, epochs: 1}
"""


def good(answer: Answer) -> Answer:
    assert answer.code == 0, answer.err
    return answer


def column(name: str, values: Any, kind: Any = "number", words: tuple[str, ...] = ()) -> Column:
    numbers = np.asarray(values, float)
    return Column(name, kind, numbers, words, np.isnan(numbers), np.zeros(len(numbers), bool))


# ------------------------------------------------------------------------------------ the facts


def test_facts_of_numbers_are_those_of_pandas() -> None:
    rng = np.random.default_rng(0)
    values = np.where(rng.uniform(size=500) < 0.1, np.nan, np.round(rng.normal(3, 9, 500), 1))
    found, series = facts.facts_of(column("a", values)), pd.Series(values)
    assert (found.rows, found.missing, found.different) == (
        500, series.isna().sum(), series.nunique(),
    )  # fmt: skip
    assert (found.low, found.high) == (series.min(), series.max())
    assert found.mean == pytest.approx(series.mean(), rel=1e-12)
    assert found.deviation == pytest.approx(series.std(ddof=0), rel=1e-12)
    assert found.often == pytest.approx(series.value_counts(normalize=True).iloc[0])


def test_facts_of_words_are_those_of_pandas() -> None:
    words = np.random.default_rng(1).choice(["x", "y", "z", "w"], 99, p=[0.1, 0.5, 0.3, 0.1])
    codes = np.unique(words, return_inverse=True)[1]
    found = facts.facts_of(column("a", codes, "words", ("w", "x", "y", "z")))
    counts = pd.Series(words).value_counts()
    assert found.different == 4
    assert dict(found.frequent) == counts.iloc[:3].to_dict()
    assert [count for _, count in found.frequent] == sorted(counts, reverse=True)[:3]


def test_a_column_without_values_has_no_range() -> None:
    found = facts.facts_of(column("a", [np.nan] * 3))
    assert (found.low, found.mean, found.missing, found.different) == (None, None, 3, 0)


N = 40
RNG = np.random.default_rng(5)
CLASSES = RNG.integers(0, 3, N)
NUMBERS = RNG.normal(0, 5, (N, 2))
ODD = {
    "a measurement": (RNG.normal(size=N), CLASSES, None),
    "whole numbers, some alike": (np.arange(N) // 2, CLASSES, None),
    "few values": (RNG.integers(0, 3, N), CLASSES, None),
    "all the same": (np.full(N, 2.5), CLASSES, "constant"),
    "all the same but one": (np.r_[np.full(N - 1, 2.5), 2.4], CLASSES, None),
    "all the same but gaps": (np.r_[np.full(N - 1, 2.5), np.nan], CLASSES, None),
    "rows counted": (np.arange(N), CLASSES, "different"),
    "rows counted backwards, from anywhere": (5000 - 3 * np.arange(N), CLASSES, "different"),
    "rows counted, mixed": (RNG.permutation(N) + 100, NUMBERS, "different"),
    "rows counted, with a gap": (np.r_[np.arange(N - 1), np.nan], CLASSES, None),
    "the class's number": (CLASSES, CLASSES, "target"),
    "another number for each class": (np.array([7.5, -1, 3])[CLASSES], CLASSES, "target"),
    "a number for two classes": (np.array([1, 1, 3])[CLASSES], CLASSES, None),
    "the class but in one row": (np.r_[(CLASSES[0] + 1) % 3, CLASSES[1:]], CLASSES, None),
    "the target": (NUMBERS[:, 1], NUMBERS, "target"),
    "the target in another unit": (32 + 1.8 * NUMBERS[:, 0], NUMBERS, "target"),
    "the target, rounded": (np.round(NUMBERS[:, 0], 2), NUMBERS, None),
    "the target but in one row": (np.r_[0, NUMBERS[1:, 0]], NUMBERS, None),
    "the square of the target": (NUMBERS[:, 0] ** 2, NUMBERS, None),
}


@pytest.mark.parametrize(("values", "labels", "odd"), ODD.values(), ids=ODD)
def test_odd_columns_are_found_and_no_others(values: Any, labels: Any, odd: str | None) -> None:
    targets = ["y"] if labels.ndim == 1 else ["y", "z"]
    found = facts.remarks([column("a", values)], labels, targets)
    assert [remark.odd for remark in found] == ([odd] if odd else [])


def test_few_rows_are_no_ground_for_a_remark() -> None:
    rows = facts.MANY - 1
    some = [column("id", np.arange(rows)), column("copy", CLASSES[:rows])]
    assert facts.remarks(some, CLASSES[:rows], ["y"]) == []
    assert facts.remarks([column("copy", NUMBERS[:rows, 0])], NUMBERS[:rows], ["y", "z"]) == []


def test_what_the_first_rows_look_like_does_not_count() -> None:
    rows = 3 * facts.FIRST
    late = np.arange(rows) >= rows - 1
    labels = np.arange(rows) % 2
    some = [
        column("constant at first", late),
        column("an id at first", np.where(late, 0, np.arange(rows))),
        column("the class at first", np.where(late, 1 - labels, labels)),
    ]
    assert facts.remarks(some, labels, ["y"]) == []


def test_columns_with_the_same_remark_share_a_line() -> None:
    some = [column(f"c{number}", np.ones(N)) for number in range(8)]
    (line,) = facts.noticed(facts.remarks(some, CLASSES, ["y"]))
    assert line == (
        "each of columns 'c0', 'c1', 'c2', 'c3', 'c4' and 3 more is the same in each row; "
        "data.exclude leaves them out"
    )
    (line,) = facts.noticed(facts.remarks(some[:1], CLASSES, ["y"]))
    assert line == "column 'c0' is the same in each row; data.exclude: [c0] leaves it out"


def test_repeats_are_those_of_pandas() -> None:
    rng = np.random.default_rng(2)
    inputs = rng.integers(0, 3, (200, 4)).astype(float)
    inputs[rng.uniform(size=inputs.shape) < 0.1] = np.nan
    inputs[inputs == 0] *= rng.choice([-1, 1], (inputs == 0).sum())  # -0.0 is 0.0
    labels = rng.integers(0, 2, 200)
    table = pd.DataFrame(inputs + 0.0)
    classes = (
        table.assign(y=labels).groupby([*table.columns], dropna=False)["y"].transform("nunique")
    )
    found = facts.repeats(inputs, labels)
    assert found.repeated == table.duplicated().sum() > 0
    assert found.contradicting == (classes > 1).sum() > 0
    train, test = table[:120], table[120:]
    keys = {tuple(row) for row in train.fillna(-9).to_numpy()}
    seen = sum(tuple(row) in keys for row in test.fillna(-9).to_numpy())
    assert facts.seen_before(inputs[:120], inputs[120:]) == seen > 0


def test_the_order_of_features_matters_to_a_row() -> None:
    rows = np.array([[1.0, 2.0], [2.0, 1.0], [1.0, 2.0], [np.nan, 1.0], [1.0, np.nan]])
    first, swapped, again, *gaps = facts.hashes(rows)
    assert first == again
    nan, below = facts.hashes(np.array([[np.nan], [np.copysign(np.nan, -1)]]))
    assert nan == below
    assert len({first, swapped, *gaps}) == 4


def test_principal_components_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(3)
    inputs = rng.normal(size=(80, 6)) @ rng.normal(size=(6, 6)) * [1, 10, 100, 1, 1, 1] + 5
    found = facts.plane_of(inputs, [*"abcdef"])
    wanted = PCA(2).fit(scaled := StandardScaler().fit_transform(inputs))
    points = wanted.transform(scaled)
    signs = np.sign((points * found.points).sum(0))
    np.testing.assert_allclose(found.points, points * signs, atol=1e-9)
    assert found.share == pytest.approx(wanted.explained_variance_ratio_.sum())


def test_two_features_are_drawn_as_they_are() -> None:
    inputs = np.array([[1.0, np.nan], [3.0, 4.0]])
    found = facts.plane_of(inputs, ["a", "b"])
    np.testing.assert_array_equal(found.points, inputs)
    assert (found.names, found.share) == (("a", "b"), None)


def test_components_of_gaps_and_constant_features_are_finite() -> None:
    inputs = np.array([[1.0, 2, 3, np.nan], [1, 5, 1, np.nan], [1, np.nan, 2, np.nan]])
    found = facts.plane_of(inputs, [*"abcd"])
    assert np.isfinite(found.points).all()
    assert found.share == pytest.approx(1)


def test_numbers_near_the_largest() -> None:
    values = np.array([1e308, -1e308, 1e308, 5e307])
    found = facts.facts_of(column("a", values))
    assert found.mean == pytest.approx(3.75e307)
    assert found.deviation == pytest.approx((values / 1e300).std() * 1e300)
    assert np.isfinite(facts.plane_of(np.stack([values] * 3, 1), [*"abc"]).points).all()


# ---------------------------------------------------------------------------------- the command


def test_the_object_of_a_file(minifw: Minifw) -> None:
    shutil.copy(BIRDS, "b.csv")
    found = good(minifw("data", "b.csv", "--target", "species", "--json")).json
    table = pd.read_csv("b.csv", na_values=["NA"])
    assert found["rows"] == len(table)
    by_name = {each["name"]: each for each in found["columns"]}
    assert [*by_name] == [*table.columns]
    for name in table.columns:
        assert by_name[name]["missing"] == table[name].isna().sum(), name
        assert by_name[name]["different"] == table[name].nunique(), name
    assert {name: each["use"] for name, each in by_name.items()} == {
        "species": "target", "region": "feature", "bill mm": "feature", "depth mm": "feature",
        "mass g": "feature", "male": "feature", "year": "not used",
    }  # fmt: skip
    assert {by_name[name]["kind"] for name in ("bill mm", "depth mm", "mass g")} == {"number"}
    assert (by_name["region"]["kind"], by_name["male"]["kind"]) == ("words", "truth")
    assert by_name["bill mm"]["mean"] == pytest.approx(table["bill mm"].mean())
    assert by_name["region"]["most_frequent"] == table["region"].value_counts().to_dict()
    assert found["classes"] == table["species"].value_counts().sort_index().to_dict()
    assert found["error_of_guessing"] == pytest.approx(100 * (1 - 49 / 147))
    assert found["parts"] == {"train": 118, "test": 29, "validation": 0}
    assert len(found["features"]) == 8
    assert any("'year' is left out" in note for note in found["notes"])


def test_a_config_is_looked_at_as_it_will_be_trained(minifw: Minifw) -> None:
    shutil.copy(BIRDS, "b.csv")
    Path("a.yaml").write_text(CONFIG % (", exclude: [year], validation: 0.25", 3))
    found = good(minifw("data", "a.yaml", "--json")).json
    trained = good(minifw("train", "a.yaml", "--json")).json["data"]
    assert found["features"] == trained["features"]
    assert found["parts"] == {key: trained[key] for key in ("train", "test", "validation")}
    assert {*found["classes"]} == {*trained["class_balance"]}


def test_altered_training_samples_are_told(minifw: Minifw) -> None:
    words = ("simplenet", "--set", "data.share=0.5", "--set", "data.label_noise=0.1")
    found = good(minifw("data", *words, "--json")).json
    assert found["parts"]["train"] == 500
    out = good(minifw("data", *words)).out
    assert "500 for training, 1,000 for testing" in out
    assert "altered: 50 % of the training samples; 10 % of" in out


def test_a_network_that_does_not_fit_is_no_matter(minifw: Minifw) -> None:
    shutil.copy(BIRDS, "b.csv")
    Path("a.yaml").write_text(CONFIG % ("", 7))
    assert minifw("validate", "a.yaml").code == 2
    assert good(minifw("data", "a.yaml", "--json")).json["parts"]["train"] == 118


def test_duplicates_between_the_parts_of_the_first_seed(minifw: Minifw) -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.integers(0, 4, (60, 2)), columns=["a", "b"])
    table["y"] = rng.choice(["u", "v"], 60)
    table.to_csv("d.csv", index=False)
    said = good(minifw("data", "d.csv", "--json", "--set", "data.split=random")).json["duplicates"]
    assert said["repeated"] == table.duplicated(["a", "b"]).sum()
    mixed = table.groupby(["a", "b"])["y"].transform("nunique") > 1
    assert said["contradicting"] == mixed.sum()
    order = np.random.default_rng(np.random.SeedSequence(0, spawn_key=(0,))).permutation(60)
    pairs = [*zip(table["a"], table["b"], strict=True)]
    known = {pairs[row] for row in order[:48]}
    assert said["test_in_training"] == sum(pairs[row] in known for row in order[48:])


GENERATED = {
    "simplenet": (2000, ["x", "y"], "classification"),
    "digits-cnn": (1797, [f"pixel_{i}_{j}" for i in range(8) for j in range(8)], "classification"),
    "diabetes": (442, ["age", "sex", "bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6"],
                 "regression"),
    "grokking": (31 * 31, ["a", "b"], "classification"),
}  # fmt: skip


@pytest.mark.parametrize("name", GENERATED)
def test_data_that_are_no_file(minifw: Minifw, name: str) -> None:
    found = good(minifw("data", name, "--json")).json
    rows, features, task = GENERATED[name]
    assert (found["rows"], found["features"], found["task"]) == (rows, features, task)
    assert found["missing"] is None
    uses = [each["use"] for each in found["columns"]]
    assert uses == ["feature"] * len(features) + ["target"]


def test_text_is_80_columns_wide_and_cannot_move_the_cursor(minifw: Minifw) -> None:
    evil = "a\x1b[2J\u202e and a name that goes on and on until nobody wants to read it any more"
    lines = [
        f'"{evil}",b,kind',
        *(f"{i % 7},{'x' if i % 3 else evil[:20]},{i % 2}" for i in range(50)),
    ]
    Path("e.csv").write_text("\n".join(lines), encoding="utf-8")
    answer = good(minifw("data", "e.csv"))
    assert answer.err == ""
    assert answer.out.isascii() or "…" in answer.out
    assert all(character == "\n" or character.isprintable() for character in answer.out)
    assert max(map(len, answer.out.splitlines())) <= 80
    assert "\\x1b[2J\\u202e" in answer.out


def test_the_columns_of_a_wide_file_are_not_all_listed(minifw: Minifw) -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(30, 60))).assign(kind=[*"ab"] * 15)
    table.to_csv("w.csv", index=False)
    out = good(minifw("data", "w.csv")).out
    assert "and 21 more columns; --json has all" in out
    assert len(good(minifw("data", "w.csv", "--json")).json["columns"]) == 61


# ---------------------------------------------------------------------------------- the picture


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_a_picture_by_its_ending(minifw: Minifw, ending: str) -> None:
    shutil.copy(BIRDS, "b.csv")
    words = ("data", "b.csv", "--target", "species", "--plot", f"p.{ending}")
    assert good(minifw(*words)).out.endswith(f"p.{ending}\n")
    content = Path(f"p.{ending}").read_bytes()
    good(minifw(*words))
    assert Path(f"p.{ending}").read_bytes() == content  # the same for the same data
    if ending == "png":
        with Image.open("p.png") as image:
            assert image.size[0] > 600
    elif ending == "svg":
        text = content.decode()
        for said in ("b.csv: 8 features, 3 classes", "adel", "chin", "gent", "species",
                     "147 samples, 50 % of the variance", "first principal component"):  # fmt: skip
            assert f"<!-- {said}" in text
    else:
        assert content.startswith(b"%PDF")


def test_a_picture_of_numbers_has_a_scale_of_colours(minifw: Minifw) -> None:
    shutil.copy(ROOT / "tests/data/yield.csv", "y.csv")
    good(minifw("data", "y.csv", "--plot", "p.svg", "--set", "data.exclude=[site, copy]"))
    text = Path("p.svg").read_text()
    assert re.findall(r"<!-- (sun|rain|yield) -->", text) == ["sun", "rain", "yield"]
    assert "200 samples -->" in text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("b.csv", "--plot", "p.gif"), "--plot: must end in .png, .svg or .pdf, got 'p.gif'"),
        (("b.csv", "--plot", "no/p.png"), "no/p.png: cannot be written: there is no such directory"),
        (("none.csv",), "none.csv: cannot be read as data: No such file or directory"),
        (("none",), "none: there is no such file or packaged config"),
        (("b.csv", "--task", "clustering"),
         "--task: must be classification or regression, got 'clustering'"),
        (("b.csv", "--target", "specis"), "did you mean 'species'?"),
        (("b.csv", "--target", "region", "--task", "regression"),
         "target 'region' holds words, such as 'isle', and a regression takes numbers"),
        (("b.csv", "--set", "train.eta=1"), "--set train.eta=1: expects a key of data"),
        (("b.csv", "--set", "data.heder=false"), "data.heder: unknown key; did you mean 'header'?"),
        (("simplenet", "--target", "x"), "--set data.target=x: data.target: unknown key"),
    ],
)  # fmt: skip
def test_mistakes_are_one_line(minifw: Minifw, words: tuple[str, ...], said: str) -> None:
    shutil.copy(BIRDS, "b.csv")
    answer = minifw("data", *words)
    assert answer.code in (2, 6)
    assert said in answer.err
    assert answer.err.count("\n") == 1
    assert answer.out == ""


def test_a_file_that_cannot_be_used_as_asked_is_shown_all_the_same(minifw: Minifw) -> None:
    rows = "".join(f"{row % 7},{row % 3},same\n" for row in range(30))
    Path("one.csv").write_text("a,b,c\n" + rows)
    answer = minifw("data", "one.csv")
    assert answer.code == 2
    assert "expects at least two classes, all samples are 'same'" in answer.err
    assert answer.out.startswith("one.csv: 30 rows, 3 columns\n")
    assert "c  " in answer.out
    assert "same 30" in answer.out
    assert minifw("data", "one.csv", "--json").out == ""
