"""Sweeps as users see them: cells from a spec, the command, what it writes, and Python."""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minifw as package
from conftest import SMALL, Minifw
from minifw import runs
from minifw.config import axes, loading, yaml12
from minifw.config.axes import Axes
from minifw.config.code import Code
from minifw.config.source import Place
from minifw.errors import ArtefactError, ConfigError, Interrupted, UsageError
from minifw.report import landscapes, plots, sweeps
from minifw.runs.studies import CELLS, StudyResults
from minifw.study import cells as making
from minifw.study import jobs
from minifw.study.sweeps import Sweep

GOOD = """\
name: a
data: moons
network:
  - linear: 5
  - relu
  - linear: 2
loss: mse
train:
  eta: 0.1
  epochs: 4
"""
Errors = Sequence[Sequence[float | None]]
QUICK = (*SMALL, "--set", "train.epochs=4", "--set", "train.eval_every=2", "--seeds", 3, "-q")


def parsed(text: str = GOOD) -> loading.Parsed:
    return loading.Parsed(text, Path("a.yaml"), Code())


def names(*words: str, samples: int | None = None) -> list[str]:
    made = making.make(parsed(), (), axes.of_words(words, samples, 0))
    return [cell.name for cell in made.cells]


def sets(varied: Axes) -> list[dict[str, Any]]:
    return [{key: value.value for key, value in point} for point in varied.points()]


# ---------------------------------------------------------------------------- from spec to cells


def test_a_grid_is_all_combinations_and_the_last_key_varies_first() -> None:
    assert names("train.eta=0.1,1e-2", "loss=mse,cross-entropy") == [
        "train.eta=0.1, loss=mse", "train.eta=0.1, loss=cross-entropy",
        "train.eta=0.01, loss=mse", "train.eta=0.01, loss=cross-entropy",
    ]  # fmt: skip


def test_values_are_yaml_with_commas_and_colons_within_brackets_and_quotes() -> None:
    found = axes.of_words(
        [
            "network=[{linear: 3}, relu, {linear: 2}],[linear: 2]",
            "init:name={kind: normal, std: 0.5}:\"a:b\",pytorch:'c,d'",
        ],
        None, 0,
    )  # fmt: skip
    assert sets(found) == [
        {"network": network, "init": init, "name": name}
        for network in ([{"linear": 3}, "relu", {"linear": 2}], [{"linear": 2}])
        for init, name in (({"kind": "normal", "std": 0.5}, "a:b"), ("pytorch", "c,d"))
    ]


SPEC: dict[str, Any] = {
    "train.eta:train.epochs": [[0.1, 3], [0.2, 4]],
    "data.noise": {"uniform": [0.1, 0.3]},
    "network.0.out_features": {"integers": [3, 6]},
    "optimizer.momentum": [0, 0.5],
    "loss": {"choice": ["mse", "cross-entropy"]},
    "init": {"choice": ["pytorch", {"kind": "normal", "std": 0.1}]},
}
WORDS = [
    "train.eta:train.epochs=0.1:3,0.2:4", "data.noise=uniform(0.1,0.3)",
    "network.0.out_features=integers(3,6)", "optimizer.momentum=0,0.5",
    "loss=choice(mse,cross-entropy)", "init=choice(pytorch,{kind: normal, std: 0.1})",
]  # fmt: skip


def test_the_command_line_a_section_and_python_mean_the_same() -> None:
    section = GOOD + "sweep:\n  samples: 3\n  over:\n" + "".join(
        f"    {key}: {axes.in_one_line(value)}\n" for key, value in SPEC.items()
    )  # fmt: skip
    made = [
        making.make(parsed(), (), axes.of_words(WORDS, 3, 0)),
        making.make(parsed(section)),
        making.make(parsed(), (), axes.of_values(SPEC, 3, 0, "over")),
    ]
    assert len(made[0].cells) == 12
    assert made[0].cells == made[1].cells == made[2].cells
    again = axes.section(made[0].varied)
    assert again.over == SPEC
    assert making.make(parsed(), [], axes.of_section(again, parsed().source)).cells == made[0].cells


def test_a_cell_is_the_config_with_its_overrides() -> None:
    made = making.make(
        parsed(GOOD + "sweep: {over: {train.eta: [1, 2]}}\n"), ["loss=cross-entropy"]
    )
    for cell, config in zip(made.cells, made.configs, strict=True):
        key, value = cell.name.split("=")
        alone = loading.of_text(GOOD, Path("a.yaml"), ["loss=cross-entropy", f"{key}={value}"],
                                Code())[0]  # fmt: skip
        assert config == alone
        assert loading.of_run(cell.config, Path("b.yaml")) == alone
        assert config.sweep is None


def test_the_config_of_a_cell_is_read_back_unchanged() -> None:
    names = ["plain", "2", "true", "a: b", 'quo"te\\n', "über", "\udcff", "tab\t", "1e-3", "#"]
    data = {"kind": "csv", "path": "a.csv", "target": "x"}
    for name in names:
        text = yaml12.dump({**yaml12_values(), "data": {**data, "features": [name]}})
        config = loading.of_text(text, Path("/a.yaml"), ["train.eta=1e-7"], Code())[0]
        assert loading.of_run(loading.compact(config), Path("/b.yaml")) == config


