"""Text of a user: read back as it was written, and never more than text where it is printed."""

from __future__ import annotations

import os
import pickle
import re
import signal
import xml.dom.minidom
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bad_configs import GOOD
from conftest import Minifw
from minifw import runs
from minifw.config import loading, yaml12
from minifw.config.model import Config
from minifw.config.source import Source
from minifw.errors import MAX_LINE, ConfigError, MinifwError, UsageError, harmless, one_line
from minifw.report import tables

# ----------------------------------------------------------------------- written and read again

CHARACTERS = (
    st.characters(exclude_categories=["Cs"])
    | st.integers(0xDC80, 0xDCFF).map(chr)  # bytes of a path that are no UTF-8
    | st.sampled_from("\0\x07\x1b\x7f\x85\xa0\u200b\u2028\u2029\u202e\ufeff\ufffe\uffff")
    | st.sampled_from("\n\r\t \"'\\:#-?,[]{}&*!|>%@`0f~")
)
TEXTS = st.text(CHARACTERS, max_size=40) | st.sampled_from(
    ["", "~", "null", "on", "0x1F", "1e-3", "-.inf", "<<", "=", "---", "- a", "? a", "a: b", "%TAG"]
)
KEYS = TEXTS.filter(lambda text: not re.search("[\0\udc80-\udcff]", text))
NUMBERS = st.integers(-(10**98), 10**98) | st.floats(allow_nan=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=15,
)


@given(VALUES)
@example({"a": [-0.0, 5e-324, 1.7976931348623157e308, 1e16, 0.1, float("inf"), 10**98]})
@example({"a\x85": ["\0ff", "\\0ff", "\0", "\udcff", "\\udcff", "\udc80\udcff", "\ufeff"]})
@example("x " * 2000)
@settings(max_examples=300, deadline=None)
def test_every_value_is_read_back(value: Any) -> None:
    written, source = yaml12.dump(value), Source("here")
    assert written.encode().decode() == written
    assert written.replace("\n", "").isprintable()
    found = yaml12.parse(written, source)
    assert repr(found) == repr(value)  # which tells 1 from 1.0, and 0.0 from -0.0
    assert not source.faults


def test_a_list_that_stands_twice_is_written_twice() -> None:
    same = ["a", "b"]
    assert yaml12.parse(yaml12.dump({"a": same, "b": same}), Source("here")) == {
        "a": same,
        "b": same,
    }


def test_usual_text_stays_readable() -> None:
    values = {"path": "/data/größe 2/日本.csv", "features": ["height, cm", "it's", "1e3", "😀"]}
    assert yaml12.dump(values) == (
        "path: /data/größe 2/日本.csv\nfeatures:\n- height, cm\n- it's\n- '1e3'\n- 😀\n"
    )
    assert yaml12.dump("a\u2028b\udcff\n") == '"a\\u2028b\\0ff\\n"\n'


@given(st.lists(KEYS, min_size=1), TEXTS)
@settings(max_examples=100, deadline=None)
def test_a_config_is_read_back_whatever_its_names(features: list[str], path: str) -> None:
    good = yaml12.parse(GOOD, Source("good"))
    data = {"kind": "csv", "path": path or "a", "features": features, "target": features[0]}
    config = Config.model_validate({**good, "data": data})
    again = yaml12.parse(loading.dump(config), Source("again"))
    assert Config.model_validate(again) == config


def test_a_config_that_a_run_could_not_read_back_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    for layers in (900, 1100):  # each is three keys and values here, and eleven spelled out
        path.write_text(GOOD.replace(
            "network:\n  - linear: 4\n  - relu\n  - linear: 2\n",
            f"network: [{'{linear: 4}, ' * layers}linear: 2]\n",
        ))  # fmt: skip
        if layers == 900:
            (tmp_path / "b.yaml").write_text(loading.dump(loading.load(path)))
            assert loading.load(tmp_path / "b.yaml") == loading.load(path)
    with pytest.raises(ConfigError, match="a.yaml: has more than 10000 keys and values or 1048576"):
        loading.load(path)


