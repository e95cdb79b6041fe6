"""Comparisons: each arm is its own run, pairs are over the same seeds, and what cannot be said is not."""

from __future__ import annotations

import html
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import minifw as library
from conftest import Answer, Minifw
from minifw import runs
from minifw.config import yaml12
from minifw.config.packaged import find_config
from minifw.config.source import Source
from minifw.errors import ConfigError, DivergedError, UsageError
from minifw.report import comparison as tables
from minifw.report import pairings, plots
from minifw.report.pairs import pairs, summary
from minifw.report.tables import Interval, P, Table
from minifw.runs.comparisons import Compared
from minifw.runs.studies import CellResults, StudyResults
from minifw.study import words
from minifw.study.words import Chosen

KEYS: dict[str, Any] = {
    "data.train": 40, "data.test": 30, "train.batch_size": 15, "train.epochs": 3,
    "train.compile": False,
}  # fmt: skip
QUICK = [word for key, value in KEYS.items() for word in ("--set", f"{key}={value}")]
BASE = yaml12.parse(find_config("simplenet").read_text(), Source("simplenet"))


def write(path: Path | str, **sections: Any) -> None:
    """Write simplenet's config, with other values in some of its sections."""
    content = BASE | {k: BASE[k] | v if isinstance(v, dict) else v for k, v in sections.items()}
    Path(path).parent.mkdir(exist_ok=True)
    Path(path).write_text(yaml.safe_dump(content))


SMALLER = [{"linear": 4}, "tanh", {"linear": 2}]


@pytest.fixture
def three(minifw: Minifw) -> list[str]:
    """Configs of two structures, two of which are lanes of one stack."""
    write("a.yaml")
    write("b.yaml", train={"eta": 0.3})
    write("c.yaml", network=SMALLER, train={"mode": "sgd"})
    return ["a.yaml", "b.yaml", "c.yaml"]


def trained(minifw: Minifw, *more: object, command: str = "train") -> Path:
    answer = minifw(command, *more, *QUICK, "--json", "-q")
    assert answer.code == 0, answer.err
    return Path(answer.json["run_dir"])


def line(answer: Answer, code: int = 2) -> str:
    """The one line of an error, and nothing else."""
    assert (answer.code, answer.out) == (code, ""), answer
    assert answer.err.count("\n") == 1, answer.err
    return answer.err


# ------------------------------------------------------------------------------------- configs


def test_each_arm_is_its_own_run_bit_for_bit(minifw: Minifw, three: list[str]) -> None:
    answer = minifw("compare", *three, "--seeds", 4, *QUICK, "--json", "-q").json
    assert list(answer["arms"]) == ["a", "b", "c"]
    cells = json.loads((Path(answer["run_dir"]) / "cells.json").read_text())["cells"]
    for name, cell in zip(three, cells, strict=True):
        alone = minifw("train", name, "--seeds", 4, *QUICK, "--json", "-q").json
        assert answer["arms"][cell["name"]] == alone["test_error"]
        assert cell["train_loss"] == alone["train_loss"]
        assert alone["seeds"] == answer["seeds"]


def test_what_other_programs_are_told(minifw: Minifw, three: list[str]) -> None:
    given = ("compare", *three, "--seeds", 6, *QUICK, "--margin", 30, "--json")
    answer = minifw(*given).json
    arms = answer["arms"]
    assert [(pair["a"], pair["b"]) for pair in answer["pairs"]] == [
        ("a", "b"),
        ("a", "c"),
        ("b", "c"),
    ]
    for pair in answer["pairs"]:
        one, other = np.array(arms[pair["a"]]), np.array(arms[pair["b"]])
        assert pair["difference"] == pytest.approx((one - other).mean())
        low, high = pair["interval"]
        assert low <= pair["difference"] <= high
        assert 2**-5 <= pair["p"] <= pair["p_holm"] <= 1
        better = (one < other).mean() + (one == other).mean() / 2
        assert pair["probability_of_improvement"] == pytest.approx(better)
        assert isinstance(pair["equivalent"], bool)
    assert {"run_dir", "seeds", "arms", "pairs", "margin", "notes"} <= answer.keys()
    assert [p["equivalent"] for p in minifw(*given[:-3], "--json").json["pairs"]] == [None] * 3


def test_a_run_directory_is_left_with_all_of_it(minifw: Minifw, three: list[str]) -> None:
    text = minifw("compare", *three, "--seeds", 6, *QUICK, "--margin", 30)
    run = runs.load(Path(text.out.splitlines()[-1]))
    assert (run.manifest.kind, run.manifest.status) == ("compare", "complete")
    assert run.faults() == run.strangers() == []
    assert {
        "study.json", "cells.json", "metrics.csv", "plots/comparison.svg", "plots/comparison.png",
        *(f"tables/{t}.{e}" for t in ("arms", "pairs") for e in ("md", "csv", "tex", "json")),
    } <= set(run.known)  # fmt: skip
    assert "the 3 arms differ in network, train.mode, train.eta" in " ".join(text.out.split())
    shown = minifw("runs", "show", run.path).out
    assert all(f"Table {number}: " in shown for number in (1, 2))
    said = json.loads(run.read("cells.json"))["outcome"]["pairs"]
    for pair in said:
        assert pair["sentence"] in " ".join(text.out.split())


