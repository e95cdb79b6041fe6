"""The commands, as a user calls them: what they print, write, and how they end."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch

from conftest import COMPILED, ROOT, SMALL, Answer, Minifw
from minifw.compile.compilers import find_compiler

CONFIGS = ROOT / "src/minifw/examples"
QUICK = (*SMALL, "--set", "train.epochs=4", "--set", "train.eval_every=2")


def run_dirs(folder: Path = Path()) -> list[Path]:
    return sorted((folder / "runs").iterdir()) if (folder / "runs").exists() else []


def check_run_dir(path: Path, arms: list[str], modes: list[str]) -> dict[str, Any]:
    """A complete run directory, as DESIGN says; returns the manifest."""
    manifest: dict[str, Any] = json.loads((path / "manifest.json").read_text())
    files = {str(p.relative_to(path)) for p in path.rglob("*") if p.is_file()}
    numbers = {"full-batch": 1, "sgd": 2}
    expected = {
        "config.yaml",
        "env.json",
        "results.json",
        "metrics.jsonl",
        "decision.npz",
        "inputs.json",
        "manifest.json",
        "normalization.safetensors",
    }
    expected |= {f"checkpoints/{arm}-{mode}.safetensors" for arm in arms for mode in modes}
    plots = ["errors", "decision"]
    if manifest["status"] != "diverged":  # else there is no answer to count
        plots.append("confusion")
    expected |= {f"plots/{name}.{end}" for name in plots for end in ("svg", "png")}
    tables = [f"table{numbers[mode]}" for mode in modes] + ["table3", "table4"]
    expected |= {f"tables/{name}.{end}" for name in tables for end in ("md", "csv", "tex", "json")}
    assert files == expected
    assert set(manifest["files"]) == files - {"manifest.json"}
    for name, digest in manifest["files"].items():
        assert hashlib.sha256((path / name).read_bytes()).hexdigest() == digest
    assert {"python", "torch", "numpy", "minifw"} <= set(manifest["versions"])
    assert manifest["threads"] >= 1
    return manifest


def test_train_leaves_a_complete_run(minifw: Minifw) -> None:
    answer = minifw("train", CONFIGS / "simplenet.yaml", "--seeds", 3, *QUICK)
    assert answer.code == 0, answer.err
    (path,) = run_dirs()
    assert answer.out.rstrip().endswith(str(path))
    manifest = check_run_dir(path, ["minifw"], ["full-batch"])
    assert manifest["status"] == "complete"
    assert manifest["seeds"] == [0, 1, 2]
    text = " ".join(answer.out.split())
    assert "class 0 " in text
    assert "guessing the class most frequent in training is wrong in" in text
    lines = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [0, 2, 4]
    assert all(len(line["test_error"]) == 3 for line in lines)
    state = safetensors.torch.load(
        (path / "checkpoints/minifw-full-batch.safetensors").read_bytes()
    )
    assert state["2.weight"].shape == (3, 25, 25)


def test_a_run_can_be_run_again_as_it_is(minifw: Minifw) -> None:
    first = minifw(
        "train", "simplenet", "--seeds", 2, *QUICK, "--set", "train.mode=sgd", "--json"
    ).json
    again = minifw("train", Path(first["run_dir"]) / "config.yaml", "--json").json
    assert again["run_dir"] != first["run_dir"]
    assert again["test_error"] == first["test_error"]
    assert again["seeds"] == [0, 1]
    states = [
        (Path(r["run_dir"]) / "checkpoints/minifw-sgd.safetensors").read_bytes()
        for r in (first, again)
    ]
    assert states[0] == states[1]


@pytest.mark.skipif(find_compiler() is None, reason="there is no C compiler")
@pytest.mark.xdist_group("compiled run")
def test_a_compiled_run_says_so(minifw: Minifw) -> None:
    answer = minifw("train", *QUICK, *COMPILED)
    assert answer.code == 0, answer.err
    assert "| minifw: compiled | yes |" in (run_dirs()[0] / "tables/table3.md").read_text()
    plain = minifw("train", "simplenet", "--seeds", 2, *QUICK)
    assert "compiled" not in plain.out


def test_train_json(minifw: Minifw, tmp_path: Path) -> None:
    answer = minifw(
        "train", CONFIGS / "simplenet.yaml", *QUICK, "--json", "--runs-dir", tmp_path / "x/y"
    )
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.count("\n") == 1
    assert Path(answer.json["run_dir"]).parent == tmp_path / "x/y"
    assert len(answer.json["test_error"]) == len(answer.json["train_error"]) == 1
    assert 0 <= answer.json["test_error"][0] <= 100


def test_quiet_and_pipes(minifw: Minifw) -> None:
    loud = minifw("train", "simplenet", *QUICK)
    assert loud.err.splitlines() == [loud.err.rstrip("\n")]  # one plain line, no control characters
    assert loud.err.startswith("minifw full-batch: 4 of 4  loss ")
    assert minifw("train", "simplenet", *QUICK, "--quiet").err == ""
    assert "\x1b" not in loud.out + loud.err


def test_what_is_random_is_not_said_to_be_rounding(minifw: Minifw, tmp_path: Path) -> None:
    """PyTorch's dropout draws other numbers. Adam names its tables; the variance too."""
    text = (CONFIGS / "simplenet.yaml").read_text()
    changes = ["--set", "network.1={kind: dropout, p: 0.5}", "--set", "optimizer=adam"]
    Path("a.yaml").write_text(text)
    answer = minifw("compare", "a.yaml", "--seeds", 3, *QUICK, *changes)
    words = " ".join(answer.out.split())
    assert "random layers, such as dropout, draw other numbers in the two frameworks" in words
    assert "rounding in" not in words
    assert "Full batch, Adam – test error" in words
    assert "Table 2: Adam – test error" in words
    assert "SGD" not in words
    (path,) = run_dirs()
    content = json.loads((path / "results.json").read_text())
    assert content["optimizer"] == "Adam"
    assert content["parity"]["sgd"]["draws_differ"] is True
    plain = minifw("compare", "a.yaml", "--seeds", 2, *QUICK, "--json").json
    assert "optimizer" not in plain
    assert "draws_differ" not in plain["parity"]["sgd"]