def test_draws_are_within_their_bounds_and_as_distributed() -> None:
    words = ["train.eta=log-uniform(1e-3,1)", "data.noise=uniform(0.1,0.3)",
             "network.0.out_features=integers(3,6)", "loss=choice(mse,hinge)"]  # fmt: skip
    drawn = sets(axes.of_words(words, 2000, 0))
    eta = np.array([each["train.eta"] for each in drawn])
    assert eta.min() >= 1e-3
    assert eta.max() <= 1
    assert np.mean(eta < 10**-1.5) == pytest.approx(0.5, abs=0.04)  # the middle of the logarithms
    noise = np.array([each["data.noise"] for each in drawn])
    assert noise.min() >= 0.1
    assert noise.max() <= 0.3
    assert np.mean(noise < 0.15) == pytest.approx(0.25, abs=0.04)
    sizes = [each["network.0.out_features"] for each in drawn]
    assert {size: sizes.count(size) // 100 for size in sizes} == dict.fromkeys((3, 4, 5, 6), 5) or (
        set(sizes) == {3, 4, 5, 6} and min(map(sizes.count, sizes)) > 420
    )
    assert {each["loss"] for each in drawn} == {"mse", "hinge"}
    assert abs(np.corrcoef(np.log(eta), noise)[0, 1]) < 0.08, "keys are drawn apart from each other"


def test_more_samples_and_more_keys_leave_draws_as_they_are() -> None:
    few = sets(axes.of_words(["train.eta=log-uniform(1e-3,1)"], 3, 0))
    many = sets(axes.of_words(["loss=choice(mse,hinge)", "train.eta=log-uniform(1e-3,1)"], 5, 0))
    assert [each["train.eta"] for each in many][:3] == [each["train.eta"] for each in few]
    other = sets(axes.of_words(["train.eta=log-uniform(1e-3,1)"], 3, 1))
    assert other != few


def test_cells_that_are_the_same_are_left_out_and_said() -> None:
    made = making.make(parsed(), (), axes.of_words(["train.eta=0.1,0.10,0.2", "loss=mse"], None, 0))
    assert [cell.set["train.eta"] for cell in made.cells] == [0.1, 0.2]
    assert made.notes == [
        "1 of 3 cells are the same as others and are left out: (train.eta=0.1, loss=mse)"
    ]


def test_a_text_is_parsed_once_for_all_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    text, usual = parsed(), yaml12.parse
    times: list[int] = []

    def parse(*args: Any) -> Any:
        times.append(1)
        return usual(*args)

    monkeypatch.setattr(yaml12, "parse", parse)
    varied = axes.of_values({"train.eta": {"uniform": [0.1, 0.2]}}, 100, 0, "over")
    assert len(making.make(text, (), varied).cells) == 100
    assert times == []


FAULTS: list[tuple[Sequence[str], list[str]]] = [
    (["--over", "train.eta=-1,0.1", "--over", "optimizer.momentum=0,2"],
     ["--over train.eta=-1: train.eta: must be above 0.0, got -1",
      "--over optimizer.momentum=2: optimizer.momentum: must be below 1.0, got 2"]),
    (["--over", "train.epcohs=1,2"],
     ["--over train.epcohs=1: train.epcohs: unknown key; did you mean 'epochs'?",
      "--over train.epcohs=2: train.epcohs: unknown key; did you mean 'epochs'?"]),
    (["--over", "network.7.out_features=3"], ["--over network.7.out_features=3: there is nothing at network.7"]),
    (["--over", "train.eta"], ["--over train.eta: expects KEY=VALUES, as in train.eta=0.01,0.1"]),
    (["--over", "train.eta="], ["--over train.eta=: expects KEY=VALUES, as in train.eta=0.01,0.1"]),
    (["--over", "train.eta=1,2", "--over", "train.eta=3"], ["--over train.eta: train.eta is varied twice"]),
    (["--over", "seed=1,2"], ["--over seed: seed: all cells have the same seeds; --seeds says how many"]),
    (["--over", "sweep.samples=1,2"], ["--over sweep.samples: a cell has no section sweep"]),
    (["--over", "train.eta:train.epochs=1,2:3"],
     ["--over train.eta:train.epochs=1,2:3: '1' must be 2 values with : between them, as in train.eta:train.epochs=1:2"]),
    (["--over", "train.eta=log-uniform(1,2)"], ["--samples: this key is missing; it says how many cells to draw"]),
    (["--over", "train.eta=1,2", "--samples", "3"],
     ["--samples: nothing is drawn; a draw is train.eta=log-uniform(1e-3,1)"]),
    (["--over", "train.eta=log-unifrom(1,2)"],
     ["--over train.eta=log-unifrom(1,2): unknown draw 'log-unifrom'; did you mean 'log-uniform'?"]),
    (["--over", "train.eta=log-uniform(0,2)", "--over", "train.epochs=integers(1.5,2)", "--samples", "2"],
     ["--over train.eta=log-uniform(0,2): log-uniform needs numbers above 0, got 0",
      "--over train.epochs=integers(1.5,2): integers needs two whole numbers, low and high, got 1.5, 2"]),
    (["--over", "train.eta=uniform(3,2)", "--samples", "2"],
     ["--over train.eta=uniform(3,2): uniform needs two numbers, low and high, got 3, 2"]),
    (["--over", "train.eta=*a"], ["--over train.eta=*a: aliases (*name) are not allowed"]),
    (["--over", "train.eta=.inf"], ["--over train.eta=.inf: train.eta: must be a finite number, got inf"]),
    ([], ["a.yaml: nothing varies: give --over KEY=VALUES, as in --over train.eta=0.01,0.1 (in Python: over), or a section `sweep` in the config"]),
    (["--samples", "3"], ["--samples: is for --over with a draw; a config has sweep.samples"]),
    (["--over", "train.eta=1,2", "--seeds", "0"], ["--seeds: must be at least 1, got 0"]),
    (["--over", "data.train=integers(1,9)", "--over", "data.noise=uniform(0,1)", "--samples", "10001"],
     ["--over: makes 10,001 cells; at most 10,000 are allowed"]),
    (["--over", "train.batch_size=5,2000", "--set", "train.mode=sgd"],
     ["--over train.batch_size=2000: train.batch_size: must be at most data.train = 1000 (line 2), got 2000"]),
]  # fmt: skip