def test_how_two_configs_differ_is_said(minifw: Minifw, three: list[str]) -> None:
    answer = minifw("compare", *three[:2], "--seeds", 2, *QUICK, "--json")
    assert answer.json["notes"] == ["a and b differ in train.eta (0.01 and 0.3)"]
    shutil.copy("a.yaml", "copy.yaml")
    answer = minifw("compare", "a.yaml", "copy.yaml", "--seeds", 2, *QUICK, "--json")
    assert answer.json["notes"] == ["a and copy have the same config"]
    (pair,) = answer.json["pairs"]
    assert (pair["difference"], pair["p"], pair["probability_of_improvement"]) == (0, 1, 0.5)


def test_three_seeds_cannot_show_a_difference(minifw: Minifw, three: list[str]) -> None:
    answer = minifw("compare", *three[:2], "--seeds", 3, *QUICK)
    assert "0.25" in answer.out
    few, many = (
        minifw("compare", *three[:2], "--seeds", n, *QUICK, "--json").json["pairs"][0]
        for n in (3, 6)
    )
    assert few["smallest_p"] == 0.25
    assert few["warning"] in " ".join(answer.out.split())
    assert many["smallest_p"] < 0.05
    assert "can never show" not in (many["warning"] or "")


def test_seeds_are_those_that_all_configs_say(minifw: Minifw) -> None:
    write("a.yaml", seeds=2, seed=5)
    write("b.yaml", seeds=2, seed=5, train={"eta": 0.3})
    write("more.yaml", seeds=3, seed=5)
    write("later.yaml", seeds=2)
    assert minifw("compare", "a.yaml", "b.yaml", *QUICK, "--json").json["seeds"] == [5, 6]
    told = line(minifw("compare", "a.yaml", "more.yaml", *QUICK))
    assert "seeds: must be the same in all configs, got a 2, more 3; --seeds N" in told
    told = line(minifw("compare", "a.yaml", "later.yaml", *QUICK))
    assert "seed: must be the same in all configs, got a 5, later 0; --set seed=0" in told
    assert not Path("runs").exists() or len(runs.folders(Path("runs"))) == 1
    mended = minifw("compare", "a.yaml", "later.yaml", *QUICK, "--set", "seed=0", "--json")
    assert mended.json["seeds"] == [0, 1]


def test_without_a_number_there_are_twenty_seeds(minifw: Minifw) -> None:
    write("a.yaml")
    write("b.yaml", train={"eta": 0.3})
    assert minifw("compare", "a.yaml", "b.yaml", *QUICK, "--json").json["seeds"] == [*range(20)]


def test_workers_train_the_same(minifw: Minifw, three: list[str]) -> None:
    pytest.importorskip("distributed")
    given = ("compare", *three, "--seeds", 2, *QUICK, "--json", "-q")
    alone, spread = minifw(*given, "--threads", 1).json, minifw(*given, "--workers", 1).json
    assert spread["arms"] == alone["arms"]
    assert spread["pairs"] == alone["pairs"]


def test_all_faults_of_all_configs_are_told_at_once(minifw: Minifw) -> None:
    write("a.yaml", train={"epcohs": 3})
    write("b.yaml", train={"eta": -1})
    answer = minifw("compare", "a.yaml", "b.yaml", *QUICK)
    assert answer.code == 2
    assert ["a.yaml" in answer.err, "b.yaml" in answer.err] == [True, True]
    assert not Path("runs").exists()


def test_python_files_of_two_configs_with_one_name(minifw: Minifw) -> None:
    for folder in ("one", "two"):
        write(f"{folder}/net.yaml", network=[{"linear": 3}, {"python": "mine.Mine"}, {"linear": 2}])
        Path(folder, "mine.py").write_text(
            f"# of {folder}\nimport minifw.nn as nn\nclass Mine(nn.Tanh):\n    pass\n"
        )
    told = line(minifw("compare", "one/net.yaml", "two/net.yaml", *QUICK, "--allow-code"))
    assert "mine.py is another file than that of a config before it" in told
    shutil.copy("one/mine.py", "two/mine.py")
    answer = minifw("compare", "one/net.yaml", "two/net.yaml", *QUICK, "--allow-code", "--json",
                    "--seeds", 2)  # fmt: skip
    assert list(answer.json["arms"]) == ["one/net.yaml", "two/net.yaml"], answer.err


# ------------------------------------------------------------------------------------- diverged


HUGE = {"eta": 1e30}


def test_a_diverged_seed_is_a_loss_and_is_named(minifw: Minifw) -> None:
    write("a.yaml")
    write("b.yaml", train=HUGE)
    answer = minifw("compare", "a.yaml", "b.yaml", "--seeds", 6, *QUICK, "--json")
    assert answer.code == 0
    assert answer.json["arms"]["b"] == [None] * 6
    (pair,) = answer.json["pairs"]
    assert pair["diverged"] == [0, 6, 0]
    assert pair["difference"] == pytest.approx(np.mean(answer.json["arms"]["a"]) - 100)
    assert pair["probability_of_improvement"] == 1
    run = runs.load(Path(answer.json["run_dir"]))
    for name in ("arms", "pairs"):
        assert "Diverged: b 6 of 6" in run.read_text(f"tables/{name}.md")
    assert "b: diverged with all 6 seeds" in answer.err