def test_the_classes_that_are_not_listed_are_counted(minifw: Minifw) -> None:
    answer = minifw(
        "train", CONFIGS / "simplenet.yaml", "--set", "train.epochs=1",
        "--set", "data={kind: modular-addition, modulus: 11}", "--set", "network.6.out_features=11",
    )  # fmt: skip
    assert answer.code == 0, answer.err
    assert ", and 3 other classes; guessing" in " ".join(answer.out.split())


def test_compare_without_a_reference_runs_both_modes_alone(minifw: Minifw) -> None:
    answer = minifw("compare", *QUICK, "--seeds", "3", "--reference", "none", "--json")
    assert answer.code == 0, answer.err
    result = answer.json
    assert {mode: list(arms) for mode, arms in result["tables"].items()} == {
        "full-batch": ["minifw"],
        "sgd": ["minifw"],
    }
    assert "parity" not in result
    check_run_dir(Path(result["run_dir"]), ["minifw"], ["full-batch", "sgd"])
    wrong = minifw("compare", *QUICK, "--reference", "non")
    assert (wrong.code, wrong.out) == (2, "")
    assert wrong.err == (
        "--reference: must be one of pytorch, vmap, none, got 'non'; did you mean 'none'?\n"
    )
    assert len(run_dirs()) == 1
    text = minifw("compare", *QUICK, "--seeds", "2", "--reference", "none")
    assert text.code == 0, text.err
    assert "PyTorch" not in text.out


