"""`minifw predict`: what a run keeps is enough to use its networks, and gives its own errors again."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from conftest import Answer, Minifw
from minifw import data
from minifw.experiment import prediction
from minifw.runs.directory import load
from minifw.system.files import checksum

NAMES = ["a b", "two", "10"]


def write_csv(path: Path, samples: int = 60, *, extra: bool = False) -> None:
    rng = np.random.default_rng(3)
    lines = ["wide,noise,tall,kind" if not extra else "kind,tall,other,wide,noise"]
    for i in range(samples):
        wide, noise, tall = (repr(float(v)) for v in rng.normal([i % 3, 5, 100 - i % 3], 0.8))
        kind = NAMES[i % 3]
        lines.append(
            ",".join([wide, noise, tall, kind] if not extra else [kind, tall, "x", wide, noise])
        )
    path.write_text("\n".join(lines) + "\n")


def trained(
    minifw: Minifw, *words: object, loss: str = "cross-entropy", command: str = "train"
) -> Path:
    write_csv(Path("d.csv"))
    answer = minifw(
        command, "simplenet", "--set", "data={kind: csv, path: d.csv, target: kind}", "--quiet",
        "--set", "network=[{linear: 5}, relu, {linear: 3}]", "--set", f"loss={loss}",
        "--set", "train={eta: 0.5, epochs: 20, batch_size: 7}", *words, "--json",
    )  # fmt: skip
    assert answer.code == 0, answer.err
    return Path(answer.json["run_dir"])


def table(answer: Answer) -> list[dict[str, str]]:
    assert answer.code == 0, answer.err
    return list(csv.DictReader(io.StringIO(answer.out)))


@pytest.mark.parametrize("loss", ["mse", "cross-entropy"])
def test_each_seed_has_the_test_error_of_its_run_again(minifw: Minifw, loss: str) -> None:
    run = trained(minifw, "--seeds", 3, loss=loss)
    results = json.loads((run / "results.json").read_text())
    errors = results["modes"]["full-batch"]["minifw"]["test_error"]
    for seed in range(3):
        rows = table(minifw("predict", run, "d.csv", "--seed", seed))
        _, test = data.split(data.generator(seed, "data"), 60, 0.8, None)
        wrong = [rows[i]["class"] != NAMES[i % 3] for i in test]
        assert 100 * np.mean(wrong) == pytest.approx(errors[seed])


def test_what_is_documented_is_enough_to_compute_it_without_minifw(minifw: Minifw) -> None:
    run = trained(minifw, "--seeds", 2)
    about = json.loads((run / "inputs.json").read_text())
    normal = safetensors.numpy.load((run / "normalization.safetensors").read_bytes())
    weights = safetensors.numpy.load(
        (run / "checkpoints/minifw-full-batch.safetensors").read_bytes()
    )
    assert about["features"] == ["wide", "noise", "tall"]
    assert about["classes"] == sorted(NAMES)
    columns = list(csv.DictReader(io.StringIO(Path("d.csv").read_text())))
    inputs = np.array([[float(row[name]) for name in about["features"]] for row in columns])
    scores = []
    for k in range(2):
        x = ((inputs - normal["shift"][k]) / normal["scale"][k]).astype(np.float32)
        hidden = np.maximum(0, x @ weights["0.weight"][k].T + weights["0.bias"][k])
        output = hidden @ weights["2.weight"][k].T + weights["2.bias"][k]
        scores.append(np.exp(output) / np.exp(output).sum(1, keepdims=True))
    rows = table(minifw("predict", run, "d.csv", "--all-seeds"))
    for i, row in enumerate(rows):
        choices = [about["classes"][scores[k][i].argmax()] for k in range(2)]
        assert [row["seed 0"], row["seed 1"]] == choices
        assert int(row["votes"]) == choices.count(row["class"])
        for c, name in enumerate(about["classes"]):
            own = [scores[k][i][c] for k in range(2)]
            assert float(row[f"score {name}"]) == pytest.approx(np.mean(own), abs=1e-5)
            assert float(row[f"spread {name}"]) == pytest.approx(np.std(own, ddof=1), abs=1e-5)


def test_columns_are_found_by_their_names(minifw: Minifw) -> None:
    run = trained(minifw)
    write_csv(Path("other.csv"), extra=True)
    answers = [minifw("predict", run, name) for name in ("d.csv", "other.csv")]
    assert table(answers[0]) == table(answers[1])
    assert "votes" not in answers[0].out  # one seed does not vote
    assert "the file has column 'kind' too: " in answers[0].err


def test_of_classes_with_the_same_votes_the_better_score_is_chosen() -> None:
    votes = np.array([[1, 1, 0], [0, 1, 1], [2, 0, 0], [1, 1, 1]])
    scores = np.array([[0.3, 0.4, 0.9], [0.9, 0.2, 0.1], [0.1, 0.8, 0.9], [0.1, 0.2, 0.3]])
    assert prediction.choose_classes(votes, scores).tolist() == [1, 1, 0, 2]


def test_the_file_is_written_where_its_name_leads(minifw: Minifw) -> None:
    run = trained(minifw)
    plain = minifw("predict", run, "d.csv").out
    Path("real.csv").write_text("old")
    Path("real.csv").chmod(0o600)
    Path("link.csv").symlink_to("real.csv")
    assert minifw("predict", run, "d.csv", "--out", "link.csv").code == 0
    assert Path("link.csv").is_symlink()
    assert Path("real.csv").read_text() == plain
    assert Path("real.csv").stat().st_mode & 0o777 == 0o600
    os.mkfifo("pipe")
    with subprocess.Popen(["cat", "pipe"], stdout=subprocess.PIPE, text=True) as reader:
        assert minifw("predict", run, "d.csv", "--out", "pipe").code == 0
        assert reader.communicate()[0] == plain
    assert stat.S_ISFIFO(Path("pipe").stat().st_mode)
    for wrong, code, what in (
        ("d.csv/x", 6, "d.csv/x: cannot be written: there is no such directory"),
        ("nowhere/x", 6, "nowhere/x: cannot be written: there is no such directory"),
        ("d.csv", 2, "--out: 'd.csv' is the file to read, and is not overwritten"),
        (
            f"{run}/config.yaml",
            2,
            f"--out: '{run}/config.yaml' is inside a run, whose files must not change; "
            "name one outside",
        ),
    ):
        answer = minifw("predict", run, "d.csv", "--out", wrong)
        assert (answer.code, answer.out, answer.err) == (code, "", f"{what}\n")
    assert not Path("nowhere").exists()


def test_answers_go_to_a_file_or_into_json(minifw: Minifw) -> None:
    run = trained(minifw, "--seeds", 2)
    plain = minifw("predict", run, "d.csv")
    written = minifw("predict", run, "d.csv", "--out", "classes.csv")
    assert written.out == "classes.csv\n"
    assert Path("classes.csv").read_text() == plain.out
    answer = minifw("predict", run, "d.csv", "--json").json
    assert answer["seeds"] == [0, 1]
    assert answer["score"] == "probability"
    assert [str(row["class"]) for row in answer["rows"]] == [row["class"] for row in table(plain)]


def test_classes_in_the_file_are_compared(minifw: Minifw) -> None:
    run = trained(minifw, "--seeds", 2)
    text = Path("d.csv").read_text()
    same = minifw("predict", run, "d.csv", "--json")
    assert "the file that the run was trained on" in same.err
    right = [row["class"] == NAMES[i % 3] for i, row in enumerate(same.json["rows"])]
    assert same.json["compared"] == {"samples": 60, "different": 60 - sum(right), "unknown": []}
    Path("new.csv").write_text(text.replace(",two", ",tow", 1).replace(",10\n", ",?\n", 1))
    other = minifw("predict", run, "new.csv", "--json")
    assert "trained on" not in other.err
    assert "with classes that this run does not know: 'tow'" in other.err
    assert other.json["compared"]["samples"] == 59
    assert other.json["compared"]["unknown"] == ["tow"]
    Path("none.csv").write_text(text.replace("kind", "other", 1))
    assert minifw("predict", run, "none.csv", "--json").json["compared"] is None


def test_generated_data_and_npz(minifw: Minifw) -> None:
    small = ("--set", "train.epochs=2", "--set", "data.train=20", "--quiet", "--json")
    run = Path(minifw("train", "simplenet", *small).json["run_dir"])
    Path("points.csv").write_text("y,x\n0.1,0.9\n0.5,0.5\n")
    assert len(table(minifw("predict", run, "points.csv"))) == 2
    x, y = np.random.default_rng(0).normal(size=(20, 2)), np.arange(20) % 2
    np.savez("d.npz", inputs=x, y=y)
    answer = minifw("train", "simplenet", "--set", "data={kind: npz, path: d.npz, features: inputs}",
                    "--set", "train.epochs=2", "--quiet", "--json")  # fmt: skip
    rows = table(minifw("predict", answer.json["run_dir"], "d.npz"))
    assert len(rows) == 20
    assert set(rows[0]) == {"row", "class", "score 0", "score 1"}


def test_both_modes_of_a_comparison(minifw: Minifw) -> None:
    run = trained(minifw, "--seeds", 2, "--reference", "none", command="compare")
    answer = minifw("predict", run, "d.csv")
    assert (answer.code, answer.out) == (2, "")
    assert answer.err == "--mode: this run has several, choose one of full-batch, sgd\n"
    full, sgd = (table(minifw("predict", run, "d.csv", "--mode", m)) for m in ("full-batch", "sgd"))
    assert full != sgd


def test_seeds_that_diverged_have_no_vote(minifw: Minifw, monkeypatch: pytest.MonkeyPatch) -> None:
    run = trained(minifw, "--seeds", 3)
    from minifw.training.checkpoint import Checkpoint

    real = Checkpoint.from_bytes.__func__  # type: ignore[attr-defined]

    def one_gone(cls: type[Checkpoint], content: bytes, where: str) -> Checkpoint:
        checkpoint: Checkpoint = real(cls, content, where)
        checkpoint.history.diverged[1] = 5
        return checkpoint

    monkeypatch.setattr(Checkpoint, "from_bytes", classmethod(one_gone))
    answer = minifw("predict", run, "d.csv", "--all-seeds")
    assert "left out, since diverged: seed 1" in answer.err
    assert [key for key in table(answer)[0] if key.startswith("seed ")] == ["seed 0", "seed 2"]
    answer = minifw("predict", run, "d.csv", "--seed", 1)
    assert (answer.code, answer.err) == (2, f"{run}: seed 1 diverged; there is no network to ask\n")


def test_groups_of_seeds_are_put_together_in_their_order(
    minifw: Minifw, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = trained(minifw, "--seeds", 3)
    expected = table(minifw("predict", whole, "d.csv", "--all-seeds"))
    monkeypatch.setattr("minifw.experiment.memory.GROUP_BYTES", 1)
    run = trained(minifw, "--seeds", 3)
    assert len(load(run).manifest.parts) == 3
    assert table(minifw("predict", run, "d.csv", "--all-seeds")) == expected


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("wide,tall,kind\n1,2,two\n", "p.csv: there is no column 'noise'"),
        ("wide,kind\n1,two\n", "p.csv: there is no column 'noise', 'tall'"),
        ("wide,noise,tall\n1,,3\n", "p.csv:2: 1 cell is missing: 'noise' (line 2: ''"),
        ("wide,noise,tall\n1,x,3\n", "p.csv:2: 1 cell is not a number: 'noise' (line 2: 'x'"),
        ("wide,noise,tall\n1,1,3\n1,1e300,3\n", "sample 2: its numbers are too large"),
        ("wide,noise,tall\n3.3e38,-3.3e38,3.3e38\n", "sample 1: its numbers are too large"),
    ],
)
def test_faults_of_the_file(minifw: Minifw, text: str, what: str) -> None:
    run = trained(minifw)
    Path("p.csv").write_text(text)
    answer = minifw("predict", run, "p.csv", "--out", "never.csv")
    assert (answer.code, answer.out, answer.err.count("\n")) == (2, "", 1)
    assert what in answer.err
    assert not Path("never.csv").exists()


def test_faults_of_the_run(minifw: Minifw) -> None:
    run = trained(minifw)

    def changed(name: str, content: bytes | None, *, known: bool = True) -> tuple[int, str]:
        """The answer for a copy of the run in which a file is another."""
        copy = Path("copy")
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(run, copy)
        again = load(copy)
        if content is None:
            del again.known[name]
        else:
            (copy / name).write_bytes(content)
            if known:
                again.known[name] = checksum(content)
        again.commit()
        answer = minifw("predict", copy, "d.csv")
        assert answer.err.count("\n") == 1
        return answer.code, answer.err

    assert changed("inputs.json", None)[0] == 4
    code, err = changed("normalization.safetensors", None)
    assert (code, "minifw train copy/config.yaml makes it anew" in err) == (4, True)
    normal: dict[str, Any] = safetensors.numpy.load(
        (run / "normalization.safetensors").read_bytes()
    )
    name = "normalization.safetensors"
    assert "damaged" in changed(name, b"x", known=False)[1]
    for wrong in (
        {"shift": normal["shift"]},
        normal | {"scale": normal["scale"] * 0},
        normal | {"shift": normal["shift"] * np.nan},
        normal | {"shift": normal["shift"][:, :2].copy()},
        normal | {"scale": normal["scale"].astype(np.float32)},
    ):
        code, err = changed(name, safetensors.numpy.save(wrong))
        assert (code, err.startswith(f"copy/{name}: ")) == (4, True)
    about = json.loads((run / "inputs.json").read_text())
    for key, value in (
        ("features", 5),
        ("classes", []),
        ("classes", ["a", "a", "b"]),
        ("classes", ["a", "\x1b[31m", "b"]),
        ("seeds", ["a"]),
        ("score", "x"),
    ):
        code, err = changed("inputs.json", json.dumps(about | {key: value}).encode())
        assert (code, f"inputs.json: {key}" in err) == (4, True)
    assert changed("inputs.json", json.dumps(about | {"classes": ["a", "b"]}).encode())[0] == 4
    assert changed("inputs.json", json.dumps(about | {"seeds": [0, 1]}).encode())[0] == 4
    assert changed("inputs.json", json.dumps(about | {"score": "output"}).encode())[0] == 4
    assert changed("inputs.json", json.dumps(about | {"features": ["wide"] * 3}).encode())[0] == 4
    name = "checkpoints/minifw-full-batch.safetensors"
    weights: dict[str, Any] = safetensors.numpy.load((run / name).read_bytes())
    of_weights: tuple[tuple[str, Any], ...] = (
        ("0.weight", weights["0.weight"][0]),
        ("0.weight", np.array(1, np.float32)),
        ("0.weight", np.repeat(weights["0.weight"], 2, 0)),
        ("0.bias", None),
        ("history/epochs", np.zeros(0, np.int64)),
    )
    for key, array in of_weights:
        wrong = {k: v for k, v in (weights | {key: array}).items() if v is not None}
        assert changed(name, safetensors.numpy.save(wrong))[0] == 4
    config = (run / "config.yaml").read_text()
    assert "out_features: 5" in config
    wrong_config = config.replace("out_features: 5", "out_features: 6").encode()
    assert changed("config.yaml", wrong_config)[0] == 4


def test_options_that_do_not_fit(minifw: Minifw) -> None:
    run = trained(minifw)
    for words, what in (
        (("--seed", 3), "--seed: must be 0 to 0, as in this run, got 3"),
        (
            ("--seed", 0, "--all-seeds"),
            "--all-seeds: cannot be used with --seed, which selects one seed",
        ),
        (("--mode", "sgd"), "--mode: must be one of full-batch, got 'sgd'"),
    ):
        answer = minifw("predict", run, "d.csv", *words)
        assert (answer.code, answer.out, answer.err) == (2, "", f"{what}\n")


def test_resume_refuses_classes_that_are_read_otherwise(minifw: Minifw) -> None:
    """The file may be the same, and another minifw order its classes in another way."""
    run = load(trained(minifw))
    about = json.loads((run.path / "inputs.json").read_text())
    run.write_json("inputs.json", about | {"classes": about["classes"][::-1]})
    run.commit(status="interrupted", finished=None)
    answer = minifw("resume", run.path, "--quiet")
    assert (answer.code, answer.err.count("\n")) == (4, 1)
    assert answer.err.startswith(f"{run.path}/inputs.json: classes: this minifw reads ['10', ")
    run.write_json("inputs.json", about)
    run.commit()
    assert minifw("resume", run.path, "--quiet").code == 0