def test_two_diverged_seeds_are_a_tie() -> None:
    (pair,) = pairs({"a": [1.0, None, 2.0], "b": [1.0, None, 3.0]})
    assert pair.diverged == [1, 1, 1]
    assert pair.difference == pytest.approx(-1 / 3)
    assert pair.probability_of_improvement == pytest.approx((1 + 0.5 + 0.5) / 3)


def test_if_all_diverge_the_exit_code_says_so(minifw: Minifw) -> None:
    write("a.yaml", train=HUGE)
    write("b.yaml", train={"eta": 1e29})
    answer = minifw("compare", "a.yaml", "b.yaml", "--seeds", 2, *QUICK, "--json", "-q")
    assert answer.code == 3
    assert answer.json["arms"] == {"a": [None, None], "b": [None, None]}
    assert "all 4 networks diverged; a smaller train.eta may help" in answer.err
    assert runs.load(Path(answer.json["run_dir"])).manifest.status == "diverged"
    again = minifw("compare", answer.json["run_dir"], "--json")
    assert (again.code, again.json["arms"]) == (3, answer.json["arms"])


def test_the_figures_of_an_arm() -> None:
    errors = [3.0, None, 1.0, 2.0, 6.0]
    mine = summary(errors)
    left = np.array([1.0, 2.0, 3.0, 6.0])
    assert (mine.n, mine.diverged, mine.min, mine.max) == (5, 1, 1, 6)
    assert (mine.median, mine.mean) == (np.median(left), left.mean())
    assert mine.sd == pytest.approx(left.std(ddof=1))
    assert [mine.q1, mine.q3] == np.percentile(left, [25, 75]).tolist()
    gone = summary([None, None])
    assert (gone.n, gone.diverged, gone.median, gone.sd, gone.mean_interval) == (2, 2, *[None] * 3)


# ------------------------------------------------------------------------------------- the words


def test_names_of_configs() -> None:
    assert words.names(["simplenet", "x/a.yaml", "b.yml"]) == ["simplenet", "a", "b"]
    assert words.names(["simplenet", "simplenet.yaml"]) == ["simplenet", "simplenet.yaml"]
    assert words.names(["x/a.yaml", "y/a.yaml", "c.yaml"]) == ["x/a.yaml", "y/a.yaml", "c"]
    assert words.different(["a", "b", "a", "a-2", "a"]) == ["a", "b", "a-2", "a-2-2", "a-3"]


def test_what_a_word_means(minifw: Minifw) -> None:
    run = trained(minifw, "simplenet")
    folder = Path("runs")
    short = run.name[-6:]
    assert words.meaning("simplenet", folder) == find_config("simplenet")
    assert words.meaning(short, folder) == Chosen(short, run)
    assert words.meaning(str(run), folder) == Chosen(str(run), run)
    assert words.meaning(f"{short}:sgd:pytorch", folder) == Chosen(
        f"{short}:sgd:pytorch", run, "sgd:pytorch"
    )
    assert words.meaning(f"{run}:full-batch", folder) == Chosen(
        f"{run}:full-batch", run, "full-batch"
    )
    with pytest.raises(
        UsageError, match="simplnet: .* did you mean 'simplenet'.* nor is there a run"
    ):
        words.meaning("simplnet", folder)


def test_a_config_and_a_run_of_one_name(minifw: Minifw) -> None:
    """A folder that is a run is one; else a config comes first, as in `train`."""
    named = trained(minifw, "simplenet").rename("runs/simplenet")
    folder = Path("runs")
    assert words.meaning("simplenet", folder) == find_config("simplenet")
    assert words.meaning("runs/simplenet", folder) == Chosen("runs/simplenet", named)
    shutil.copytree(named, "half-plane")
    assert words.meaning("half-plane", folder) == Chosen("half-plane", Path("half-plane"))
    Path("starter").mkdir()  # what is no run is no run
    assert isinstance(words.meaning("starter", folder), Path)
    Path("a:b").mkdir()
    shutil.copytree(named, "a:b/c:d")
    assert words.meaning("a:b/c:d", folder) == Chosen("a:b/c:d", Path("a:b/c:d"))
    assert words.meaning("a:b/c:d:sgd", folder) == Chosen("a:b/c:d:sgd", Path("a:b/c:d"), "sgd")


def test_configs_and_runs_do_not_mix(minifw: Minifw) -> None:
    write("a.yaml")
    run = trained(minifw, "simplenet")
    told = line(minifw("compare", "a.yaml", run))
    assert "a.yaml is a config" in told
    assert f"{run} a run" in told