@pytest.mark.parametrize("arm", ["pytorch", "vmap"])
def test_compare_shows_parity(minifw: Minifw, arm: str) -> None:
    answer = minifw(
        "compare", "--seeds", 3, *QUICK, "--set", "dtype=float64", "--json", "--reference", arm
    )
    assert answer.code == 0, answer.err
    result = answer.json
    manifest = check_run_dir(Path(result["run_dir"]), ["minifw", arm], ["full-batch", "sgd"])
    assert manifest["arms"] == ["minifw", arm]
    for mode in ("full-batch", "sgd"):
        assert list(result["tables"][mode]["minifw"]) == [
            "n", "diverged", "min", "q1", "median", "q3", "mean", "sd", "max",
            "median_interval", "mean_interval",
        ]  # fmt: skip
        assert result["tables"][mode]["minifw"] == result["tables"][mode][arm]
        assert result["parity"][mode]["max_gradient_difference"] <= 1e-12
        assert result["parity"][mode]["max_weight_difference"] <= 1e-12
        assert result["parity"][mode]["same_test_error"] == "3 of 3"
        assert result["seconds"][mode][arm] > 0
    assert result["tables"]["full-batch"] != result["tables"]["sgd"]


@pytest.mark.parametrize("arm", ["pytorch", "vmap"])
def test_gradients_that_are_not_finite_are_not_equal(minifw: Minifw, arm: str) -> None:
    huge = ("--set", "init={kind: normal, std: 1e15}", "--set", "train.epochs=2", *SMALL)
    answer = minifw("compare", "--seeds", 3, *huge, "--json", "--reference", arm)
    assert answer.code == 3, answer.err
    (run,) = Path("runs").iterdir()
    for parity in json.loads((run / "results.json").read_text())["parity"].values():
        assert parity["max_gradient_difference"] is None
        assert parity["gradients_not_finite"] == 3
        assert parity["max_gradient_difference_float64"] < 1e-12
        assert parity["max_weight_difference"] is None
        assert parity["same_test_error"] == "0 of 0"
    table = (run / "tables/table3.csv").read_text()
    assert 'without finite gradients, float32",3,3' in table


def test_tables_in_all_formats(minifw: Minifw) -> None:
    answer = minifw("compare", "--seeds", 4, *QUICK)
    assert answer.code == 0, answer.err
    folder = run_dirs()[0] / "tables"
    results = json.loads((folder.parent / "results.json").read_text())
    for number, mode in ((1, "full-batch"), (2, "sgd")):
        name = folder / f"table{number}"
        text = name.with_suffix(".md").read_text()
        assert f"\nTable {number}: " in answer.out
        assert text.startswith(f"Table {number}: ")
        assert "over 4 independent draws of data and weights" in text
        content = json.loads(name.with_suffix(".json").read_text())
        rows = list(csv.reader(name.with_suffix(".csv").read_text().splitlines()))
        assert rows[0] == ["test error", "minifw", "PyTorch"]
        figures = {row[0]: row for row in rows[1:]}
        assert [*figures][:2] == ["n", "diverged"]
        assert figures["n"][1:] == ["4", "4"]
        for key in ("min", "median", "mean", "max"):
            row = figures[key]
            errors = [results["modes"][mode][arm]["test_error"] for arm in ("minifw", "pytorch")]
            expected = [float(getattr(np, key)(e)) for e in errors]
            assert list(map(float, row[1:])) == content["rows"][key] == expected
            assert f"| {key} | {expected[0]:.2f} % | {expected[1]:.2f} % |" in text
            assert re.search(rf"\n {key} +{expected[0]:.2f} % +{expected[1]:.2f} %\n", answer.out)
            assert (
                rf"{key} & {expected[0]:.2f} \% & {expected[1]:.2f} \% \\"
                in name.with_suffix(".tex").read_text()
            )
    work = (folder / "table3.md").read_text()
    for line in (
        "minifw: training, s",
        "PyTorch: training, s",
        "PyTorch / minifw",
        "gradients at step 1, float64",
        "weights at the end",
    ):
        assert f"| {line}" in work
    assert (folder / "table3.tex").read_text().count("{") == (
        folder / "table3.tex"
    ).read_text().count("}")


