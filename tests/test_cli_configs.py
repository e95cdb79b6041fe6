"""validate, show, schema and init, as a user calls them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bad_configs import GOOD
from conftest import ROOT, Minifw
from minifw.config import packaged

CSV = GOOD.replace("{kind: disk, train: 50, test: 60}", "{kind: csv, path: p.csv}")


# -------------------------------------------------------------------------------------- validate


def test_validate_reports_every_file(minifw: Minifw) -> None:
    Path("good.yaml").write_text(GOOD)
    Path("bad.yaml").write_text(GOOD.replace("relu", "rleu").replace("epochs: 3", "epochs: 0"))
    answer = minifw("validate", "good.yaml", "bad.yaml", "simplenet", "none.yaml")
    assert answer.code == 2
    assert answer.out == "good.yaml: ok\nsimplenet: ok\n"
    assert answer.err.splitlines() == [
        "bad.yaml:5:5: network.1: unknown kind 'rleu'; did you mean 'relu'?; a class of your own goes by {python: file.Class}",
        "bad.yaml:10:11: train.epochs: must be at least 1, got 0",
        "none.yaml: there is no such file; did you mean 'good.yaml'?",
    ]
    assert minifw("validate", "good.yaml").code == 0
    assert minifw("validate", "good.yaml", "--set", "train.eta=0").code == 2
    assert not Path("runs").exists()


def test_validate_as_json(minifw: Minifw) -> None:
    Path("bad.yaml").write_text(GOOD.replace("eta: 1e-3", "eta: 0"))
    answer = minifw("validate", "bad.yaml", "simplenet", "--json")
    assert (answer.code, answer.err) == (2, "")
    assert answer.json == {
        "configs": [
            {
                "config": "bad.yaml",
                "ok": False,
                "faults": ["bad.yaml:9:8: train.eta: must be above 0.0, got 0"],
            },
            {"config": "simplenet", "ok": True, "faults": []},
        ]
    }


@pytest.mark.parametrize(
    "path", sorted((ROOT / "src/minifw/examples").glob("*.yaml")), ids=lambda p: p.stem
)
def test_shipped_configs_are_valid(minifw: Minifw, path: Path, its_data: Any) -> None:
    assert minifw("validate", path, *its_data(path)).out == f"{path}: ok\n"


def test_what_the_data_file_shows_has_the_configs_line(minifw: Minifw) -> None:
    Path("p.csv").write_text("a,b\n" + "".join(f"{i},{i % 3}\n" for i in range(20)))
    Path("a.yaml").write_text(CSV.replace("epochs: 3", "epochs: 3\n  mode: sgd\n  batch_size: 17"))
    assert minifw("validate", "a.yaml").err.splitlines() == [
        "a.yaml:6:5: network.2: 3 classes ('0', '1', '2'), the last layer has 2 outputs; "
        "--set network.2.out_features=3",
        "a.yaml:12:15: train.batch_size: must be at most the 16 training samples, got 17",
    ]
    Path("a.yaml").write_text(CSV.replace("p.csv}", "p.csv, train: 21}"))
    assert minifw("train", "a.yaml").err == (
        "a.yaml:2:39: data.train: expects at least 1 training and 1 test sample, and no more than "
        "the 20 there are, got 21 and 0\n"
    )
    Path("a.yaml").write_text(CSV.replace("p.csv", "q.csv"))
    assert "q.csv: cannot be read as data" in minifw("validate", "a.yaml").err


def test_what_a_file_holds_never_reaches_the_terminal(minifw: Minifw) -> None:
    Path("a.yaml").write_text(CSV)
    for header in ("\x1b[31m,b", "\x1b[31m,\x1b[31m", "a,b\u202e"):
        Path("p.csv").write_text(f"{header}\nx,1\n2,2\n")
        answer = minifw("validate", "a.yaml", "--set", 'data.target="\\e[2J"')
        assert answer.code == 2
        assert all(line.isprintable() for line in answer.err.splitlines())
        answer = minifw("validate", "a.yaml")
        assert answer.code == 2
        assert all(line.isprintable() for line in answer.err.splitlines())
    for words in (["\x1b[2J.yaml"], ["simplenet", "--set", "\x1b]0;x\x07=1"], ["--\x1b[2J"]):
        answer = minifw("validate", *words)
        assert answer.code == 2
        assert answer.err.count("\n") == 1
        assert answer.err.strip().isprintable()
    Path("\x1b[2J\n.yaml").write_text("a: 1\na: 2\n")
    answer = minifw("validate", "\x1b[2J\n.yaml")
    assert "\\x1b[2J\\n.yaml:2:1: a: this key is given twice; first in line 1\n" in answer.err
    assert all(line.isprintable() for line in answer.err.splitlines())


# ------------------------------------------------------------------------------------------ show


def test_show_tells_where_each_value_is_from(minifw: Minifw) -> None:
    Path("a.yaml").write_text(GOOD)
    answer = minifw("show", "a.yaml", "--set", "loss={kind: mse, reduction: sum}", "--seeds", 20)
    assert answer.code == 0, answer.err
    assert max(map(len, answer.out.splitlines())) <= 80
    rows = {line.split()[0]: line.split(maxsplit=2)[1:] for line in answer.out.splitlines()
            if len(line.split()) > 2}  # fmt: skip
    assert rows["name"] == ["good", "1:7"]
    assert rows["seeds"] == ["20", "--set seeds=20"]
    assert rows["data.kind"] == ["disk", "2:14"]
    assert rows["data.radius"] == ["0.3989422804014327", "default"]
    assert rows["network.0.kind"] == ["linear", "4:5"]
    assert rows["network.0.out_features"] == ["4", "4:13"]
    assert rows["network.1.kind"] == ["relu", "5:5"]
    assert rows["loss.reduction"][0] == "sum"
    assert rows["loss.reduction"][1].startswith("--set loss=")
    assert rows["train.eta"] == ["0.001", "9:8"]
    assert re.search(r"0 linear +4 +12 +16\n1 relu +4 +0 +4\n2 linear +2 +10 +16\n", answer.out)
    assert re.search(r"total +22 +36\n", answer.out)
    assert re.search(r"Memory, 20 seed\(s\): about \d", answer.out)


def test_a_terminal_that_knows_ascii_only(tmp_path: Path) -> None:
    np.savez(tmp_path / "p.npz", é=np.eye(4), y=np.arange(4) % 2)
    data = "data={kind: npz, path: p.npz, features: é}"
    done = subprocess.run(
        [sys.executable, "-m", "minifw", "show", "simplenet", "--set", data],
        cwd=tmp_path, capture_output=True, env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, b"")
    assert rb"\xe9" in done.stdout


def test_show_as_json_is_the_resolved_config(minifw: Minifw) -> None:
    Path("a.yaml").write_text(GOOD)
    answer = minifw("show", "a.yaml", "--json")
    assert (answer.code, answer.err) == (0, "")
    assert answer.json["config"]["train"]["checkpoint_every"] == 50
    assert answer.json["from"]["train.eta"] == "a.yaml:9:8"
    assert answer.json["from"]["train.mode"] == "default"
    assert answer.json["network"][2] == {
        "layer": "linear", "output": 2, "parameters": 10, "operations": 16,
    }  # fmt: skip
    assert answer.json["memory"]["available"] > answer.json["memory"]["needed"] > 0
    Path("b.yaml").write_text(GOOD.replace("relu", "rleu"))
    assert minifw("show", "b.yaml").err.startswith("b.yaml:5:5: network.1: unknown kind")


# ------------------------------------------------------------------------------------------ init


def test_init_writes_a_config_that_trains(minifw: Minifw) -> None:
    answer = minifw("init", "two-moons")
    assert (answer.code, answer.out) == (0, "two-moons.yaml\n")
    assert [path.name for path in Path().iterdir()] == ["two-moons.yaml"]
    text = Path("two-moons.yaml").read_text()
    assert "\nname: two-moons\n" in text
    assert "$schema" not in text
    assert text.count("# ") > 10
    trained = minifw("train", "two-moons.yaml", "--json")
    assert trained.code == 0, trained.err
    assert trained.json["test_error"][0] < 5
    assert minifw("init").out == "experiment.yaml\n"


def test_init_never_overwrites(minifw: Minifw) -> None:
    Path("mine.yaml").write_text("precious")
    answer = minifw("init", "mine")
    assert (answer.code, answer.out) == (2, "")
    assert answer.err == "mine.yaml: is there already, and is not overwritten\n"
    assert Path("mine.yaml").read_text() == "precious"
    Path("link.yaml").symlink_to("nowhere")
    assert minifw("init", "link").code == 2
    assert {path.name for path in Path().iterdir()} == {"link.yaml", "mine.yaml"}


@pytest.mark.parametrize(
    "name",
    ["../up", "/tmp/x", "a/b", "", ".hidden", "a.yaml", "CON", "lpt1", "x" * 65, "a\x1b[31m", "a b",
     "[/x]", "<b>", "é", "a\n"],
)  # fmt: skip
def test_init_refuses_names_that_are_none(minifw: Minifw, name: str) -> None:
    answer = minifw("init", "--", name)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith("NAME: must ")
    assert answer.err.strip().isprintable()
    assert not list(Path().iterdir())


def test_init_where_nothing_can_be_written(minifw: Minifw, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    answer = minifw("init")
    assert answer.code == 6
    assert answer.err == "experiment.yaml: cannot be written: No space left on device\n"
    assert not list(Path().iterdir())


def test_commands_about_configs_have_examples(minifw: Minifw) -> None:
    for command in ("validate", "show", "schema", "init"):
        answer = minifw(command, "--help")
        assert answer.code == 0
        assert "Example" in answer.out
        assert max(map(len, answer.out.splitlines())) <= 80


def test_packaged_configs_are_found_by_name() -> None:
    for name in ("starter", "simplenet"):
        assert packaged.find_config(name) == packaged.packaged_config(name)
        assert packaged.packaged_config(name).is_file()


@pytest.mark.parametrize("left", ["nothing", "a file", "an empty folder"])
@pytest.mark.parametrize(
    ("words", "missing"),
    [
        (["init"], "starter"),
        (["train", "simplenet"], "simplenet"),
        (["compare"], "simplenet"),
        (["show", "simplenet"], "simplenet"),
        (["validate", "simplenet"], "simplenet"),
        (["bench", "--quick"], "simplenet"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_an_installation_without_its_configs_is_one_line(
    minifw: Minifw,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
    left: str,
    words: list[str],
    missing: str,
) -> None:
    folder = tmp_path_factory.mktemp("installed") / "configs"
    if left == "a file":  # what a clone without symbolic links makes of one
        folder.write_text("../../configs")
    elif left == "an empty folder":
        folder.mkdir()
    monkeypatch.setattr(packaged, "PACKAGED", folder)
    answer = minifw(*words)
    assert answer.out == ""
    assert answer.code == 4
    assert answer.err.splitlines()[-1] == (
        f"{folder / missing}.yaml: is missing: this installation of minifw is incomplete; "
        "install it again"
    )
    assert not list(Path().iterdir())


def test_of_several_faults_validate_exits_with_the_largest_code(
    minifw: Minifw, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    Path("wrong.yaml").write_text("name: wrong\n")
    monkeypatch.setattr("minifw.config.packaged.PACKAGED", tmp_path / "gone")
    assert [minifw("validate", name).code for name in ("wrong.yaml", "simplenet")] == [2, 4]
    for names in (("wrong.yaml", "simplenet"), ("simplenet", "wrong.yaml")):
        assert minifw("validate", *names).code == 4