WRONG: dict[str, tuple[list[str], str]] = {
    "one config twice": (["a.yaml", "a.yaml"], "a.yaml is given twice"),
    "under two names": (["a.yaml", "./a.yaml"], "./a.yaml is the same file as a.yaml"),
    "nothing of this name": (["a.yaml", "nothing"], "nothing: there is no such file"),
    "no file of this name": (["a.yaml", "b.yaml"], "b.yaml: "),
    "a reference": (
        ["a.yaml", "simplenet", "--reference", "none"],
        "--reference: is for one config",
    ),
    "no seed": (["a.yaml", "simplenet", "--seeds", "0"], "--seeds: must be at least 1, got 0"),
    "workers for PyTorch": (["simplenet", "--workers", "1"], "compared in one process"),
    "a margin of nothing": (["a.yaml", "simplenet", "--margin", "0"], "--margin: must be a number"),
    "no margin at all": (["simplenet", "--margin", "nan"], "--margin: must be a number"),
    "runs only": (["a.yaml", "simplenet", "--no-save"], "--no-save: is for runs"),
}


@pytest.mark.parametrize(("given", "told"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_a_line_and_leaves_nothing(
    minifw: Minifw, given: list[str], told: str
) -> None:
    write("a.yaml")
    assert told in line(minifw("compare", *given, *QUICK))
    assert not Path("runs").exists()


# ------------------------------------------------------------------------------------- runs


@pytest.fixture
def pair(minifw: Minifw, three: list[str]) -> list[Path]:
    return [trained(minifw, name, "--seeds", 6) for name in three[:2]]


def test_runs_are_compared_as_their_configs_are(
    minifw: Minifw, three: list[str], pair: list[Path]
) -> None:
    both = minifw("compare", *three[:2], "--seeds", 6, *QUICK, "--json").json
    mine = minifw("compare", *pair, "--json").json
    assert [*mine["arms"].values()] == [*both["arms"].values()]
    for one, other in zip(mine["pairs"], both["pairs"], strict=True):
        for key in ("difference", "interval", "p", "probability_of_improvement", "equivalent"):
            assert one[key] == other[key]
    left = runs.load(Path(mine["run_dir"]))
    assert (left.manifest.kind, left.manifest.status) == ("compare", "complete")
    assert left.faults() == left.strangers() == []
    lines = [
        runs.load(Path(each["run_dir"])).read_text("metrics.csv").replace(
            Path(each["run_dir"]).name, "RUN")
        for each in (mine, both)
    ]  # fmt: skip
    assert lines[0].splitlines() == lines[1].splitlines()
    again = minifw("compare", mine["run_dir"], "--json").json
    assert again["pairs"] == mine["pairs"]


def test_nothing_is_left_if_told_so(minifw: Minifw, pair: list[Path]) -> None:
    before = runs.folders(Path("runs"))
    answer = minifw("compare", *pair, "--no-save", "--json")
    assert answer.json["run_dir"] is None
    assert runs.folders(Path("runs")) == before


def test_only_seeds_that_all_have_are_compared(minifw: Minifw, pair: list[Path]) -> None:
    other = trained(minifw, "b.yaml", "--seeds", 3, "--set", "seed=5")
    answer = minifw("compare", pair[0], other, "--json").json
    whole = minifw("runs", "show", pair[0], "--json").json["results"]["modes"]["full-batch"]
    assert answer["seeds"] == [5]
    assert next(iter(answer["arms"].values())) == whole["minifw"]["test_error"][5:]
    first, second = answer["notes"][1:]
    assert first.endswith("5 seeds (0 to 4) are left out: not all arms have them")
    assert second.endswith("2 seeds (6 to 7) are left out: not all arms have them")
    assert answer["pairs"][0]["n"] == 1
    assert answer["pairs"][0]["warning"] is not None


def test_without_a_common_seed_nothing_is_paired(minifw: Minifw, pair: list[Path]) -> None:
    other = trained(minifw, "b.yaml", "--seeds", 3, "--set", "seed=50")
    told = line(minifw("compare", pair[0], other))
    assert "share no seed" in told
    assert "6 seeds (0 to 5)" in told
    assert "3 seeds (50 to 52)" in told


def test_other_data_are_noticed(minifw: Minifw, pair: list[Path]) -> None:
    other = trained(minifw, "a.yaml", "--seeds", 6, "--set", "data.radius=0.3")
    notes = minifw("compare", pair[0], other, "--json").json["notes"]
    assert any("their data differ" in note for note in notes)
    assert any("data.radius (0.3989422804014327 and 0.3)" in note for note in notes)
    assert len(minifw("compare", *pair, "--json").json["notes"]) == 1


def test_another_data_file_of_the_same_name_is_noticed(minifw: Minifw) -> None:
    write("file.yaml", data="csv")
    content = BASE | {"data": {"kind": "csv", "path": "x.csv", "target": "c"}, "network": SMALLER}
    Path("file.yaml").write_text(yaml.safe_dump(content))
    found = []
    for shift in (0, 0, 1):
        rows = [f"{k % 7 + shift},{k % 5},{'ab'[k % 2]}" for k in range(40)]
        Path("x.csv").write_text("\n".join(["p,q,c", *rows]) + "\n")
        answer = minifw("train", "file.yaml", "--seeds", 2, "--set", "train.epochs=1", "--set",
                        "train.batch_size=5", "--set", "train.compile=false", "--json")  # fmt: skip
        found.append(answer.json["run_dir"])
    same = minifw("compare", *found[:2], "--json").json["notes"]
    other = minifw("compare", *found[1:], "--json").json["notes"]
    one_file = "all seeds divide the same samples: intervals and p are about these samples only"
    assert same[1:] == [one_file]
    assert other[1] == "their data differ, so a seed has other samples in one arm than in another"


def test_a_data_file_of_any_arm_must_not_change(minifw: Minifw) -> None:
    rows = [f"{k % 7},{k % 5},{'ab'[k % 2]}" for k in range(40)]
    for name in ("x", "y"):
        Path(f"{name}.csv").write_text("\n".join(["p,q,c", *rows]) + "\n")
        data = {"kind": "csv", "path": f"{name}.csv", "target": "c"}
        content = BASE | {"data": data, "network": SMALLER}
        Path(f"{name}.yaml").write_text(yaml.safe_dump(content))
    quick = ("--seeds", 2, "--set", "train.epochs=1", "--set", "train.batch_size=5", "--set",
             "train.compile=false", "--json", "-q")  # fmt: skip
    same = minifw("compare", "x.yaml", "y.yaml", *quick).json
    assert len(same["notes"]) == 2, "both files have the same content"
    assert "are about these samples only" in same["notes"][1]
    Path("y.csv").write_text("\n".join(["p,q,c", *rows[::-1]]) + "\n")
    other = minifw("compare", "x.yaml", "y.yaml", *quick).json
    assert "their data differ" in other["notes"][1]
    assert "their data differ" in minifw("compare", other["run_dir"], "--json").json["notes"][1]
    run = runs.load(Path(other["run_dir"]))
    run.commit(status="interrupted")
    Path("y.csv").write_text("\n".join(["p,q,c", *rows]) + "\n")
    said = line(minifw("resume", run.path), 4)
    assert "y: its data file is not the one that the study began with" in said


def test_a_run_is_not_compared_with_itself(minifw: Minifw, pair: list[Path]) -> None:
    told = line(minifw("compare", pair[0], pair[0].name[-6:]))
    assert "this arm is given twice: full-batch" in told
    assert "has one arm" in line(minifw("compare", pair[0]))


@pytest.mark.parametrize("option", ["--seeds", "--set", "--threads", "--workers"])
def test_options_of_training_are_not_for_runs(
    minifw: Minifw, pair: list[Path], option: str
) -> None:
    value = "train.eta=1" if option == "--set" else 1
    assert f"{option}: is for configs" in line(minifw("compare", *pair, option, value))


def test_a_run_that_is_not_finished_is_refused(minifw: Minifw, pair: list[Path]) -> None:
    run = runs.load(pair[1])
    run.commit(status="interrupted")
    told = line(minifw("compare", *pair))
    assert f"minifw resume {pair[1]} completes it" in told


def test_arms_of_a_comparison_with_pytorch(minifw: Minifw) -> None:
    run = trained(minifw, "simplenet", "--seeds", 2, command="compare")
    answer = minifw("compare", run, "--json").json
    assert [*answer["arms"]] == ["full-batch", "full-batch:pytorch", "sgd", "sgd:pytorch"]
    assert len(answer["pairs"]) == 6
    two = minifw("compare", f"{run}:sgd", f"{run}:sgd:pytorch", "--json").json
    results = runs.load(run).results().modes["sgd"]
    assert two["arms"] == {
        "sgd": results["minifw"].test_error,
        "sgd:pytorch": results["pytorch"].test_error,
    }
    other = trained(minifw, "simplenet", "--seeds", 2, "--set", "train.mode=sgd")
    named = minifw("compare", f"{run}:sgd", other, "--json").json
    assert [*named["arms"]] == [f"simplenet-{run.name[-6:]}:sgd", f"simplenet-{other.name[-6:]}"]
    assert named["pairs"][0]["difference"] == 0
    told = line(minifw("compare", f"{run}:sdg", other))
    assert "has no arm 'sdg'; did you mean 'sgd'?" in told


def test_cells_of_a_sweep_are_arms(minifw: Minifw) -> None:
    answer = minifw("sweep", "simplenet", "--over", "train.eta=0.1,0.3,0.5", "--seeds", 3, *QUICK,
                    "--set", "data.validation=0.25", "--json")  # fmt: skip
    cells, run = answer.json["cells"], answer.json["run_dir"]
    mine = minifw("compare", run, "--json").json
    assert mine["arms"] == {cell["name"]: cell["test_error"] for cell in cells}
    name = cells[2]["name"]
    best = min(cells, key=lambda cell: cell["rank"])["name"]
    few = minifw("compare", f"{run}:{name}", f"{run}:{cells[0]['name']}", "--json").json
    assert [*few["arms"]] == [name, cells[0]["name"]]
    others = [cell["name"] for cell in cells if cell["name"] != best]
    few = minifw("compare", f"{run}:best", f"{run}:{others[0]}", "--json").json
    assert [*few["arms"]] == [best, others[0]]
    part = minifw("sweep", "simplenet", "--over", "train.eta=0.1,0.3", "--seeds", 2, *QUICK, "--part",
                  "1/2", "--json").json["run_dir"]  # fmt: skip
    assert "is part 1/2 of a study" in line(minifw("compare", part))


def test_cells_that_were_stopped_early_are_left_out(minifw: Minifw) -> None:
    answer = minifw("sweep", "simplenet", "--over", "train.eta=0.01,0.1,0.3,0.5", "--seeds", 2, *QUICK,
                    "--set", "data.validation=0.25", "--set", "train.epochs=4", "--set", "train.eval_every=1", "--halving", 2,
                    "--json")  # fmt: skip
    cells, run = answer.json["cells"], answer.json["run_dir"]
    whole = [cell["name"] for cell in cells if cell["epochs"] == 4]
    early = next(cell["name"] for cell in cells if cell["epochs"] < 4)
    told = line(minifw("compare", f"{run}:{early}", f"{run}:{whole[0]}"))
    assert "was stopped after" in told
    if len(whole) > 1:
        mine = minifw("compare", run, "--json").json
        assert [*mine["arms"]] == whole
        assert any(
            f"{len(cells) - len(whole)} cells were stopped early" in n for n in mine["notes"]
        )


def test_there_is_a_limit_of_arms(minifw: Minifw) -> None:
    run = minifw("sweep", "simplenet", "--over", f"train.eta={','.join(f'{k / 10:g}' for k in range(1, 23))}",
                 *QUICK, "--seeds", 2, "--json").json["run_dir"]  # fmt: skip
    assert "expects at most 20 arms of runs, got 22" in line(minifw("compare", run))


def damaged(run: Path, name: str, change: Callable[[Any], object]) -> None:
    """Change a JSON file of a run, whose checksums are made anew, as anybody may."""
    one = runs.load(run)
    content = one.read_json(name)
    change(content)
    one.write_json(name, content)
    one.commit()


FOREIGN: dict[str, tuple[str, Callable[[Any], object]]] = {
    "an arm with too few errors": ("cells.json", lambda c: c["cells"][0]["test_error"].pop()),
    "an arm that has other seeds twice": ("cells.json", lambda c: c["cells"][0]["seeds"].__setitem__(0, 1)),
    "another cell": ("cells.json", lambda c: c["cells"][0].__setitem__("name", "x")),
    "a pair of strangers": ("cells.json", lambda c: c["outcome"]["pairs"][0].__setitem__("a", "x")),
    "a sentence of numbers": ("cells.json", lambda c: c["outcome"]["pairs"][0].__setitem__("sentence", 1)),
    "no config": ("study.json", lambda c: c["cells"][0].__setitem__("config", "x")),
}  # fmt: skip


@pytest.mark.parametrize(("name", "change"), FOREIGN.values(), ids=FOREIGN)
def test_a_comparison_from_anybody_is_checked(
    minifw: Minifw, three: list[str], name: str, change: Callable[[Any], object]
) -> None:
    run = Path(minifw("compare", *three[:2], "--seeds", 2, *QUICK, "--json").json["run_dir"])
    damaged(run, name, change)
    told = [line(answer, 4) for answer in (minifw("compare", run), minifw("runs", "show", run))
            if answer.code]  # fmt: skip
    assert told, "one of the two reads it"
    assert all(str(run / name) in each or str(run) in each for each in told)


def test_a_comparison_of_runs_is_not_resumed_by_training(minifw: Minifw, pair: list[Path]) -> None:
    left = Path(minifw("compare", *pair, "--json").json["run_dir"])
    runs.load(left).commit(status="interrupted")
    assert "minifw compare makes it anew" in line(minifw("resume", left))


def test_a_comparison_of_configs_is_resumed(minifw: Minifw, three: list[str]) -> None:
    whole = minifw("compare", *three, "--seeds", 2, *QUICK, "--margin", 3, "--json").json
    run = runs.load(Path(whole["run_dir"]))
    cells = run.read_json("cells.json")
    for name in ("jobs/shape-0.1-of-1.job", "cells.json"):
        run.remove(name)
        del run.known[name]
    run.commit(status="interrupted")
    resumed = minifw("resume", run.path, "--json").json
    again = runs.load(run.path).read_json("cells.json")
    assert resumed == whole | {"seconds": resumed["seconds"]}
    assert again["cells"] == cells["cells"]
    assert again["outcome"] == cells["outcome"]


# ------------------------------------------------------------------------------ with PyTorch


def test_the_comparison_with_pytorch_says_whether_they_are_the_same(minifw: Minifw) -> None:
    answer = minifw("compare", "--seeds", 6, *QUICK, "--json").json
    assert answer["margin"] == 0.5
    for mode, pair in answer["pairs"].items():
        errors = answer["test_error"][mode]
        mine, other = (np.array(errors[arm]) for arm in ("minifw", "pytorch"))
        assert (pair["a"], pair["b"], pair["n"]) == ("minifw", "PyTorch", 6)
        assert pair["difference"] == pytest.approx((mine - other).mean())
        assert pair["equivalent"] is True
    text = minifw("runs", "show", answer["run_dir"]).out
    for row in ("mean, points", "95 % interval", "the same within 0.5 points"):
        assert row in text
    printed = minifw("compare", "--seeds", 6, *QUICK, "--margin", 0.001)
    assert "the same within 0.001 points" in printed.out
    assert answer["pairs"]["sgd"]["sentence"].replace("0.5", "0.001") in " ".join(
        printed.out.split()
    )


def test_a_margin_is_kept_for_a_run_that_is_resumed(minifw: Minifw) -> None:
    answer = minifw("compare", "--seeds", 2, *QUICK, "--margin", 2, "--json").json
    run = runs.load(Path(answer["run_dir"]))
    assert run.manifest.margin == 2
    run.remove("results.json")
    del run.known["results.json"]
    run.commit(status="interrupted")
    assert minifw("resume", run.path, "--json").json == answer


def test_one_arm_has_no_pair(minifw: Minifw) -> None:
    answer = minifw("compare", "--seeds", 2, *QUICK, "--reference", "none", "--json").json
    assert not {"pairs", "margin"} & answer.keys()


# -------------------------------------------------------------------------------- from Python


def test_configs_from_python(minifw: Minifw, three: list[str]) -> None:
    told = minifw("compare", *three, "--seeds", 3, *QUICK, "--margin", 2, "--json").json
    mine = library.compare(*three, seeds=3, margin=2, overrides=KEYS)
    assert isinstance(mine, library.Comparison)
    assert {name: errors.tolist() for name, errors in mine.arms.items()} == told["arms"]
    assert [pair.model_dump() for pair in mine.pairs] == told["pairs"]
    assert (mine.seeds, mine.margin, mine.notes) == ([0, 1, 2], 2, told["notes"])
    assert mine.summary["a"].n == 3
    assert mine.table().markdown().encode() == mine._run.read("tables/pairs.md")
    assert [*mine.tables] == ["arms", "pairs"]
    assert mine.figure()._repr_png_().startswith(b"\x89PNG")  # type: ignore[attr-defined]
    page = mine._repr_html_()
    assert page.count("<table>") == 2
    assert all(html.escape(pair.sentence) in page for pair in mine.pairs)
    assert repr(mine).endswith("complete, 3 arms, 3 seeds>")
    loaded = library.load(mine.path)
    assert isinstance(loaded, library.Comparison)
    with pytest.raises(UsageError, match="table: must be one of arms, pairs, got 'x'"):
        mine.table("x")


def test_a_frame_has_all_measurements(minifw: Minifw, three: list[str]) -> None:
    pytest.importorskip("pandas")
    mine = library.compare(*three[:2], seeds=2, overrides=KEYS)
    frame = mine.frame()
    assert [*frame.columns] == ["run", "cell", "arm", "seed", "epoch", "metric", "value"]
    last = frame[(frame.metric == "test_error") & (frame.epoch == 3) & (frame.arm == "b")]
    assert last.value.tolist() == mine.arms["b"].tolist()


def test_mappings_and_runs_from_python(minifw: Minifw, pair: list[Path]) -> None:
    other = BASE | {"train": BASE["train"] | {"eta": 0.3}}
    both = library.compare("a.yaml", other, BASE, seeds=2, overrides=KEYS)
    assert [*both.arms] == ["a", "simplenet", "simplenet-2"]
    assert (both.arms["a"] == both.arms["simplenet-2"]).all()
    mine = library.compare(library.load(pair[0]), pair[1], f"{both.path}:a")
    assert len(mine.pairs) == 3
    assert mine.seeds == [0, 1]


BAD: list[tuple[Sequence[Any], dict[str, Any], type[Exception], str]] = [
    ((), {}, UsageError, "expects two or more configs or runs"),
    (("a.yaml",), {}, UsageError, "is compared with PyTorch by the command"),
    (("a.yaml", 3), {}, UsageError, "or runs, got int"),
    (("a.yaml", "b.yaml"), {"margin": -1}, UsageError, "margin: must be a number"),
    (("a.yaml", "b.yaml"), {"margin": "1"}, UsageError, "margin: must be a number"),
    (("a.yaml", "b.yaml"), {"seeds": 0}, UsageError, "seeds: must be a whole number"),
    (("a.yaml", "b.yaml"), {"overrides": {"train.epcohs": 1}}, ConfigError, "did you mean 'epochs'"),
    (("a.yaml", "b.yaml"), {"overrides": {"train.eta": 1e30}}, DivergedError, r"all \d+ networks diverged"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "more", "kind", "told"), BAD, ids=[told for *_, told in BAD])
def test_mistakes_from_python(
    minifw: Minifw, three: list[str], given: Sequence[Any], more: dict[str, Any],
    kind: type[Exception], told: str,
) -> None:  # fmt: skip
    overrides = KEYS | more.pop("overrides", {})
    with pytest.raises(kind, match=told):
        library.compare(*given, **{"seeds": 2, "overrides": overrides} | more)


# --------------------------------------------------------------------------- tables and figure


def found(
    arms: dict[str, list[float | None]], margin: float | None = None
) -> tuple[StudyResults, Compared]:
    """A comparison of these errors."""
    cells = [
        CellResults(
            name=name, set={}, seeds=[*range(len(e))], epochs=1, test_error=e, train_error=e, train_loss=e,
            diverged_epoch=[None] * len(e), diverged_layer=[None] * len(e), compiled=False,
        )
        for name, e in arms.items()
    ]  # fmt: skip
    compared = Compared(
        margin=margin,
        arms={name: summary(errors) for name, errors in arms.items()},
        pairs=pairs(arms, margin),
    )
    return StudyResults(kind="compare", name="x", about="", dtype="float32", cells=cells), compared


RANDOM = np.random.default_rng(0).normal(5, 1, (16, 20)).clip(0).round(1)
FIGURES: dict[str, dict[str, list[float | None]]] = {
    "two": {"a": RANDOM[0].tolist(), "b": RANDOM[1].tolist()},
    "many": {f"train.eta=0.{k:02}": errors.tolist() for k, errors in enumerate(RANDOM)},
    "equal": {"a": [3.0] * 5, "b": [3.0] * 5},
    "zero": {"a": [0.0] * 5, "b": [0.0] * 5},
    "one seed": {"a": [3.0], "b": [2.0]},
    "some diverged": {"a": [3.0, None, 2.0], "b": [2.0, 4.0, None]},
    "all of one diverged": {"a": [3.0, 4.0, 2.0], "b": [None] * 3},
    "all diverged": {"a": [None] * 3, "b": [None] * 3},
    "long names": {"a" * 300: [1.0, 2.0], "$\\alpha$\x1b<b>&_" * 20: [2.0, 3.0], "c": [0.0, 1.0]},
    "many seeds": {"a": [*map(float, range(2000))], "b": [*map(float, range(2000, 0, -1))]},
}


@pytest.mark.parametrize("margin", [None, 0.5])
@pytest.mark.parametrize("arms", FIGURES.values(), ids=FIGURES)
def test_a_figure_of_whatever_there_is(arms: dict[str, Any], margin: float | None) -> None:
    arms = {name: [e if e is None else e % 100 for e in errors] for name, errors in arms.items()}
    with plots.defaults():
        figure = pairings.comparison(*found(arms, margin))
        left, right = figure.axes
        assert plots.svg(figure)
    assert len(left.get_xticks()) == len(arms)
    assert len(right.get_yticks()) == min(len(arms) * (len(arms) - 1) // 2, pairings.PAIRS)
    (lines,) = left.collections
    assert len(lines.get_segments()) == min(len(next(iter(arms.values()))), pairings.SEEDS)  # type: ignore[attr-defined]
    marked = [line for line in left.lines if line.get_marker() == "x"]
    crosses = sum(len(np.asarray(line.get_xdata())) for line in marked)
    assert crosses == sum(e is None for errors in arms.values() for e in errors)
    assert len(right.patches) == (margin is not None)


def test_names_lose_what_all_begin_with() -> None:
    assert pairings._labels(["train.eta=0.01", "train.eta=0.03"]) == ["…0.01", "…0.03"]
    assert pairings._labels(["sgd", "sgd-2"]) == ["sgd", "sgd-2"]
    assert pairings._labels(["experiment", "experiment-2"]) == ["experiment", "experiment-2"]


def test_tables_have_exact_figures_and_both_ends_of_intervals() -> None:
    results, compared = found({"a": [1.0, 2.0, 4.5], "b": [2.0, 2.5, 3.0]}, 0.5)
    arms, both = tables.of_comparison(results.name, compared).values()
    head, row = both.csv().splitlines()
    assert head.startswith('pair,difference,"95 %, from","95 %, to",p,p (Holm),')
    assert row.startswith("a − b,0.0,")
    content = json.loads(both.json())["rows"]["a − b"]
    assert content[1] == compared.pairs[0].interval
    assert len(arms.head) == 12
    narrow = tables.arms_table("x", compared, terminal=True)
    assert narrow.head == ["test error, %", "a", "b"]
    many, compared = found({str(k): RANDOM[k].tolist() for k in range(5)})
    assert "min" not in tables.arms_table(many.name, compared, terminal=True).head


@pytest.mark.parametrize(
    ("value", "shown"),
    [(1.0, "1.0000"), (0.0625, "0.0625"), (2**-20, "< 0.0001"), (1e-4, "0.0001")],
)
def test_a_p_value_is_readable(value: float, shown: str) -> None:
    table = Table("", ["a", "b"], [("x", [P(value)])])
    assert table.body == [["x", shown]]
    assert table.csv() == f"a,b\nx,{value}\n"


def test_where_an_interval_is_missing_both_its_cells_are_empty() -> None:
    table = Table("", ["a", "b", "c"], [("x", [Interval(-1.0, 2.0), 3.0]), ("y", [None, None])])
    assert table.csv() == 'a,"b, from","b, to",c\nx,-1.0,2.0,3.0\ny,,,\n'
    assert table.body == [["x", "−1.00 to 2.00", "3.00"], ["y", "–", "–"]]