def test_pictures_are_pictures(minifw: Minifw) -> None:
    minifw("train", "simplenet", *QUICK)
    folder = run_dirs()[0] / "plots"
    for png in folder.glob("*.png"):
        assert png.read_bytes().startswith(b"\x89PNG")
    for svg in folder.glob("*.svg"):
        assert "<svg" in svg.read_text()
    assert len(list(folder.iterdir())) == 6


@pytest.mark.parametrize("path", sorted(CONFIGS.rglob("*.yaml")), ids=lambda path: path.stem)
def test_packaged_configs_train_two_epochs(minifw: Minifw, path: Path, its_data: Any) -> None:
    words = ["--seeds", 2, "--set", "train.epochs=2", "--json", *its_data(path)]
    answer = minifw("train", path, *words)
    assert answer.code == 0, answer.err
    by_name = minifw("train", path.stem, *words)
    assert by_name.json["test_error"] == answer.json["test_error"]


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted(CONFIGS.rglob("*.yaml")), ids=lambda path: path.stem)
def test_packaged_configs_are_the_same_in_pytorch(
    minifw: Minifw, path: Path, its_data: Any
) -> None:
    """The gradients of the first step in float64, and the errors after two epochs of few steps."""
    few = ["train.epochs=2", "train.batch_size=32"]
    if "modular-addition" not in path.read_text(encoding="utf-8"):
        few.append("data.train=100")  # iris has 150 samples
    words = [word for key in few for word in ("--set", key)]
    answer = minifw("compare", path, "--seeds", 2, *words, *its_data(path), "--json")
    assert answer.code == 0, answer.err
    for mode, parity in answer.json["parity"].items():
        assert parity["max_gradient_difference_float64"] <= 1e-11, mode
        assert parity["gradients_not_finite"] == 0
        assert parity["max_weight_difference"] <= 1e-3


# --------------------------------------------------------------------------------- a user's data


def points_csv(tmp_path: Path, features: int = 2) -> Path:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(60, features))
    names = ",".join(f"f{i}" for i in range(features))
    lines = [
        f"{','.join(map(repr, map(float, row)))},{'in' if row[0] > 0 else 'out'}" for row in rows
    ]
    path = tmp_path / "points.csv"
    path.write_text(f"{names},where\n" + "\n".join(lines) + "\n")
    return path


def test_training_on_a_csv(minifw: Minifw, tmp_path: Path) -> None:
    path = points_csv(tmp_path)
    answer = minifw(
        "train", "simplenet", "--set", f"data={{kind: csv, path: {path.name}, target: where}}",
        "--seeds", 3, "--set", "train.epochs=60", "--set", "train.eta=0.1", "--set", "train.batch_size=40",
    )  # fmt: skip
    assert answer.code == 0, answer.err
    assert "48 training and 12 test samples. Of these: class in " in " ".join(answer.out.split())
    again = minifw("train", run_dirs()[0] / "config.yaml", "--json")
    assert again.code == 0, again.err
    assert max(again.json["test_error"]) < 40
    assert run_dirs()[0].joinpath("plots/decision.png").exists()


def test_odd_names_of_classes_are_only_names(minifw: Minifw, tmp_path: Path) -> None:
    names = ("[/x]", r"$\bad{", "<b>", "ü_&%")
    lines = [f"{i % 7},{i % 5},{names[i % 4]}" for i in range(80)]
    (tmp_path / "p.csv").write_text("$x_,\\frac,kind\n" + "\n".join(lines) + "\n")
    answer = minifw("train", "simplenet", "--set", "data={kind: csv, path: p.csv}", "--seeds", 2,
                    "--set", "network.6.linear=4", "--set", "train.epochs=3")  # fmt: skip
    assert answer.code == 0, answer.err
    assert all(f"class {name} " in " ".join(answer.out.split()) for name in names)
    svg = (run_dirs()[0] / "plots/decision.svg").read_text()
    assert svg.count("<svg") == 1