ODD = os.fsdecode(b"a\xe2\x80\xa8b\xff\x1b[31m|\n")


def odd_experiment(folder: Path) -> Path:
    """A config and its CSV in a folder, and with columns, whose names are not printable."""
    (folder / ODD).mkdir()
    rows = "".join(f"{i},{i * i % 7},{'c' if i % 2 else 'd|x'}\n" for i in range(40))
    (folder / ODD / os.fsdecode(b"p\xff.csv")).write_text(
        f"a\x85\x1b[31mb,q\u2028\x1b[31m$\\|,y\n{rows}"
    )
    text = GOOD.replace(
        "{kind: disk, train: 50, test: 60}",
        '{kind: csv, path: "p\\0ff.csv", features: ["a\\N\\e[31mb", "q\\L\\e[31m$\\\\|"]}',
    ).replace("epochs: 3", "epochs: 3\n  checkpoint_every: 1\n  compile: false")
    path = folder / ODD / "c.yaml"
    path.write_text(text)
    return path


def test_a_run_with_any_text_goes_all_the_way(
    minifw: Minifw, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = odd_experiment(tmp_path)
    monkeypatch.chdir(config.parent)

    def told(*words: object, code: int = 0) -> str:
        answer = minifw(*words)
        assert answer.code == code, answer.err
        printed = answer.out + answer.err
        assert printed.replace("\n", "").isprintable()
        return printed

    told("validate", config)
    told("show", config)
    told("train", "c.yaml", "--seeds", 2, "--runs-dir", tmp_path / ODD)
    (first,) = runs.folders(tmp_path / ODD)
    kept = first / "config.yaml"
    for words in (["validate", kept], ["show", kept], ["runs", "show", first]):
        told(*words)
    again = minifw("train", kept, "--runs-dir", tmp_path / ODD, "--json")
    assert os.fspath(tmp_path / ODD) in again.json["run_dir"]
    both = runs.folders(tmp_path / ODD)
    assert len(both) == 2
    assert kept.read_text() == (both[1] / "config.yaml").read_text()
    assert "the two configs are equal" in told("runs", "diff", *both)
    told("runs", "verify", *both)
    told("runs", "ls", "--runs-dir", tmp_path / ODD)
    for run in both:
        for figure in (run / "plots").glob("*.svg"):
            xml.dom.minidom.parse(str(figure))
        for table in (run / "tables").glob("*.*"):
            assert table.read_text().replace("\n", "").isprintable()


def test_a_run_with_any_text_is_resumed(
    minifw: Minifw, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = odd_experiment(tmp_path)
    monkeypatch.chdir(config.parent)
    write = runs.Run.commit

    def interrupted(run: runs.Run, **changes: Any) -> None:
        write(run, **changes)
        if changes.get("status") == "running":
            monkeypatch.setattr(runs.Run, "commit", write)
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(runs.Run, "commit", interrupted)
    stopped = minifw("train", config, "--runs-dir", ODD)
    assert stopped.code == 143
    assert len(stopped.err.splitlines()) == 1
    (run,) = runs.folders(Path(ODD))
    assert runs.load(run).status() == "interrupted"
    assert minifw("resume", run).code == 0
    assert runs.load(run).status() == "complete"


# ------------------------------------------------------------------------ printed, as text alone

HOSTILE = {
    "escape": "\x1b[31mred\x07",
    "newline": "a\nminifw: forged\n",
    "return": "a\rminifw: forged",
    "separators": "a\u2028minifw: forged\u2029\x85\x0b\x0c",
    "direction": "a\u202e\u2066\u200f\u061cb",
    "width": "a\u200b\u200d\u2060\ufeff\xad\u180eb",
    "long": "x" * 10_000,
}


def in_quotes(text: str) -> str:
    return '"' + "".join(map(yaml12._escaped, text)) + '"'


def in_config(old: str, new: str) -> Callable[[str], list[str]]:
    def make(text: str) -> list[str]:
        assert old in GOOD
        word = in_quotes(text[:900])  # a longer key is a fault of YAML
        Path("a.yaml").write_text(GOOD.replace(old, new.replace("TEXT", word)))
        return ["train", "a.yaml"]

    return make


def in_data(content: Callable[[str], str], section: str = "") -> Callable[[str], list[str]]:
    """A config with a CSV file that holds the text."""

    def make(text: str) -> list[str]:
        Path("p.csv").write_text(content(text))
        more = section.replace("TEXT", in_quotes(text))
        Path("a.yaml").write_text(GOOD.replace(
            "{kind: disk, train: 50, test: 60}", f"{{kind: csv, path: p.csv{more}}}"
        ))  # fmt: skip
        return ["validate", "a.yaml"]

    return make


def in_arrays(arrays: Callable[[str], dict[str, Any]], section: str) -> Callable[[str], list[str]]:
    def make(text: str) -> list[str]:
        np.savez("p.npz", **arrays(text))
        more = section.replace("TEXT", in_quotes(text))
        Path("a.yaml").write_text(GOOD.replace(
            "{kind: disk, train: 50, test: 60}", f"{{kind: npz, path: p.npz{more}}}"
        ))  # fmt: skip
        return ["train", "a.yaml"]

    return make


def in_file_name(text: str) -> list[str]:
    name = text[:200] + ".yaml"
    Path(name).write_text("a: 1\n")
    return ["validate", "--set", "b=2", name]


def quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


PLACES: dict[str, tuple[int, Callable[[str], list[str]]]] = {
    "command": (1, lambda text: [text]),
    "option": (1, lambda text: ["train", f"--{text}"]),
    "too much": (1, lambda text: ["schema", text]),
    "--seeds": (1, lambda text: ["train", "simplenet", "--seeds", text]),
    "--reference": (1, lambda text: ["compare", "--reference", text]),
    "--regime": (1, lambda text: ["bench", "--regime", text]),
    "--status": (1, lambda text: ["runs", "ls", "--status", text]),
    "--set": (1, lambda text: ["train", "simplenet", "--set", text]),
    "--set key": (1, lambda text: ["train", "simplenet", "--set", f"train.{text}=1"]),
    "--set value": (1, lambda text: ["train", "simplenet", "--set", f"train.eta={in_quotes(text)}"]),
    "--set path": (1, lambda text: [
        "train", "simplenet", "--set", f"data={{kind: csv, path: {in_quotes(text)}}}"]),
    "--set with a fault of YAML": (1, lambda text: ["show", "simplenet", "--set", f"a=[{text}"]),
    "config": (1, lambda text: ["train", text]),
    "config in a folder": (1, lambda text: ["show", f"{text}/a.yaml"]),
    "run": (1, lambda text: ["runs", "show", text]),
    "run to resume": (1, lambda text: ["resume", text]),
    "run to delete": (1, lambda text: ["runs", "rm", "--yes", text]),
    "runs": (1, lambda text: ["runs", "verify", text, "--runs-dir", text]),
    "init": (1, lambda text: ["init", text]),
    "name of the file": (7, in_file_name),
    "a key": (2, in_config("epochs: 3", "epochs: 3\n  TEXT: 1\nx: 1")),
    "a key twice": (2, in_config("epochs: 3", "epochs: 3\n  TEXT: 1\n  TEXT: 1")),
    "name": (1, in_config("name: good", "name: TEXT")),
    "kind": (1, in_config("kind: disk", "kind: TEXT")),
    "layer": (1, in_config("- relu", "- TEXT")),
    "choice": (1, in_config("epochs: 3", "epochs: 3\n  mode: TEXT")),
    "number": (1, in_config("epochs: 3", "epochs: TEXT")),
    "column name twice": (1, in_data(lambda text: f"{quoted(text)},{quoted(text)},y\n1,2,a\n")),
    "column that is not there": (1, in_data(lambda text: "a,y\n1,a\n2,b\n", ", features: [TEXT]")),
    "target that is not there": (1, in_data(lambda text: f"{quoted(text)},y\n1,a\n", ", target: q")),
    "cell": (1, in_data(lambda text: f"{quoted(text)},y\n1,a\n{quoted(text)},b\n")),
    "the only class": (1, in_data(lambda text: f"a,y\n1,{quoted(text)}\n2,{quoted(text)}\n")),
    "one of two classes": (1, in_data(
        lambda text: f"a,y\n1,{quoted(text * 20)}\n2,{quoted(text * 20 + '.')}\n")),
    "array that is not there": (1, in_arrays(lambda text: {"a": np.ones(3)}, ", features: TEXT")),
    "array of another shape": (1, in_arrays(
        lambda text: {"x": np.ones(3), text[:99]: np.ones(3)}, ", target: TEXT")),
    "label": (1, in_arrays(
        lambda text: {"x": np.ones((9, 2)), "y": np.array([text] * 9)}, "")),
}  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("place", PLACES)
def test_an_error_has_a_line_for_each_fault(minifw: Minifw, place: str, text: str) -> None:
    faults, make = PLACES[place]
    answer = minifw(*make(text))
    assert answer.code in (2, 4, 6), answer.err
    assert answer.out == ""
    lines = answer.err.split("\n")
    assert lines.pop() == ""
    assert len(lines) == faults, answer.err
    assert all(line.isprintable() and len(line) <= MAX_LINE for line in lines), lines
    assert not any(line.startswith("minifw: forged") for line in lines)


def test_every_fault_is_a_line_of_its_own() -> None:
    error = MinifwError("a: one\nforged: two", "b\x1b: three")
    assert error.lines == ("a: one\\nforged: two", "b\\x1b: three")
    assert str(error) == "a: one\\nforged: two\nb\\x1b: three"
    assert pickle.loads(pickle.dumps(UsageError("a", "b\n"))).lines == ("a", "b\\n")
    assert ConfigError(["a", "b\n"]).faults == ("a", "b\\n")


@given(st.text(CHARACTERS))
def test_harmless_text_stays_as_it_is(text: str) -> None:
    once = harmless(text)
    assert once.isprintable()
    assert harmless(once) == once
    assert not text.isprintable() or once == text


@pytest.mark.parametrize("text", ["x" * 10**6, "\x1b" * 10**6, "\U000e0001" * 999])
def test_long_lines_keep_their_ends(text: str) -> None:
    line = one_line(f"a.yaml:1:2: {text}; did you mean this?")
    assert MAX_LINE - 5 < len(line) <= MAX_LINE
    assert line.startswith("a.yaml:1:2: ")
    assert line.endswith("; did you mean this?")
    assert one_line(line) == line


def test_names_are_escaped_for_the_format_of_a_table() -> None:
    name = "a|b*<i>`$x$_\\\n~^&%#{}\u202e"
    table = tables.Table(f"Of {name}", ["", name], [(name, [1.5, name])], " %")
    escaped = r"a\|b\*\<i\>\`\$x\$\_\\\\n\~^&%#{}\\u202e"
    assert table.markdown() == (
        f"Of {escaped}\n\n|  | {escaped} |\n| --- | ---: |\n| {escaped} | 1.50 % | {escaped} |\n"
    )
    assert table.latex().replace("\n", "").isprintable()
    assert table.latex().count(r"\&\%\#\{\}\textbackslash{}u202e") == 4
    assert tables.Table("2–3 my_name", ["a"], []).markdown().startswith("2–3 my_name\n")
