"""Guided sweeps: what Optuna proposes, and that an interrupted search proposes it again."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

import minifw as minifw_of_python
from conftest import Minifw
from minifw import runs
from minifw.errors import Interrupted, UsageError
from minifw.study import guided, jobs
from minifw.study.jobs import Job, Result

SMALL = (
    "--seeds", 2, "--set", "data.train=40", "--set", "data.test=30", "--set", "train.batch_size=20",
    "--set", "train.epochs=4", "-q",
)  # fmt: skip
OVER = (
    "--over", "train.eta=log-uniform(1e-4,1)", "--over", "network.0.linear=integers(2,9)",
    "--over", "optimizer.momentum=0,0.9", "--over", "loss=choice(mse,cross-entropy)",
)  # fmt: skip


def cells(answer: Any) -> list[tuple[Any, Any]]:
    return [(cell["set"], cell["test_error"]) for cell in answer.json["cells"]]


def test_a_search_proposes_as_many_cells_as_asked_and_the_same_again(minifw: Minifw) -> None:
    asked = ("sweep", "simplenet-sgd", *SMALL, *OVER, "--guided", 23, "--json")
    first, second = minifw(*asked), minifw(*asked)
    assert cells(first) == cells(second)
    assert 15 < len(cells(first)) <= 23  # equal proposals are trained once
    for sets, _ in cells(first):
        assert 1e-4 <= sets["train.eta"] <= 1
        assert 2 <= sets["network.0.linear"] <= 9
        assert sets["optimizer.momentum"] in (0, 0.9)
        assert sets["loss"] in ("mse", "cross-entropy")
    best = first.json["best"]
    ranks = [cell["rank"] for cell in first.json["cells"]]
    assert ranks.count(1) >= 1
    assert first.json["cells"][ranks.index(1)]["set"] == best["set"]


def test_later_batches_look_where_errors_are_small(minifw: Minifw) -> None:
    """The error grows with the radius of a small disk that nearly all networks call empty."""
    answer = minifw(
        "sweep", "simplenet", "--seeds", 2, "--set", "train.epochs=20", "-q", "--json",
        "--over", "data.radius=uniform(0.05,0.35)", "--guided", 40,
    )  # fmt: skip
    radii = [cell["set"]["data.radius"] for cell in answer.json["cells"]]
    early, late = radii[:10], radii[-20:]
    assert sum(late) / len(late) < 0.7 * sum(early) / len(early)


def test_an_interrupted_search_goes_on_as_if_nothing_had_been(
    minifw: Minifw, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ("sweep", "simplenet-sgd", *SMALL, *OVER, "--guided", 23)
    whole = minifw(*asked, "--json")
    (path,) = Path("runs").iterdir()
    run = jobs.run
    done: list[str] = []

    def broken(job: Job, *more: Any) -> Result:
        if job.id.startswith("batch-3") and "broken" not in done:
            done.append("broken")
            raise Interrupted(15)
        done.append(job.id)
        return run(job, *more)

    monkeypatch.setattr(jobs, "run", broken)
    assert minifw(*asked).code == 143
    (second,) = (p for p in Path("runs").iterdir() if p != path)
    before = [*done]
    resumed = minifw("resume", second, "-q", "--json")
    assert cells(resumed) == cells(whole)
    assert len(set(done)) == len(done), "no job is done twice"
    assert len(before) < len(done)
    assert runs.load(second).faults() == []


def test_a_search_that_would_propose_other_cells_is_not_resumed(
    minifw: Minifw, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As another version of Optuna may, whose cells have the numbers of those that are stored."""
    asked = ("sweep", "simplenet-sgd", *SMALL, *OVER, "--guided", 23)
    usual = jobs.run

    def broken(job: Job, *more: Any) -> Result:
        if job.id.startswith("batch-3"):
            raise Interrupted(15)
        return usual(job, *more)

    monkeypatch.setattr(jobs, "run", broken)
    assert minifw(*asked).code == 143
    monkeypatch.setattr(jobs, "run", usual)
    (path,) = Path("runs").iterdir()
    search = guided.Search.__init__
    monkeypatch.setattr(guided.Search, "__init__", lambda own, axes, seed: search(own, axes, 1))
    answer = minifw("resume", path)
    assert (answer.code, answer.out) == (4, "")
    assert "other cells are proposed than when this search was begun" in answer.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            ["--over", "train.eta=uniform(-1,1)", "--guided", 5],
            "--guided train.eta=-1: train.eta: must be above 0.0, got -1",
        ),
        (["--guided", 5], "nothing varies: give --over KEY=VALUES"),
        (["--over", "train.eta=0.1,1", "--guided", 0], "--guided: must be at least 1, got 0"),
        (
            ["--over", "train.eta=0.1,1", "--guided", 5, "--halving", 2],
            "--halving: cannot be combined with --guided",
        ),
        (
            ["--over", "train.eta=0.1,1", "--guided", 5, "--part", "1/2"],
            "--part: cannot be combined with --guided",
        ),
    ],
)
def test_faults(minifw: Minifw, words: list[Any], says: str) -> None:
    answer = minifw("sweep", "simplenet", *SMALL, *words)
    assert (answer.code, answer.out) == (2, "")
    assert says in answer.err
    assert len(answer.err.splitlines()) == 1
    assert not Path("runs").exists()


def test_a_file_needs_samples_for_validation(minifw: Minifw) -> None:
    Path("a.csv").write_text("x,y\n" + "".join(f"{k},{k % 2}\n" for k in range(40)))
    Path("a.yaml").write_text(
        "name: a\ndata: {kind: csv, path: a.csv}\nnetwork: [linear: 2]\nloss: mse\n"
        "train: {eta: 0.1, epochs: 2}\n"
    )
    asked = ("sweep", "a.yaml", "-q", "--over", "train.eta=0.1,1", "--guided", 3, "--seeds", 2)
    answer = minifw(*asked)
    assert answer.code == 2
    assert "--set data.validation=0.2 keeps some" in answer.err
    assert minifw(*asked, "--set", "data.validation=0.2").code == 0


def test_without_optuna_a_line_says_how_to_get_it(
    minifw: Minifw, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    answer = minifw("sweep", "simplenet", *SMALL, "--over", "train.eta=0.1,1", "--guided", 3)
    assert (answer.code, answer.err.splitlines()) == (
        2, ["--guided: needs Optuna, which is not installed; pip install 'minifw[guided]'"],
    )  # fmt: skip


def test_from_python(tmp_path: Path) -> None:
    over = {"train.eta": {"log-uniform": [1e-3, 1]}, "optimizer.momentum": [0.0, 0.9]}
    small = {"train.epochs": 40, "data.train": 40, "data.test": 30}
    both: dict[str, Any] = {"seeds": 2, "overrides": small, "runs_dir": tmp_path, "progress": False}
    found = minifw_of_python.sweep("simplenet", over, guided=12, **both)
    assert 8 < len(found.cells) <= 12
    halved = minifw_of_python.sweep("simplenet", {"train.eta": [0.01, 0.1, 1.0]}, halving=3, **both)
    assert sorted(cell.epochs for cell in halved.cells) == [20, 20, 40]
    wrongs: list[dict[str, Any]] = [{"halving": 1}, {"halving": 2, "guided": 2}, {"guided": 0}]
    for wrong in wrongs:
        with pytest.raises(UsageError, match=r"^(halving|guided): "):
            minifw_of_python.sweep("simplenet", {"train.eta": [0.1, 1.0]}, **both, **wrong)