def test_training_on_an_npz_with_three_features(minifw: Minifw, tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(50, 3))
    np.savez(tmp_path / "p.npz", x=x, y=(x[:, 0] > 0).astype(int))
    answer = minifw("train", "simplenet", "--set", "data={kind: npz, path: p.npz}", "--set",
                    "train.epochs=3", "--json")  # fmt: skip
    assert answer.code == 0, answer.err
    assert not (Path(answer.json["run_dir"]) / "decision.npz").exists()


# ------------------------------------------------------------------------------------- mistakes


def edited(tmp_path: Path, old: str, new: str) -> Path:
    text = (CONFIGS / "simplenet.yaml").read_text()
    assert old in text
    path = tmp_path / "mine.yaml"
    path.write_text(text.replace(old, new))
    return path


def one_line(answer: Answer, *expected: str, code: int = 2) -> None:
    assert answer.code == code
    assert answer.out == ""
    assert answer.err.count("\n") == 1, answer.err
    assert "Traceback" not in answer.err
    for part in expected:
        assert part in answer.err
    assert not run_dirs()


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("epochs: 1000", "epochs: 1000\n  epcohs: 3", "train.epcohs: unknown key; did you mean 'epochs'?"),
        ("eta: 1e-2 ", "eta: fast ", "train.eta: must be a number, got 'fast' (text)"),
        ("  - relu\n  - linear: 2\n", "  - rleu\n  - linear: 2\n", "unknown kind 'rleu'; did you mean 'relu'?"),
        ("  - linear: 2\n", "  - linear: {out_features: 2, in_features: 7}\n", "expects 7 inputs, but network.4 (line 41) gives 25"),
        ("kind: disk", "kind: dsik", "did you mean 'disk'?"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("command", ["train", "compare"])
def test_mistakes_in_a_config(
    minifw: Minifw, tmp_path: Path, command: str, old: str, new: str, expected: str
) -> None:
    path = edited(tmp_path, old, new)
    one_line(minifw(command, path), f"{path}:", expected)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["train", "none.yaml"], "none.yaml: there is no such file"),
        (["train", "simplnet"], "simplnet: there is no such file or packaged config; did you mean 'simplenet'?"),
        (["train", "configs/simplenet.yaml"], "configs/simplenet.yaml: there is no such file; the packaged config is called simplenet"),
        (["train", "."], "this is a directory"),
        (["train", "empty.yaml"], "empty.yaml: the file is empty"),
        (["train", "simplenet", "--seeds", "0"], "--seeds: must be at least 1, got 0"),
        (["train", "simplenet", "--seeds", "-3"], "--seeds: must be at least 1, got -3"),
        (["train", "simplenet", "--seeds", "many"], "Invalid value for '--seeds'"),
        (["train", "simplenet", "--threads", "100000"], "--threads: must be at most the "),
        (["train", "simplenet", "--set", "data={kind: csv, path: p.csv, train: 1.5}"], "data.train: must be a fraction below 1 or a whole number of samples, got 1.5"),
        (["train", "simplenet", "--set", "data={kind: moons, noise: 1e300}"], "data.noise: must be at most 3.4028e+36 for dtype float32, got 1e+300"),
        (["train", "simplenet", "--threads", "0"], "--threads: must be at least 1, got 0"),
        (["train", "simplenet", "--set", "train.eta"], "expects section.key=value"),
        (["train", "simplenet", "--sede", "3"], "No such option: --sede"),
        (["train"], "Missing argument 'CONFIG'"),
        (["trian"], "No such command 'trian'"),
        (["compare", "simplenet", "--set", "train.batch_size=null"], "train.batch_size"),
        (["compare", "simplenet", "--seeds", "0"], "--seeds: must be at least 1, got 0"),
        (["train", "simplenet", "--set", "data={kind: csv, path: no.csv}"], "no.csv: cannot be read as data"),
        (["train", "simplenet", "--set", 'data={kind: csv, path: "a\\0b"}'], "cannot be read as data: embedded null"),
        (["train", "simplenet", "--set", "data={kind: csv, path: p.csv, train: 59}", "--set", "train.batch_size=60", "--set", "train.mode=sgd"],
         "train.batch_size: must be at most the 59 training samples, got 60"),
        (["train", "simplenet", "--set", "data={kind: csv, path: p3.csv}", "--set", "train.batch_size=4"],
         "3 classes ('0', '1', '2'), the last layer has 2 outputs; --set network.6.out_features=3"),
        (["train", "simplenet", "--set", "data={kind: csv, path: p.csv, train: 600}"], "data.train: expects at least 1 training and 1 test sample"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)  # fmt: skip
