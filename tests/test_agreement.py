"""What `validate` calls right trains, and what it refuses is refused by `train` in the same words."""

from __future__ import annotations

import io
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st

from conftest import Minifw
from minifw.config import yaml12
from minifw.report import plots


def mostly(usual: st.SearchStrategy[Any], odd: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    # Hypothesis likes the ends of a range best.
    return st.integers(0, 99).flatmap(lambda draw: odd if 40 <= draw < 50 else usual)


EXTREME = st.sampled_from(
    [1e-320, 1e-200, 1e-50, 1e-30, 1e30, 1e36, 3.4e38, 3.5e38, 1e150, 1e160, 1e200, 1.7e308]
)
AMOUNT = mostly(st.floats(0.01, 2), EXTREME)
PLACE = AMOUNT | AMOUNT.map(lambda value: -value)


def some(**keys: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """A mapping with any of these keys."""
    return st.fixed_dictionaries({}, optional=keys)


COUNTS = {"train": st.integers(1, 9), "test": st.integers(1, 9), "normalize": st.booleans()}
ALTERED = {
    "share": st.floats(0.05, 1),
    "imbalance": st.floats(1, 5) | st.just({"0": 0.5}),
    "label_noise": st.floats(0, 1),
    "feature_noise": AMOUNT,
}
GENERATED = st.one_of(
    some(center=st.lists(PLACE, min_size=2, max_size=2), radius=AMOUNT).map(
        lambda keys: {"kind": "disk", **keys}
    ),
    some(noise=AMOUNT).map(lambda keys: {"kind": "moons", **keys}),
    some(noise=AMOUNT, turns=AMOUNT).map(lambda keys: {"kind": "spirals", **keys}),
    some(noise=AMOUNT, factor=AMOUNT).map(lambda keys: {"kind": "circles", **keys}),
    some(spread=AMOUNT, features=st.integers(1, 3)).map(
        lambda keys: {"kind": "blobs", "classes": 2, **keys}
    ),
    some(inputs=st.integers(1, 3), hidden=st.integers(1, 2)).map(
        lambda keys: {"kind": "teacher", **keys}
    ),
).flatmap(
    lambda data: some(**COUNTS, **ALTERED).map(lambda keys: {"train": 6, "test": 4, **data, **keys})
)

NUMBER = mostly(st.floats(-9, 9).map(str) | st.integers(-9, 9).map(str), PLACE.map(str))
ODD_CELL = st.sampled_from(
    ["", "NA", "nan", "inf", "-1e400", "1_000", "１", "x", "9" * 5000, "\x1b"]
)
CLASS = st.sampled_from(["0", "1"])
ODD_CLASS = st.sampled_from(
    ["1.0", "01", "-0", "True", "true", "?", "é", "a" * 200, "\u2028", "$x"]
)


@st.composite
def csv_files(draw: st.DrawFn) -> tuple[bytes, dict[str, Any]]:
    odd = draw(st.booleans())
    number = mostly(NUMBER, ODD_CELL) if odd else NUMBER
    label = mostly(CLASS, ODD_CLASS)
    rows = draw(st.lists(st.tuples(number, number, label), min_size=0 if odd else 3, max_size=9))
    if draw(st.booleans()):  # a constant column
        rows = [(rows[0][0], b, y) for _, b, y in rows]
    text = "a,b,y\n" + "".join(",".join(row) + "\n" for row in rows) + "0,1,0\n1,0,1\n"
    columns = draw(
        mostly(st.none(), st.lists(st.sampled_from(["a", "b", "y", "c"]), min_size=1, max_size=3))
    )
    return text.encode(), {"kind": "csv", **({"features": columns} if columns else {})}


@st.composite
def npz_files(draw: st.DrawFn) -> tuple[bytes, dict[str, Any]]:
    rows = draw(st.integers(2, 9))
    kind = draw(
        mostly(st.sampled_from(["f8", "f4", "i2"]), st.sampled_from(["g", "f2", "?", "U3", "O"]))
    )
    label = draw(
        mostly(st.sampled_from(["i8", "U2", "S2", "?"]), st.sampled_from(["f8", "g", "O", "c8"]))
    )
    values = draw(st.lists(NUMBER.map(float), min_size=2 * rows, max_size=2 * rows))
    with np.errstate(all="ignore"):
        x = np.array(values).astype(kind).reshape(rows, 2)
        y = np.arange(rows).astype("i8").__mod__(2).astype(label)
    file = io.BytesIO()
    np.savez(file, x=x, y=y)
    return file.getvalue(), {"kind": "npz"}


FILE = st.tuples(
    csv_files() | npz_files(),
    some(
        train=st.integers(1, 9) | st.floats(0.1, 0.9),
        test=st.integers(1, 4),
        normalize=st.booleans(),
        split=st.just("stratified"),
        **ALTERED,
    ),
).map(lambda pair: (pair[0][0], {**pair[0][1], "path": "points", **pair[1]}))
INIT = st.sampled_from(["pytorch", "zeros"]) | st.builds(
    lambda std: {"kind": "normal", "std": std}, AMOUNT
)


@st.composite
def cases(draw: st.DrawFn) -> tuple[bytes, dict[str, Any]]:
    """A data file, perhaps empty, and a config."""
    content, data = draw(FILE if draw(st.booleans()) else GENERATED.map(lambda data: (b"", data)))
    mode = draw(st.sampled_from(["full-batch", "sgd"]))
    config = {
        "name": "any",
        "seeds": draw(st.integers(1, 3)),
        "seed": draw(st.integers(0, 9)),
        "dtype": draw(st.sampled_from(["float32", "float64"])),
        "data": data,
        "network": [{"linear": 3}, "relu", {"linear": draw(mostly(st.just(2), st.just(3)))}],
        "init": draw(INIT),
        "loss": draw(st.sampled_from(["mse", "cross-entropy"])),
        "optimizer": {
            "kind": "sgd",
            "momentum": draw(mostly(st.sampled_from([0, 0.9]), st.just(0.99999999))),
            "weight_decay": draw(mostly(st.sampled_from([0, 0.01]), EXTREME)),
        },
        "train": {
            "eta": draw(st.floats(0.01, 1) | st.just(1e30) | EXTREME),
            "epochs": draw(st.integers(1, 3)),
            "mode": mode,
            **({"batch_size": draw(st.integers(1, 3))} if mode == "sgd" else {}),
        },
    }
    return content, config


@pytest.mark.parametrize("examples", [50, pytest.param(100, marks=pytest.mark.slow)])
def test_validate_and_train_agree(
    minifw: Minifw, monkeypatch: pytest.MonkeyPatch, examples: int
) -> None:
    monkeypatch.setattr(plots, "write_plots", lambda run: None)  # they take most of the time
    codes = set()

    @given(case=cases())
    @settings(max_examples=examples, deadline=None, derandomize=True, database=None)
    def agree(case: tuple[bytes, dict[str, Any]]) -> None:
        content, config = case
        Path("points").write_bytes(content)
        Path("any.yaml").write_text(yaml12.dump(config))
        note(content.decode(errors="backslashreplace"))
        checked = minifw("validate", "any.yaml")
        trained = minifw("train", "any.yaml", "--quiet")
        codes.add(trained.code)
        if checked.code:
            assert (checked.code, checked.err) == (trained.code, trained.err)
            assert checked.code == 2
            assert all(line.startswith(("any.yaml", "/")) for line in checked.err.splitlines())
            assert not Path("runs").exists()
        else:
            assert trained.code in (0, 3), trained.err
            shutil.rmtree("runs")

    agree()
    assert codes == {0, 2, 3}


@pytest.mark.parametrize(
    ("cells", "normalize"),
    [
        # Only a draw with the last sample in it is too large.
        (["1", "2", "3", "4", "5", "1e39"], "false"),
        # Only a draw without it for training has a deviation that is too small for it.
        (["0", "1e-300", "0", "1e-300", "2e-300", "1"], "true"),
    ],
)
def test_what_only_some_seed_draws_is_told_before_there_is_a_run(
    minifw: Minifw, cells: list[str], normalize: str
) -> None:
    rows = [f"{cell},{i % 2}" for i, cell in enumerate(cells)]
    Path("points").write_text("\n".join(["a,y", *rows, ""]))
    Path("any.yaml").write_text(
        "name: any\nnetwork: [{linear: 2}]\nloss: mse\ntrain: {eta: 0.1, epochs: 1}\n"
        f"data: {{kind: csv, path: points, train: 3, test: 1, normalize: {normalize}}}\n"
    )
    alone = [minifw("validate", "any.yaml", "--set", f"seed={seed}") for seed in range(12)]
    assert {answer.code for answer in alone} == {0, 2}
    first = next(seed for seed, answer in enumerate(alone) if answer.code == 0)
    bad = next(seed for seed, answer in enumerate(alone) if answer.code and seed > first)
    words = ("any.yaml", "--set", f"seed={first}", "--set", f"seeds={bad - first + 1}")
    for command in ("validate", "show", "train"):
        answer = minifw(command, *words)
        assert answer.code == 2
        assert answer.err.startswith(
            f"any.yaml:5:7: data: with seed {bad}, feature 'a' has numbers beyond float32"
        )
    assert not Path("runs").exists()
