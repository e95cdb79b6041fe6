"""Runs of older versions are read, or refused in one line that says what to do (tests/older)."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

import minifw as library
from conftest import ROOT, Answer, Minifw
from minifw.errors import ArtefactError
from minifw.runs import records

OLDER = ROOT / "tests/older"
FIRST, COMPLETE, CUT, LATE, STUDY = sorted(
    (each for each in OLDER.iterdir() if each.is_dir()), key=lambda run: run.name[-6:]
)
WITH_RUN = (
    ("runs", "show"), ("runs", "verify"), ("runs", "diff", "RUN"), ("resume",), ("predict", "FILE"),
    ("compare", "RUN"),
)  # fmt: skip


@pytest.fixture
def here(minifw: Minifw, tmp_path: Path) -> Path:
    """A folder with all of them in runs/, and a file to predict."""
    shutil.copytree(OLDER, tmp_path / "runs")
    (tmp_path / "runs/README.md").unlink()
    (tmp_path / "new.csv").write_text("x,y\n0.5,0.5\n0.1,0.9\n")
    return tmp_path


def asked(minifw: Minifw, words: tuple[str, ...], run: Path) -> Answer:
    name = f"runs/{run.name}"
    words = tuple({"RUN": name, "FILE": "new.csv"}.get(word, word) for word in words)
    named = (name, *words[1:]) if words[0] == "predict" else (*words[1:], name)
    return minifw(words[0], *named)


@pytest.mark.parametrize("words", WITH_RUN, ids=" ".join)
def test_a_run_of_the_first_format_is_refused_in_one_line_that_mends_it(
    minifw: Minifw, here: Path, words: tuple[str, ...]
) -> None:
    answer = asked(minifw, words, FIRST)
    assert answer.code == ArtefactError.exit_code
    name = f"runs/{FIRST.name}"
    (line,) = answer.err.splitlines()
    assert line.startswith(f"{name}/manifest.json: a run of a minifw before format 1")
    assert line.endswith(f"minifw train {name}/config.yaml makes the run anew")


def test_what_the_refusal_says_can_be_done(minifw: Minifw, here: Path) -> None:
    answer = minifw("train", f"runs/{FIRST.name}/config.yaml", "--runs-dir", "new", "--json")
    assert answer.code == 0, answer.err
    was = json.loads((FIRST / "results.json").read_text("utf-8"))["modes"]["sgd"]["minifw"]
    now = json.loads((here / answer.json["run_dir"] / "results.json").read_text("utf-8"))
    assert now["modes"]["sgd"]["minifw"]["test_error"] == was["test_error"]


def test_a_list_of_runs_says_which_are_older(minifw: Minifw, here: Path) -> None:
    listed = {line["run"]: line["status"] for line in minifw("runs", "ls", "--json").json["runs"]}
    assert listed == {
        FIRST.name: "older", COMPLETE.name: "complete", CUT.name: "interrupted",
        LATE.name: "complete", STUDY.name: "complete",
    }  # fmt: skip
    assert len(minifw("runs", "ls", "--status", "older").out.splitlines()) == 2
    assert minifw("runs", "rm", "--yes", FIRST.name).code == 0


@pytest.mark.parametrize("run", [COMPLETE, CUT, LATE, STUDY], ids=lambda run: run.name)
def test_older_runs_of_this_format_are_as_they_were(minifw: Minifw, here: Path, run: Path) -> None:
    answer = minifw("runs", "verify", run.name)
    assert (answer.code, answer.err) == (0, "")
    if run != STUDY:
        answer = minifw("runs", "show", run.name)
        assert (answer.code, answer.err) == (0, "")


def test_an_interrupted_run_of_the_first_version_with_this_format_goes_on(
    minifw: Minifw, here: Path
) -> None:
    path = here / "runs" / CUT.name
    assert minifw("resume", "--quiet", CUT.name).code == 0
    again = minifw("train", f"runs/{CUT.name}/config.yaml", "--quiet", "--json").json["run_dir"]
    weights = "checkpoints/minifw-sgd.safetensors"
    resumed, whole = load_file(path / weights), load_file(here / again / weights)
    for name in ("0.weight", "0.bias", "history/train_loss", "state/generators"):
        assert torch.equal(resumed[name], whole[name]), name


def test_a_run_without_inputs_says_how_to_have_them(minifw: Minifw, here: Path) -> None:
    answer = asked(minifw, ("predict", "FILE"), COMPLETE)
    assert answer.code == ArtefactError.exit_code
    assert answer.err.endswith(f"minifw train runs/{COMPLETE.name}/config.yaml makes it anew\n")
    assert len(answer.err.splitlines()) == 1


def test_a_late_run_predicts_and_is_an_object(minifw: Minifw, here: Path) -> None:
    answer = asked(minifw, ("predict", "FILE"), LATE)
    assert (answer.code, answer.err) == (0, "")
    run = library.load(here / "runs" / LATE.name)
    results = json.loads((LATE / "results.json").read_text("utf-8"))
    assert run.test_error.tolist() == results["modes"]["sgd"]["minifw"]["test_error"]


def test_results_that_lack_keys_of_today_are_refused_in_one_line(
    minifw: Minifw, here: Path
) -> None:
    answer = minifw("runs", "show", STUDY.name)
    assert answer.code == ArtefactError.exit_code
    (line,) = answer.err.splitlines()
    assert "this key is missing" in line
    assert line.endswith("; if an older minifw made this run, train its config.yaml anew")


def test_a_run_of_a_newer_format_names_what_reads_it(tmp_path: Path) -> None:
    manifest = json.loads((LATE / "manifest.json").read_text("utf-8")) | {"format": 2}
    with pytest.raises(ArtefactError, match="knows format 1, got 2; a newer minifw made this run"):
        records.Manifest.from_bytes(json.dumps(manifest).encode(), "manifest.json")


@pytest.mark.parametrize("run", [FIRST, COMPLETE, CUT, LATE], ids=lambda run: run.name)
def test_their_configs_are_still_configs(minifw: Minifw, here: Path, run: Path) -> None:
    name = f"runs/{run.name}/config.yaml"
    assert yaml.safe_load((run / "config.yaml").read_text("utf-8"))["name"] == "tiny"
    assert minifw("validate", name).out == f"{name}: ok\n"