def test_mistakes_on_the_command_line(
    minifw: Minifw, tmp_path: Path, words: list[str], expected: str
) -> None:
    (tmp_path / "empty.yaml").touch()
    points_csv(tmp_path).rename(tmp_path / "p.csv")
    (tmp_path / "p3.csv").write_text("a,y\n" + "".join(f"{i},{i % 3}\n" for i in range(30)))
    one_line(minifw(*words), expected)


def test_a_network_without_a_place_in_memory(minifw: Minifw, tmp_path: Path) -> None:
    path = edited(tmp_path, "linear: 25", "linear: 100000")
    needs = ":39:13: network.2.out_features: needs about "
    one_line(minifw("train", path, "--seeds", 20), needs, "a narrower layer would help")


def test_the_number_1e_3_is_a_number(minifw: Minifw, tmp_path: Path) -> None:
    path = edited(tmp_path, "eta: 1e-2 ", "eta: 1e-3 ")
    answer = minifw("train", path, *QUICK, "--json")
    assert answer.code == 0
    assert "eta: 0.001\n" in (Path(answer.json["run_dir"]) / "config.yaml").read_text()


def test_a_place_where_nothing_can_be_written(minifw: Minifw, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    answer = minifw("train", "simplenet", *QUICK, "--quiet", "--runs-dir", tmp_path / "file")
    assert answer.code == 6
    assert answer.err.count("\n") == 1
    assert str(tmp_path / "file") in answer.err


# ------------------------------------------------------------------------------------ divergence


def test_all_diverged(minifw: Minifw) -> None:
    answer = minifw(
        "train", "simplenet", "--seeds", 2, *QUICK, "--set", "train.eta=1e30", "--quiet"
    )
    assert answer.code == 3
    assert "all 2 networks diverged" in answer.err
    assert answer.err.count("\n") == 1
    (path,) = run_dirs()
    manifest = check_run_dir(path, ["minifw"], ["full-batch"])
    assert manifest["status"] == "diverged"
    assert "minifw: 2 of 2 diverged and are left out" in (path / "tables/table1.md").read_text()
    assert "NaN" not in (path / "metrics.jsonl").read_text() + (path / "results.json").read_text()


def test_some_diverged(minifw: Minifw) -> None:
    answer = minifw("train", "simplenet", "--seeds", 12, *SMALL, "--set", "train.eta=1.2",
                    "--set", "train.epochs=40", "--set", "train.eval_every=10")  # fmt: skip
    assert answer.code == 0, answer.err
    text = (run_dirs()[0] / "tables/table1.md").read_text()
    results = json.loads((run_dirs()[0] / "results.json").read_text())
    arm = results["modes"]["full-batch"]["minifw"]
    gone = sum(epoch is not None for epoch in arm["diverged_epoch"])
    assert 0 < gone < 12
    assert f"minifw: {gone} of 12 diverged and are left out" in text
    assert arm["test_error"].count(None) == gone
    assert "diverged, minifw full-batch: seed " in answer.out


# ----------------------------------------------------------------------------------- start and end


def process(*words: str, cwd: Path, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "minifw", *words], cwd=cwd, capture_output=True, text=True, **more
    )


