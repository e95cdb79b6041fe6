"""The files of a study: data and code are those with which it began, in all cells and parts."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from conftest import Minifw
from minifw.errors import Interrupted
from minifw.study import jobs

CONFIG = """
name: two
data: {kind: csv, path: one.csv, train: 20}
network: [linear: 2]
loss: mse
train: {eta: 0.1, epochs: 2, mode: sgd, batch_size: 5}
"""


def write(name: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = [f"{a:.3f},{b:.3f},{int(a > b)}" for a, b in rng.random((40, 2))]
    Path(name).write_text("\n".join(["x,y,class", *rows]) + "\n")


@pytest.fixture(autouse=True)
def _files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("two.yaml").write_text(CONFIG)
    write("one.csv", 1)
    write("other.csv", 2)


def test_no_data_file_of_a_sweep_may_change_before_it_is_resumed(
    minifw: Minifw, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = jobs.run

    def run(job: jobs.Job, *more: object) -> jobs.Result:
        if job.id.startswith("shape-1"):
            raise Interrupted(15)
        return usual(job, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(jobs, "run", run)
    words = ("--over", "data.path=one.csv,other.csv", "--seeds", 2, "-q")
    assert minifw("sweep", "two.yaml", *words).code == 143
    monkeypatch.setattr(jobs, "run", usual)
    shutil.copy("other.csv", "kept.csv")
    write("other.csv", 3)
    (path,) = Path("runs").iterdir()
    answer = minifw("resume", path)
    assert (answer.code, answer.out) == (4, "")
    assert "other.csv: its data file is not the one that the study began with" in answer.err
    assert len(answer.err.splitlines()) == 1
    shutil.copy("kept.csv", "other.csv")
    assert minifw("resume", path).code == 0


def test_parts_that_were_trained_with_other_data_are_not_merged(minifw: Minifw) -> None:
    words = ("sweep", "two.yaml", "--over", "data.path=one.csv,other.csv", "--seeds", 2, "-q")
    for part in (1, 2):
        assert minifw(*words, "--part", f"{part}/2", "--runs-dir", "parts").code == 0
        write("other.csv", 3)
    paths = sorted(Path("parts").iterdir())
    answer = minifw("runs", "merge", *paths)
    assert (answer.code, answer.out) == (2, "")
    assert "is not a part of the same study" in answer.err
    assert answer.err.endswith(": another data file of data.path=other.csv\n")
    assert not Path("runs").exists()


def test_parts_with_other_code_are_not_merged(minifw: Minifw) -> None:
    Path("two.yaml").write_text(CONFIG.replace("linear: 2", "linear: 2, {python: own.Same}"))
    code = "from minifw.nn import Tanh\n\n\nclass Same(Tanh):\n    pass\n"
    words = ("sweep", "two.yaml", "--over", "train.eta=0.1,1", "--seeds", 1, "--allow-code", "-q")
    for part in (1, 2):
        Path("own.py").write_text(code + f"\n\nPART = {part}\n")
        assert minifw(*words, "--part", f"{part}/2", "--runs-dir", "parts").code == 0
    answer = minifw("runs", "merge", *sorted(Path("parts").iterdir()), "--allow-code")
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.endswith(": another own.py\n")
    assert not Path("runs").exists()


def test_a_part_with_a_damaged_job_leaves_no_half_of_a_run(minifw: Minifw) -> None:
    words = ("sweep", "two.yaml", "--over", "train.eta=0.1,1", "--seeds", 1, "-q")
    for part in (1, 2):
        assert minifw(*words, "--part", f"{part}/2", "--runs-dir", "parts").code == 0
    paths = sorted(Path("parts").iterdir())
    (job,) = (paths[1] / "jobs").iterdir()
    job.write_bytes(job.read_bytes()[:-40])
    answer = minifw("runs", "merge", *paths)
    assert (answer.code, answer.out) == (4, "")
    assert answer.err.endswith(": the job shape-0.1-of-1 is missing or damaged\n")
    assert not Path("runs").exists()