@pytest.mark.parametrize(("words", "expected"), FAULTS, ids=lambda each: " ".join(each)[:50])
def test_faults_are_all_told_and_nothing_is_written(
    minifw: Minifw, tmp_path: Path, words: Sequence[str], expected: list[str]
) -> None:
    (tmp_path / "a.yaml").write_text(GOOD)
    answer = minifw("sweep", "a.yaml", *words)
    assert (answer.code, answer.out, answer.err.splitlines()) == (2, "", expected)
    assert [*tmp_path.iterdir()] == [tmp_path / "a.yaml"]


def test_the_faults_of_all_data_files_are_told(minifw: Minifw, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(GOOD.replace("data: moons", "data: {kind: csv, path: a.csv}"))
    answer = minifw("sweep", "a.yaml", "--over", "data.path=b.csv,c.csv")
    assert answer.code == 2
    assert "b.csv" in answer.err.splitlines()[0]
    assert "c.csv" in answer.err.splitlines()[1]
    assert len(answer.err.splitlines()) == 2
    assert not (tmp_path / "runs").exists()


def test_no_more_than_fifty_faults_are_shown(minifw: Minifw, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(GOOD)
    etas = ",".join(str(-k) for k in range(1, 71))
    lines = minifw("sweep", "a.yaml", "--over", f"train.eta={etas}").err.splitlines()
    assert len(lines) == 51
    assert lines[-1] == "sweep: and 20 more faults"


SECTION_FAULTS = {
    "over: {train.eta: [0.1, -1]}": "a.yaml:11:33: train.eta: must be above 0.0, got -1",
    "over: {train.eta: 3}": "a.yaml:11:27: sweep.over.train.eta: must be a list of values or one of log-uniform, uniform, integers, choice, as {log-uniform: [1e-3, 1]}, got 3",
    "over: {train.eta: []}": "a.yaml:11:27: sweep.over.train.eta: must be a list of values or one of log-uniform, uniform, integers, choice, as {log-uniform: [1e-3, 1]}, got a list",
    "over: {train.eta: {unifrom: [1, 2]}}": "a.yaml:11:28: sweep.over.train.eta.unifrom: unknown draw; did you mean 'uniform'?",
    "over: {a:b: [[1, 2], [3]]}": "a.yaml:11:30: sweep.over.a:b.1: must be a list of 2 values, one a key, got a list",
    "over: {train.eta: [.nan]}": "a.yaml:11:28: sweep.over.train.eta.0: must hold finite numbers only",
    "over: {}": "a.yaml:11:15: sweep.over: must have at least 1 item(s), got 0",
    "ovr: {train.eta: [1]}": "a.yaml:11:9: sweep.ovr: unknown key; did you mean 'over'?",
    "over: {seeds: [1, 2]}": "a.yaml:11:23: sweep.over.seeds: seeds: all cells have the same seeds; --seeds says how many",
}  # fmt: skip


@pytest.mark.parametrize(("section", "expected"), SECTION_FAULTS.items(), ids=[*SECTION_FAULTS])
def test_faults_of_a_section_have_their_places(
    minifw: Minifw, tmp_path: Path, section: str, expected: str
) -> None:
    (tmp_path / "a.yaml").write_text(f"{GOOD}sweep: {{{section}}}\n")
    for command in ("validate", "sweep"):
        answer = minifw(command, "a.yaml")
        assert answer.code == 2
        assert answer.err.splitlines()[0] == expected
    assert [*tmp_path.iterdir()] == [tmp_path / "a.yaml"]


def test_a_config_with_a_section_is_swept_shown_and_trained_without_it(
    minifw: Minifw, tmp_path: Path
) -> None:
    (tmp_path / "a.yaml").write_text(GOOD + "sweep:\n  over:\n    data.noise: [0.1, 0.2]\n")
    for command in ("train", "compare"):
        answer = minifw(command, "a.yaml", *SMALL)
        assert (answer.code, answer.err) == (
            2,
            "a.yaml: has a section `sweep`: minifw sweep a.yaml trains its cells, and "
            "--set sweep=null trains the config without it\n",
        )
    assert not (tmp_path / "runs").exists()
    assert minifw("validate", "a.yaml").out == "a.yaml: ok\n"
    assert re.search(r"sweep.over.data.noise +\[0.1, 0.2\] +13:17", minifw("show", "a.yaml").out)
    assert minifw("train", "a.yaml", *SMALL, "--set", "sweep=null").code == 0
    found = minifw("sweep", "a.yaml", *QUICK, "--json").json
    assert [cell["set"] for cell in found["cells"]] == [{"data.noise": 0.1}, {"data.noise": 0.2}]
    again = minifw("sweep", f"{found['run_dir']}/config.yaml", "--json").json
    assert again["cells"] == found["cells"], "a run's config.yaml does the same sweep again"


# ---------------------------------------------------------------------------------- the command

CELLS_OF = {
    "the optimiser, one diverges": (
        ["--over", "train.eta=0.05,0.3,1e30", "--over", "optimizer.momentum=0,0.9"],
        ["--set", "dtype=float64"],
    ),
    "data and weights": (
        ["--over", "data.noise=0.1,0.3", "--over", "init.std=0.1,0.5"],
        ["--set", "init.kind=normal"],
    ),
    "width and eta": (["--over", "network.0.out_features=3,6", "--over", "train.eta=0.1,0.2"], []),
    "all at once": (
        ["--over", "network:train.epochs=[{linear: 2}]:3,[{linear: 3}, tanh, {linear: 2}]:5",
         "--over", "dtype=float32,float64"],
        [],
    ),
    "AdamW with a schedule": (
        ["--over", "train.eta=0.01,0.1", "--over", "optimizer.beta1=0.5,0.9",
         "--over", "optimizer.clip_norm:optimizer.weight_decay=0.1:0.1"],
        ["--set", "optimizer=adamw", "--set", "train.schedule=one-cycle"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("over", "fixed", "compiled"),
    [
        pytest.param(
            *words, compiled, id=f"{name}, {'compiled' if compiled == 'true' else 'plain'}",
            # Each shape is compiled for as many lanes as there are: this takes time.
            marks=[pytest.mark.slow] if compiled == "true" and number > 1 else [],
        )
        for number, (name, words) in enumerate(CELLS_OF.items())
        for compiled in ("true", "false")
    ],
)  # fmt: skip
def test_each_cell_has_the_bits_of_its_own_run(
    minifw: Minifw,
    monkeypatch: pytest.MonkeyPatch,
    over: list[str],
    fixed: list[str],
    compiled: str,
) -> None:
    monkeypatch.setattr(plots, "write_plots", lambda run: None)  # it takes the most time
    both = ["simplenet-sgd", "--set", "data.kind=moons", "--set", f"train.compile={compiled}",
            *QUICK, *fixed, "--json"]  # fmt: skip
    found = minifw("sweep", *both, *over).json
    assert len(found["cells"]) in (4, 6)
    loss_of = runs.load(Path(found["run_dir"])).read_json(CELLS)["cells"]
    for cell, whole in zip(found["cells"], loss_of, strict=True):
        own = [w for key, value in cell["set"].items()
               for w in ("--set", f"{key}={axes.in_one_line(value)}")]  # fmt: skip
        answer = minifw("train", *both, *own)
        alone = answer.json
        assert answer.code == (3 if cell["diverged"] == 3 else 0)
        assert cell["test_error"] == alone["test_error"]
        assert cell["train_error"] == alone["train_error"]
        assert cell["seeds"] == alone["seeds"]
        for name in ("train_loss", "diverged_epoch", "diverged_layer", "compiled"):
            assert whole[name] == alone[name]
        assert whole["compiled"] == (compiled == "true")


def test_the_json_is_the_contract(minifw: Minifw) -> None:
    found = minifw("sweep", "simplenet", *QUICK, "--over", "train.epochs=2,4", "--json").json
    assert set(found) >= {"run_dir", "cells", "best"}
    for cell in found["cells"]:
        errors = cell["test_error"]
        assert cell["seeds"] == [0, 1, 2]
        assert cell["diverged"] == 0
        assert cell["median"] == np.median(errors)
        assert cell["mean"] == pytest.approx(np.mean(errors))
        low, high = cell["interval"]
        assert min(errors) <= low <= cell["median"] <= high <= max(errors)
        assert cell["validation"] == np.median(cell["validation_error"])
    assert sorted(cell["rank"] for cell in found["cells"]) == [1, 2]
    best = found["best"]
    assert (
        best["set"]
        == min(
            found["cells"], key=lambda cell: (cell["validation"], np.mean(cell["validation_error"]))
        )["set"]
    )
    assert best["of"] == 2


def test_without_options_a_cell_has_twenty_seeds_or_the_config_s(minifw: Minifw) -> None:
    few = [*SMALL, "--set", "train.epochs=1", "--over", "train.eta=0.1", "--json"]
    usual = minifw("sweep", "simplenet", *few).json
    assert len(usual["cells"][0]["seeds"]) == 20
    best = Path(usual["run_dir"]) / "best.yaml"
    assert loading.load(best).seeds == 20, "it trains all of them again"
    several = minifw("sweep", "simplenet", *few, "--set", "seeds=2", "--set", "seed=5").json
    assert several["cells"][0]["seeds"] == [5, 6]


def test_a_cell_that_diverges_is_named_and_stops_nobody(minifw: Minifw) -> None:
    answer = minifw("sweep", "simplenet", *QUICK, "--over", "train.eta=1e30,0.1")
    assert answer.code == 0
    assert answer.err == (
        "minifw: train.eta=1.0e+30: diverged with all 3 seeds, the first in epoch 2\n"
    )
    assert "In 1 cell seeds diverged" in " ".join(answer.out.split())
    run = runs.load(runs.find(Path("runs"), "simplenet"))
    rows = [*csv.DictReader(run.read_text("tables/cells.csv").splitlines())]
    assert [(row["train.eta"], row["rank"], row["diverged"]) for row in rows] == [
        ("0.1", "1", "0"), ("1.0e+30", "", "3"),
    ]  # fmt: skip


def test_if_all_cells_diverge_the_exit_code_is_3(minifw: Minifw) -> None:
    answer = minifw("sweep", "simplenet", *QUICK, "--over", "train.epochs=3,4", "--set",
                    "train.eta=1e30", "--json")  # fmt: skip
    assert answer.code == 3
    assert re.search(
        r": all \d+ networks diverged; a smaller train.eta may help$", answer.err.strip()
    )
    assert answer.json["best"] is None
    assert all(cell["median"] is None for cell in answer.json["cells"])
    assert "diverged" in minifw("runs", "ls").out


def test_best_yaml_trains_and_gives_the_same_numbers(minifw: Minifw) -> None:
    found = minifw("sweep", "simplenet", *QUICK, "--over", "data.radius=0.2,0.3", "--json").json
    best = Path(found["run_dir"]) / "best.yaml"
    assert best.read_text().startswith("# The best of 2 cells is ")
    alone = minifw("train", best, "--json").json
    cell = next(cell for cell in found["cells"] if cell["rank"] == 1)
    assert alone["test_error"] == cell["test_error"]
    assert alone["seeds"] == cell["seeds"]


def test_without_validation_samples_no_cell_is_the_best(minifw: Minifw, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = [f"{a:.3f},{b:.3f},{int(a > b)}" for a, b in rng.random((60, 2))]
    (tmp_path / "mine.csv").write_text("\n".join(["x,y,class", *rows]) + "\n")
    text = GOOD.replace("data: moons", "data: {kind: csv, path: mine.csv, train: 40}")
    (tmp_path / "a.yaml").write_text(text)
    words = ("sweep", "a.yaml", "--over", "train.epochs=2,3", "--seeds", 2, "-q")
    answer = minifw(*words)
    assert answer.code == 0
    assert "--set data.validation=0.2 takes them from the training samples" in " ".join(
        answer.out.split()
    )
    assert answer.err.splitlines()[0] == (  # before it has begun
        "minifw: there are no samples for validation, so no cell will be called the best; "
        "--set data.validation=0.2 keeps some of the training samples"
    )
    run = runs.load(runs.find(Path("runs"), "-a-"))
    assert "best.yaml" not in run.known
    assert {each["rank"] for each in run.read_json(CELLS)["outcome"]["cells"]} == {None}
    kept = minifw(*words, "--set", "data.validation=0.2", "--json")
    assert kept.json["best"]["validation"] is not None
    assert "no samples for validation" not in kept.err


def test_a_cell_has_the_same_number_in_a_part(minifw: Minifw) -> None:
    words = ("sweep", "simplenet", *QUICK, "--over", "train.eta=0.1,0.2,0.3")
    whole = Path(minifw(*words, "--json").json["run_dir"])
    names = [cell["name"] for cell in json.loads((whole / "cells.json").read_text())["cells"]]
    for k in (1, 2, 3):
        answer = minifw(*words, "--part", f"{k}/3")
        assert answer.out.startswith("1 cell, over 3 seeds. In percent: ")
        part = Path(answer.out.splitlines()[-1])
        (row,) = csv.DictReader((part / "tables/cells.csv").read_text().splitlines())
        assert row["cell"] == str(k - 1)
        assert names[k - 1] == f"train.eta={row['train.eta']}"
        numbers = {line.split(",")[1] for line in (part / "metrics.csv").read_text().split()[1:]}
        assert numbers == {row["cell"]}
        found = package.load(part)
        assert isinstance(found, package.Sweep)
        assert [(cell.number, cell.name) for cell in found.cells] == [(k - 1, names[k - 1])]


def test_the_data_file_of_no_cell_may_change(minifw: Minifw, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = [f"{a:.3f},{b:.3f},{int(a > b)}" for a, b in rng.random((60, 2))]
    for name in ("mine", "other"):
        (tmp_path / f"{name}.csv").write_text("\n".join(["x,y,class", *rows]) + "\n")
    text = GOOD.replace("data: moons", "data: {kind: csv, path: mine.csv, train: 40}")
    (tmp_path / "a.yaml").write_text(text)
    words = ("sweep", "a.yaml", "--over", "data.path=mine.csv,other.csv", "--set", "train.epochs=1",
             "--seeds", 2, "--json", "-q")  # fmt: skip
    first = minifw(*words, "--part", "1/2").json["run_dir"]
    (tmp_path / "other.csv").write_text("\n".join(["x,y,class", *rows[::-1]]) + "\n")
    second = minifw(*words, "--part", "2/2").json["run_dir"]
    answer = minifw("runs", "merge", first, second)
    assert (answer.code, len(answer.err.splitlines())) == (2, 1)
    assert "another data file" in answer.err
    runs.load(Path(first)).commit(status="interrupted")
    answer = minifw("resume", first)
    assert (answer.code, len(answer.err.splitlines())) == (4, 1)
    assert "data.path=other.csv: its data file is not the one" in answer.err


def test_an_interrupted_sweep_is_resumed_with_the_same_results(
    minifw: Minifw, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("sweep", "simplenet", *QUICK, "--over", "network.0.out_features=3,4,5", "--json")
    whole = minifw(*words).json
    done: list[str] = []
    usual = jobs.run

    def run(job: Any, *more: Any) -> Any:
        if len(done) == 2:
            raise Interrupted(2)
        done.append(job.id)
        return usual(job, *more)

    monkeypatch.setattr(jobs, "run", run)
    broken = minifw(*words)
    assert broken.code == 130
    assert "to continue: minifw resume runs/" in broken.err
    monkeypatch.setattr(jobs, "run", usual)
    name = broken.err.split("minifw resume ")[1].split()[0]
    resumed = minifw("resume", name, "--json").json
    for each in (whole, resumed):
        del each["run_dir"], each["seconds"]
    assert resumed == whole
    again = minifw("resume", name)
    assert (again.code, again.err) == (2, f"{name}: this run is complete; nothing is left to do\n")


def test_other_commands_know_the_run_of_a_sweep(minifw: Minifw, tmp_path: Path) -> None:
    words = ("sweep", "simplenet", *QUICK, "--over", "train.epochs=2,4", "--json")
    first, second = (minifw(*words).json["run_dir"] for _ in range(2))
    assert "complete       sweep" in minifw("runs", "ls").out
    assert minifw("runs", "ls", "--json").json["runs"][0]["kind"] == "sweep"
    shown = minifw("runs", "show", first).out
    assert " cell  epochs  rank  n" in shown
    assert minifw("runs", "show", first, "--json").json["results"]["kind"] == "sweep"
    assert minifw("runs", "verify", first).code == 0
    differ = minifw("runs", "diff", first, second, "--json").json
    assert differ["config"] == {}
    left, right = differ["results"]["train.epochs=2: median test error, %"]
    assert left == right
    (tmp_path / "new.csv").write_text("x,y\n0.5,0.5\n")
    answer = minifw("predict", first, "new.csv")
    assert (answer.code, answer.err) == (
        2,
        f"{first}: a run of minifw sweep keeps no networks; minifw train {first}/best.yaml trains some\n",
    )
    assert minifw("runs", "rm", "--yes", second).code == 0


# ------------------------------------------------------------------------------------ selection


def results(
    validation: Sequence[Sequence[float | None]],
    test: Sequence[Sequence[float | None]],
    cells: Sequence[Mapping[str, Any]] | None = None,
) -> StudyResults:
    """Return results of a sweep over train.eta, or over the keys of `cells`."""
    sets = cells or [{"train.eta": 0.1 * (k + 1)} for k in range(len(test))]
    return StudyResults.model_validate(
        {
            "kind": "sweep", "name": "a", "about": "'a' (moons)", "dtype": "float32",
            "cells": [
                {
                    "name": making.name(tuple((k, axes.Value(v, Place(""))) for k, v in each.items())),
                    "set": dict(each), "seeds": [*range(len(t))], "epochs": 4, "test_error": [*t],
                    "validation_error": [*v], "train_error": [*t], "train_loss": [*t],
                    "diverged_epoch": [None if e is not None else 1 for e in t],
                    "diverged_layer": [None] * len(t), "compiled": False,
                }
                for each, v, t in zip(sets, validation, test, strict=True)
            ],
        }
    )  # fmt: skip


def outcome(found: StudyResults, keys: Sequence[Sequence[str]] = (("train.eta",),)) -> Any:
    """Return what a sweep computes from these results."""
    from minifw.study import sweeps as studies

    over = [":".join(each) for each in keys]
    first = found.cells[0]
    varied = axes.of_values(
        {name: [[cell.set[k] for k in each] if len(each) > 1 else cell.set[each[0]] for cell in
                found.cells] for name, each in zip(over, keys, strict=True)} if len(keys) == 1 else
        {name: [first.set[each[0]]] for name, each in zip(over, keys, strict=True)}, None, 0, "over")  # fmt: skip
    made = making.make(parsed(), [f"seeds={len(first.seeds)}"], varied)
    plan, _ = studies.plan(made, 1)
    options = {"axes": [list(each) for each in keys]}
    study = plan.study.model_copy(update={"options": options})
    every = [plan.configs[0]] * len(found.cells)
    cells = [plan.study.cells[0]] * len(found.cells)
    study = study.model_copy(update={"cells": cells})
    from dataclasses import replace

    return Sweep().outcome(replace(plan, study=study, configs=tuple(every)), found)


def test_selection_does_not_look_at_the_test_set() -> None:
    validation = [[5.0, 6.0], [3.0, 4.0], [7.0, 1.0]]
    tests: tuple[Errors, ...] = (
        [[1.0, 1.0], [50.0, 60.0], [2.0, 3.0]],
        [[9.0, 8.0], [0.0, 0.0], [1.0, None]],
    )
    found = [outcome(results(validation, test)) for test in tests]
    for each in found:
        assert each["best"]["cell"] == 1
        assert [cell["rank"] for cell in each["cells"]] == [3, 1, 2]
    assert found[0]["best"]["median"] == 55


def test_a_seed_that_diverged_counts_as_a_loss_in_the_rank() -> None:
    found = outcome(
        results([[5.0, 6.0, 7.0], [1.0, None, None]], [[5.0, 6.0, 7.0], [1.0, None, None]])
    )
    assert [cell["rank"] for cell in found["cells"]] == [1, 2]
    assert found["cells"][1]["diverged"] == 2


def test_without_validation_samples_in_each_cell_there_is_no_rank() -> None:
    found = results([[1.0, 1.0], [9.0, 9.0]], [[1.0, 1.0], [9.0, 9.0]])
    found.cells[1].validation_error = None
    assert [cell["rank"] for cell in outcome(found)["cells"]] == [None, None]


def test_a_cell_without_any_network_has_no_rank() -> None:
    found = outcome(results([[None, None], [9.0, 9.0]], [[None, None], [9.0, 9.0]]))
    assert [cell["rank"] for cell in found["cells"]] == [None, 1]


# ------------------------------------------------------------------------------- tables, figures


def drawn(found: StudyResults, keys: Sequence[Sequence[str]]) -> tuple[Any, list[str]]:
    """Return the figure of these results, and all texts in it."""
    made = found.model_copy(update={"outcome": outcome(found, keys)})
    with plots.defaults():
        figure = landscapes.cells(sweeps.Report.of(made))
        assert plots.svg(figure)
        texts = [text.get_text() for axis in figure.axes for text in axis.texts]
        titles = [figure.get_suptitle(), *(axis.get_title() for axis in figure.axes)]
    return figure, texts + titles


def grid(**keys: Sequence[Any]) -> list[dict[str, Any]]:
    names = [name.replace("__", ".") for name in keys]
    varied = axes.of_values(
        dict(zip(names, map(list, keys.values()), strict=True)), None, 0, "over"
    )
    return sets(varied)


def test_a_heat_map_has_the_median_of_each_cell() -> None:
    cells = grid(train__eta=[0.1, 0.2, 0.3], optimizer__momentum=[0, 0.9])
    errors: list[list[float | None]] = [[k + 1.0, k + 1.5, k + 2.0] for k in range(6)]
    errors[4] = [None, None, None]
    errors[5] = [None, 7.0, 7.5]
    _, texts = drawn(results(errors, errors, cells), [["train.eta"], ["optimizer.momentum"]])
    assert texts[:6] == ["★ 1.50", "2.50", "3.50", "4.50", "×", "7.25\n1/3 div."]
    assert "seeds diverged in 1 of 6 cells" in texts[6]
    assert "× all seeds diverged: 1 cell" in texts[6]


def test_a_line_is_drawn_through_the_medians_on_a_logarithmic_scale() -> None:
    cells = grid(train__eta=[0.001, 0.01, 0.1, 1])
    errors = [[4.0, 5.0, 6.0], [2.0, 3.0, 4.0], [3.0, 4.0, 5.0], [5.0, 6.0, 7.0]]
    figure, texts = drawn(results(errors, errors, cells), [["train.eta"]])
    (axis,) = figure.axes
    assert axis.get_xscale() == "log"
    assert "median and its 95 % interval of 3 seeds; dots: seeds" in texts[-1]
    dots = [line for line in axis.lines if line.get_linewidth() and line.get_markersize() == 2.2]
    assert [[*np.asarray(line.get_ydata())] for line in dots] == errors
    assert axis.get_ylim()[1] > 7
    assert axis.lines[0].get_xydata().tolist() == [[0.001, 5], [0.01, 3], [0.1, 4], [1, 6]]
    star = axis.lines[-1]
    assert (star.get_marker(), star.get_xydata().tolist()) == ("*", [[0.01, 3]])


def test_a_linear_range_is_drawn_on_a_linear_scale() -> None:
    errors = [[4.0, 5.0, 6.0]] * 5
    for etas, scale in (([0.1, 1, 2, 3, 4], "linear"), ([0.1, 0.3, 1, 3, 10], "log")):
        figure, _ = drawn(results(errors, errors, grid(train__eta=etas)), [["train.eta"]])
        assert figure.axes[0].get_xscale() == scale


@pytest.mark.parametrize("axis_count", [1, 2, 3, 4])
def test_figures_can_be_drawn_of_anything(axis_count: int) -> None:
    """Long names, categories, many keys, all diverged, one seed."""
    keys = ["network", "train.eta", "name", "optimizer.momentum"][:axis_count]
    options: dict[str, list[Any]] = {
        "network": [[{"linear": k}, "tanh", {"linear": 2}] for k in (3, 4)],
        "train.eta": [0.1, 0.2], "name": ["a" * 60, "b"], "optimizer.momentum": [0, 0.5],
    }  # fmt: skip
    varied = axes.of_values({key: options[key] for key in keys}, None, 0, "over")
    for error in (4.0, 0.0, None):
        errors = [[error]] * varied.count
        found = results(errors, errors, sets(varied))
        _, texts = drawn(found, [[key] for key in keys])
        assert any("nothing to draw" in text for text in texts) == (error is None)


def test_columns_have_short_names_that_differ() -> None:
    assert sweeps.short_names(["train.eta", "network.0.out_features"]) == ["eta", "out_features"]
    assert sweeps.short_names(["data.kind", "loss.kind", "loss.margin"]) == [
        "data.kind", "loss.kind", "margin",
    ]  # fmt: skip
    assert sweeps.short_names(["network.0", "network.2"]) == ["network.0", "network.2"]
    assert sweeps.short_names(["network.0.linear", "network.2.linear"]) == ["0.linear", "2.linear"]


def test_a_table_for_a_terminal_says_how_many_rows_are_missing(minifw: Minifw) -> None:
    answer = minifw("sweep", "simplenet", *SMALL, "--set", "train.epochs=1", "--seeds", 1, "-q",
                    "--over", "data.radius=uniform(0.1,0.3)", "--samples", 53)  # fmt: skip
    assert "and 3 more, in tables/cells.md" in answer.out
    run = runs.load(runs.find(Path("runs"), "simplenet"))
    assert len(run.read_text("tables/cells.csv").splitlines()) == 54
    assert len(json.loads(run.read_text("tables/cells.json"))["rows"]) == 53


# -------------------------------------------------------------------------------------- Python

QUICKLY = {"data.train": 40, "data.test": 30, "train.epochs": 4, "train.eval_every": 2}


def test_python_does_the_same_as_the_command(minifw: Minifw, tmp_path: Path) -> None:
    found = minifw("sweep", "simplenet", *QUICK, "--over", "train.epochs=2,4", "--json").json
    made = package.sweep(
        "simplenet", {"train.epochs": [2, 4]}, seeds=3,
        overrides={**QUICKLY, "train.batch_size": 15}, runs_dir=tmp_path,
    )  # fmt: skip
    assert [cell.test_error.tolist() for cell in made.cells] == [
        cell["test_error"] for cell in found["cells"]
    ]
    assert made.best is not None
    assert made.best.set == found["best"]["set"]
    assert package.train(made.best_config, runs_dir=tmp_path).test_error.tolist() == (
        made.best.test_error.tolist()
    )
    again = package.Sweep.load(made.path)
    assert repr(again) == f"<Sweep {made.path}: complete, 2 cells>"
    assert again.table().csv() == (made.path / "tables/cells.csv").read_text()
    loaded: object = package.load(made.path.name[-6:], runs_dir=tmp_path)
    assert isinstance(loaded, package.Sweep)


def test_the_frame_is_tidy_and_exact(tmp_path: Path) -> None:
    pytest.importorskip("pandas")
    made = package.sweep(
        {**yaml12_values(), "sweep": {"over": {"data.noise": [0.1, 0.2]}}}, seeds=2,
        overrides=QUICKLY, runs_dir=tmp_path,
    )  # fmt: skip
    frame = made.frame()
    assert list(frame.columns) == ["run", "cell", "seed", "epoch", "metric", "value"]
    last = frame[frame.epoch == 4]
    for cell in made.cells:
        for metric in ("test_error", "train_loss", "validation_error"):
            mine = last[(last.cell == cell.number) & (last.metric == metric)]
            expected = getattr(cell, metric)
            assert mine.seed.tolist() == [0, 1]
            assert mine.value.tolist() == expected.tolist()


def yaml12_values() -> dict[str, Any]:
    found: dict[str, Any] = yaml12.parse(GOOD, parsed().source)
    return found


def test_train_says_how_a_config_with_a_section_is_trained(tmp_path: Path) -> None:
    config = {**yaml12_values(), "sweep": {"over": {"data.noise": [0.1, 0.2]}}}
    with pytest.raises(UsageError) as caught:
        package.train(config, runs_dir=tmp_path)
    assert str(caught.value) == (
        "config: has a section `sweep`: minifw.sweep trains its cells, and "
        "overrides={'sweep': None} trains the config without it"
    )
    assert package.train(config, overrides={**QUICKLY, "sweep": None}, runs_dir=tmp_path)


def test_a_notebook_shows_table_and_figure(tmp_path: Path) -> None:
    made = package.sweep("simplenet", {"train.epochs": [2, 4]}, seeds=2, overrides=QUICKLY,
                         runs_dir=tmp_path)  # fmt: skip
    html = made._repr_html_()
    assert html.count("<tr>") == 3
    assert "<th>train.epochs</th>" in html
    figure: Any = made.figure()
    assert figure._repr_png_().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"over": {}}, "over: must be a mapping of dotted keys, as {'train.eta': [0.01, 0.1]}, got {}"),
        ({"over": {"train.eta": [0.1, -1]}}, "over train.eta=-1: train.eta: must be above 0.0, got -1"),
        ({"over": {"train.eta": 1}}, "over: train.eta: must be a list of values or one of log-uniform, uniform, integers, choice, as {log-uniform: [1e-3, 1]}, got 1"),
        ({"over": {"train.eta": [print]}}, "over: train.eta.0: must be a value that YAML has, got builtin_function_or_method"),
        ({"over": {"train.eta": [1]}, "seeds": 0}, "seeds: must be a whole number of at least 1, got 0"),
        ({"samples": 3}, "samples: is for `over` with a draw; a config has sweep.samples"),
        ({"config": 3}, "sweep: config must be the name of a packaged config, the path of a YAML file or a mapping, got int"),
    ],
    ids=lambda each: str(each)[:30],
)  # fmt: skip
def test_python_s_faults_are_one_line(tmp_path: Path, given: dict[str, Any], expected: str) -> None:
    with pytest.raises((UsageError, ConfigError)) as caught:
        package.sweep(**{"config": "simplenet", "runs_dir": tmp_path, **given})
    assert str(caught.value) == expected
    assert not [*tmp_path.iterdir()]


def test_a_damaged_or_foreign_result_is_refused_in_one_line(minifw: Minifw, tmp_path: Path) -> None:
    found = minifw("sweep", "simplenet", *QUICK, "--over", "train.epochs=2,4", "--json").json
    original = Path(found["run_dir"])
    for change, expected in (
        ({"axes": [["train.eta"]]}, "outcome: axes: must be keys that each cell sets"),
        ({"cells": []}, "outcome: has another number of cells"),
        ({"axes": None}, "outcome: axes: must be a valid list, got None"),
    ):
        copy = tmp_path / "copy"
        shutil.copytree(original, copy)
        run = runs.load(copy)
        content = run.read_json(CELLS)
        content["outcome"] |= change
        run.write_json(CELLS, content)
        run.commit()
        answer = minifw("runs", "show", copy)
        assert (answer.code, answer.err.count("\n")) == (4, 1)
        assert expected in answer.err
        with pytest.raises(ArtefactError, match="outcome"):
            package.Sweep.load(copy)
        shutil.rmtree(copy)


def test_a_part_names_cells_by_their_numbers_in_the_whole_sweep(minifw: Minifw) -> None:
    words = ("sweep", "simplenet", *QUICK, "--over", "train.eta=0.01,0.02,0.03", "--part", "3/3")
    run = Path(minifw(*words, "--json").json["run_dir"])
    lines = (run / "metrics.csv").read_text().splitlines()[1:]
    assert {line.split(",")[1] for line in lines} == {"2"}
    for name in ("cells", "summaries"):
        assert (run / f"tables/{name}.csv").read_text().splitlines()[1].startswith("2,0.03,")


def test_an_array_gives_the_values_of_a_key(tmp_path: Path) -> None:
    import torch

    given = {"train.epochs": 1, "data.train": 40, "data.test": 20}
    found = [
        package.sweep(
            "simplenet",
            {"train.eta": values},
            seeds=1,
            overrides=given,
            runs_dir=tmp_path,
            progress=False,
        )
        for values in (np.array([0.25, 0.5]), torch.tensor([0.25, 0.5]), [0.25, 0.5])
    ]
    assert len({tuple(cell.name for cell in sweep.cells) for sweep in found}) == 1
    with pytest.raises(ConfigError, match=r"over: train\.eta: must be a value that YAML has"):
        package.sweep("simplenet", {"train.eta": np.ones((2, 2))}, runs_dir=tmp_path)