def test_help_imports_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import sys; sys.argv = ['minifw', '--help']\n"
        "from minifw.cli import main as cli\n"
        "cli.leave_process = lambda code: None\n"
        "cli.main()\n"
        "heavy = {'torch', 'numpy', 'matplotlib', 'pydantic', 'yaml'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
def test_what_cannot_be_printed_is_one_line_and_an_exit_code(tmp_path: Path) -> None:
    """Little output waits in Python's memory until the end: nobody may lose it silently."""
    words = [sys.executable, "-m", "minifw", "schema"]
    with Path("/dev/full").open("w") as full:
        end = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (end.returncode, end.stderr) == (
        6,
        "minifw: standard output: No space left on device\n",
    )
    read, write = os.pipe()
    os.close(read)  # a reader that went away
    end = subprocess.run(words, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert (end.returncode, end.stderr) == (0, "")


def test_help_leads_with_examples(minifw: Minifw) -> None:
    for words in (["--help"], ["train", "-h"], ["compare", "--help"]):
        answer = minifw(*words)
        assert answer.code == 0
        assert answer.out.index("Examples:") < answer.out.index("Options")
        assert max(map(len, answer.out.splitlines())) <= 80


def test_a_terminal_shows_a_bar(tmp_path: Path) -> None:
    """Under a pseudo-terminal of 80 columns there is a bar; stdout stays clean."""
    pty = pytest.importorskip("pty", reason="pseudo-terminals exist on POSIX systems only")
    main, side = pty.openpty()
    done = subprocess.Popen(
        [sys.executable, "-m", "minifw", "train", "simplenet", *QUICK], cwd=tmp_path,
        stdout=subprocess.PIPE, stderr=side, text=True, env={**os.environ, "COLUMNS": "80", "TERM": "xterm"},
    )  # fmt: skip
    out, _ = done.communicate()
    os.close(side)
    shown = b""
    while chunk := _read(main):
        shown += chunk
    assert done.returncode == 0
    assert b"\x1b[" in shown
    assert b"4/4" in shown
    assert b"loss" in shown
    assert "\x1b" not in out


def _read(handle: int) -> bytes:
    try:
        return os.read(handle, 65536)
    except OSError:
        return b""


@pytest.mark.slow
def test_an_interrupt_ends_with_130(tmp_path: Path) -> None:
    running = subprocess.Popen(
        [sys.executable, "-m", "minifw", "train", "simplenet", "--set", "train.epochs=1000000"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    while not run_dirs(tmp_path):  # it trains as soon as its directory is there
        assert running.poll() is None
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate()
    assert (running.returncode, out) == (130, ""), err
    (path,) = run_dirs(tmp_path)
    assert err == f"minifw: interrupted; to continue: minifw resume {path.relative_to(tmp_path)}\n"
    assert json.loads((path / "manifest.json").read_text())["status"] == "interrupted"


@pytest.mark.slow
def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    shell = f"{sys.executable} -m minifw train simplenet {' '.join(QUICK)} | head -n 0"
    done = subprocess.run(["sh", "-c", shell], cwd=tmp_path, capture_output=True, text=True)
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr


def test_a_whole_process(tmp_path: Path) -> None:
    answer = process("train", "simplenet", *QUICK, "--json", cwd=tmp_path)
    assert answer.returncode == 0
    assert answer.stderr == ""
    assert json.loads(answer.stdout)["test_error"]


@pytest.mark.slow
def test_a_whole_process_that_is_refused(tmp_path: Path) -> None:
    wrong = process("train", "simplenet", "--set", "train.epcohs=3", cwd=tmp_path)
    assert wrong.returncode == 2
    assert "did you mean 'epochs'?" in wrong.stderr


def test_a_version_is_printed(tmp_path: Path) -> None:
    assert process("--version", cwd=tmp_path).stdout.startswith("minifw 0.")
