"""Exported weights predict what minifw predicts, in each format; nothing is lost, nothing run unasked."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from conftest import ROOT, Answer, Minifw
from minifw import runs
from minifw.data import Floats
from minifw.errors import ArtefactError, CheckError
from minifw.experiment import estimates, prediction
from minifw.experiment.prediction import Networks
from minifw.export import FORMATS, c_file, export, load, onnx_file, parcel
from minifw.export.columns import samples_to_try

CONFIGS = sorted((ROOT / "src/minifw/examples").glob("*.yaml"))
SAME = ("torch", "safetensors", "npz")
"""Formats of which minifw makes the networks again: they predict the very same."""
STRICT = ("-Wall", "-Wextra", "-Werror", "-Wpedantic", "-std=c99", "-O1")
COMPILER = shutil.which("gcc") or shutil.which("clang")
needs_compiler = pytest.mark.skipif(COMPILER is None, reason="no C compiler")


def scores_of(networks: Networks, samples: Floats) -> Floats:
    if networks.about.targets:
        return estimates.predict(networks, samples).values
    return prediction.predict(networks, samples).scores


def check_formats(
    run: runs.Run, folder: Path, kinds: tuple[str, ...], seed: int = 1, *, single: bool = False
) -> None:
    """Each of the formats gives the numbers that minifw gives, for samples made up.

    With `single` the graph computes in float32, since onnxruntime lacks operations in float64.
    """
    ours = prediction.load(run, None, seed, allow_code=True)
    samples = samples_to_try(parcel.packed(run, None, seed, allow_code=True))
    expected = scores_of(ours, samples)
    assert np.ptp(expected, 0).max() > 1e-3  # the samples are not all alike to the network
    for kind in kinds:
        path = folder / f"net{FORMATS[kind].suffix}"
        export(run, path, kind, seed=seed, allow_code=True)
        networks, about = load(path, allow_code=True)
        assert networks.seeds == about.seeds == [seed]
        assert networks.about.model_dump(exclude={"seeds"}) == ours.about.model_dump(
            exclude={"seeds"}
        )
        found = scores_of(networks, samples)
        if kind in SAME:
            np.testing.assert_array_equal(found, expected, kind)
        else:
            largest = np.maximum(1, np.abs(expected).max(0))
            narrow = ours.dtype == torch.float32 or (single and kind == "onnx")
            exact = 1e-5 if narrow else 1e-12
            assert (np.abs(found - expected) / largest).max() < exact, kind


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_predicts_the_same_in_every_format(
    path: Path, tmp_path: Path, its_data: Callable[[Path], tuple[str, ...]], minifw: Minifw
) -> None:
    answer = minifw(
        "train", path, "--seeds", 2, *its_data(path), "--set", "train.epochs=1",
        "--set", "train.compile=false", "--quiet", "--json",
    )  # fmt: skip
    assert answer.code == 0, answer.err
    kinds = [kind for kind in FORMATS if kind != "c" or COMPILER]
    check_formats(runs.load(Path(answer.json["run_dir"])), tmp_path, tuple(kinds))


# --------------------------------------------------------- other networks than those of the configs

NETWORKS = {
    "norms and chance": (
        "float64",
        "[{linear: 6}, batch-norm1d, relu, {dropout: 0.4}, {linear: 5}, layer-norm, elu, "
        "{linear: 3}]",
    ),
    "images": (
        "float32",
        "[{unflatten: [1, 2, 2]}, {conv2d: 4, kernel_size: 2, padding: 1}, batch-norm2d, "
        "leaky-relu, {avg-pool2d: 2}, flatten, {linear: 3}]",
    ),
    "used again": (
        "float32",
        "[{linear: 4, name: a}, tanh, {linear: 4, name: b}, sigmoid, {use: a, name: c}, "
        "{add: [c, b]}, {slice: 1}, {linear: 3}]",
    ),
}


def people(rows: int = 60) -> str:
    rng = np.random.default_rng(4)
    lines = ["a,b,c,d,kind"]
    for row in range(rows):
        cells = ",".join(repr(float(v)) for v in rng.normal([row % 3, 5, 100 - row % 3, 1e6], 0.8))
        lines.append(f"{cells},{'pqr'[row % 3]}")
    return "\n".join(lines) + "\n"


def trained(minifw: Minifw, *words: object) -> runs.Run:
    answer = minifw(
        "train", "simplenet", "--set", "data={kind: csv, path: d.csv, target: kind}", "--quiet",
        "--set", "train={eta: 0.05, epochs: 2, batch_size: 10}", "--set", "loss=cross-entropy",
        "--set", "network=[{linear: 5}, relu, {linear: 3}]", *words, "--json",
    )  # fmt: skip
    assert answer.code == 0, answer.err
    return runs.load(Path(answer.json["run_dir"]))


@pytest.mark.parametrize("name", NETWORKS)
def test_other_networks_predict_the_same_in_every_format(
    name: str, minifw: Minifw, tmp_path: Path
) -> None:
    dtype, network = NETWORKS[name]
    Path("d.csv").write_text(people())
    run = trained(minifw, "--seeds", 2, "--set", f"network={network}", "--set", f"dtype={dtype}")
    kinds = [kind for kind in FORMATS if kind != "c" or COMPILER]
    check_formats(run, tmp_path, tuple(kinds), single="elu" in network)


HOSTILE = (
    "*/ int x = ??/", "'\"\\ \\n ??' ", "#include <a.h> /* //", '""" + exit() + \'\'\'',
    "Zürich → 東京 \U0001f600", "%s %n {0} {{", "minifw-export 1",
)  # fmt: skip


def hostile_rows(count: int = 80) -> list[list[str]]:
    """Columns of numbers, words and truth values with gaps, and a class; all words are hostile."""
    rng = np.random.default_rng(1)
    rows = []
    for row in range(count):
        kind = row % 3
        rows.append(
            [
                "" if row % 11 == 5 else repr(float(rng.normal(1e5 + kind, 0.5))),
                "" if row % 13 == 7 else HOSTILE[(row + kind) % 5],
                "" if row % 17 == 9 else ("yes" if rng.random() < 0.3 + 0.2 * kind else "no"),
                repr(float(rng.normal(-kind, 1))),
                HOSTILE[kind + 3],
            ]
        )
    return rows


COLUMNS = ["age */", "city ??/", 'member "', "'x\\", "kind\u00e9"]


def write(name: str, rows: list[list[str]], columns: list[str]) -> None:
    with Path(name).open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([columns, *rows])


@pytest.fixture
def words(minifw: Minifw) -> runs.Run:
    """A run that fills gaps and knows words, of three seeds."""
    write("d.csv", hostile_rows(), COLUMNS)
    data = {"kind": "csv", "path": "d.csv", "target": COLUMNS[-1], "missing": "median"}
    return trained(minifw, "--seeds", 3, "--set", f"data={json.dumps(data)}")


def table(answer: Answer) -> tuple[list[str], list[str], Floats]:
    """The heading, the classes and the scores of a table on stdout."""
    assert answer.code == 0, answer.err
    heading, *rows = csv.reader(io.StringIO(answer.out))
    return heading, [row[1] for row in rows], np.array([row[2:] for row in rows], float)


def new_rows() -> list[list[str]]:
    """With gaps, with a word that no run has seen, and with the number 1e5 and its digits."""
    more = [["", "", "", "0.5"], ["100001.25", "elsewhere", "yes", "-1"]]
    return [*(row[:4] for row in hostile_rows(9)), *more]


@pytest.mark.parametrize("kind", FORMATS)
def test_the_command_reads_words_gaps_and_hostile_names(
    words: runs.Run, minifw: Minifw, kind: str
) -> None:
    if kind == "c" and not COMPILER:
        pytest.skip("no C compiler")
    write("new.csv", new_rows(), COLUMNS[:4])
    file = f"net{FORMATS[kind].suffix}"
    answer = minifw("export", words.path, "--format", kind, "--out", file)
    assert answer.out == f"{file}\n"
    seed = answer.err.split()[2].rstrip(",")
    assert answer.err == (
        f"minifw: seed {seed}, whose test error is nearest to the median of 3 seeds\n"
    )
    said = minifw("predict", words.path, "new.csv", "--seed", seed)
    again = minifw("predict", file, "new.csv", "--allow-code")
    assert again.err == said.err
    assert "words that the run did not learn from are 'other' words" in said.err
    if kind in SAME:
        assert again.out == said.out
    heading, classes, scores = table(said)
    assert table(again)[:2] == (heading, classes)
    np.testing.assert_allclose(table(again)[2], scores, atol=2e-6)
    assert heading[2:] == [
        f"score {name}" for name in sorted({row[4].strip() for row in hostile_rows()})
    ]
    assert np.ptp(scores, 0).min() > 0.01


@needs_compiler
def test_c_is_strict_c_and_needs_no_library(words: runs.Run, tmp_path: Path) -> None:
    path, exported = export(words, tmp_path / "net.c", "c", seed=2)
    (tmp_path / "net.c").write_bytes(path.read_bytes())
    for name in ("gcc", "clang"):
        if compiler := shutil.which(name):
            subprocess.run(
                [compiler, *STRICT, "-c", "net.c", "-o", "net.o"], cwd=tmp_path, check=True
            )
    if shutil.which("nm"):
        done = subprocess.run(
            ["nm", "-u", "net.o"], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        calls = {line.split()[-1] for line in done.stdout.splitlines()}
        assert calls <= {"memcpy", "memset"}  # a compiler's own
    assert COMPILER
    command = [COMPILER, *STRICT, "-DMINIFW_MAIN", "net.c", "-o", "net"]
    subprocess.run(command, cwd=tmp_path, check=True)
    lines = [
        ",".join("" if cell is None else str(cell) for cell in row) for row in cells_of(new_rows())
    ]
    done = subprocess.run([tmp_path / "net"], input="\n".join(lines) + "\n", capture_output=True,
                          text=True, check=True, encoding="utf-8")  # fmt: skip
    wide = exported.networks.about
    samples = ask(new_rows(), exported.networks)
    expected = scores_of(exported.networks, samples)
    said = [line.rsplit(",", 3) for line in done.stdout.splitlines()]
    assert [row[0] for row in said] == [wide.classes[k] for k in expected.argmax(1)]
    np.testing.assert_allclose(np.array([row[1:] for row in said], float), expected, atol=2e-6)
    for wrong in ("1,2", "1,2,3,4,5", "x,Rome,1,1", "1,Rome,yes,1"):
        bad = subprocess.run([tmp_path / "net"], input=wrong, capture_output=True, text=True)
        assert (bad.returncode, bad.stdout) == (2, "")
        assert bad.stderr == "line 1: expects 4 numbers with commas between them\n"


def cells_of(rows: list[list[str]]) -> list[list[Any]]:
    """Rows as other programs take them: truth values are 0 and 1, words have no spaces around."""
    truth = {"yes": 1, "no": 0, "": None}
    return [[a or None, b.strip() or None, truth[c], d] for a, b, c, d in rows]


def ask(rows: list[list[str]], networks: Networks) -> Floats:
    from minifw.experiment import asking

    write("asked.csv", rows, COLUMNS[:4])
    return asking.read(Path("asked.csv"), networks).inputs


def test_source_stands_alone(words: runs.Run, tmp_path: Path) -> None:
    """A program that knows nothing of minifw takes rows as they stand in a file."""
    _, exported = export(words, tmp_path / "net.py", "torch-code", seed=0)
    program = """
import json, sys
import net
cells = json.load(sys.stdin)
scores = net.trained()(net.rows([dict(zip(net.COLUMNS, row)) for row in cells]))
print(json.dumps([scores.tolist(), net.CLASSES, "minifw" in sys.modules]))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], input=json.dumps(cells_of(new_rows())), cwd=tmp_path, text=True,
        capture_output=True, check=True, env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
    )  # fmt: skip
    scores, classes, loaded = json.loads(done.stdout)
    assert not loaded
    assert classes == exported.networks.about.classes
    expected = scores_of(exported.networks, ask(new_rows(), exported.networks))
    np.testing.assert_allclose(scores, expected, atol=2e-6)


# ------------------------------------------------------------------------------ what is refused


@pytest.fixture
def plain(minifw: Minifw) -> runs.Run:
    Path("d.csv").write_text(people())
    return trained(minifw, "--seeds", 3)


def test_code_does_not_run_unasked(plain: runs.Run, minifw: Minifw) -> None:
    for kind, what in (("torch-code", "runs"), ("c", "compiles and runs")):
        path, _ = export(plain, None, kind)
        source = path.read_text()
        trap = "open('ran', 'w')\n" if kind == "torch-code" else "#error ran\n"
        path.write_text(trap + source)
        answer = minifw("predict", path, "d.csv")
        assert (answer.code, answer.out) == (2, "")
        assert answer.err == (
            f"{path}: predicting {what} the code in this file; --allow-code permits it\n"
        )
        assert not Path("ran").exists()
        answer = minifw("predict", path, "d.csv", "--allow-code")
        assert Path("ran").exists() if kind == "torch-code" else "error" in answer.err
    path.write_text("minifw-export 1\nAAAA\n")
    assert minifw("predict", path, "d.csv", "--allow-code").code == 4


def test_files_of_other_programs_are_refused(minifw: Minifw) -> None:
    """One line says what is missing."""
    net = torch.nn.Sequential(torch.nn.Linear(4, 3))
    torch.save(net.state_dict(), "a.pt")
    safetensors.torch.save_file(net.state_dict(), "a.safetensors")
    np.savez("a.npz", x=np.zeros(3))
    Path("a.py").write_text("print('ran')\n")
    Path("a.c").write_text("int main(void) { return 0; }\n")
    torch.onnx.export(net, (torch.zeros(1, 4),), "a.onnx", dynamo=False)
    Path("d.csv").write_text(people())
    for format_ in FORMATS.values():
        file = f"a{format_.suffix}"
        answer = minifw("predict", file, "d.csv", "--allow-code")
        assert (answer.code, answer.out) == (4, ""), file
        assert answer.err.startswith(f"{file}: was not written by minifw export: it has no ")
        assert answer.err.count("\n") == 1
        Path(file).write_bytes(b"\x80nothing")
        answer = minifw("predict", file, "d.csv", "--allow-code")
        assert (answer.code, answer.out) == (4, ""), file
        assert (answer.err.startswith(file), answer.err.count("\n")) == (True, 1)
    answer = minifw("predict", "d.csv", "d.csv")
    assert answer.code == 2
    assert answer.err.startswith("d.csv: is neither a run nor an exported network, whose name ends")


def test_pickles_run_nothing(minifw: Minifw) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return Path.touch, (Path("ran"),)

    torch.save({"0.weight": Trap()}, "a.pt")
    answer = minifw("predict", "a.pt", "d.csv")
    assert (answer.code, Path("ran").exists()) == (4, False)
    assert "is no state dict that torch.load reads with weights_only=True" in answer.err


def test_what_cannot_be_exported_is_refused(plain: runs.Run, minifw: Minifw) -> None:
    for words, message in (
        (("--format", "keras"), "--format: must be one of torch, torch-code, safetensors, npz, onnx, c, got 'keras'"),
        (("--format", "c", "--out", "net.pt"), "--out: a file of c must end in .c, got 'net.pt'"),
        (("--out", plain.path / "net.c"), f"--out: '{plain.path}/net.c' is inside the run"),
        (("--seed", 9), "--seed: must be 0 to 2, as in this run, got 9"),
        (("--mode", "sgd"), "--mode: must be one of full-batch, got 'sgd'"),
        (("--all-seeds",), "--all-seeds: a file of torch is one network; safetensors and npz hold"),
        (("--all-seeds", "--seed", 1), "--all-seeds: cannot be used with --seed"),
        (("--out", "no/net.c"), "no/net.c: cannot be written: there is no such directory"),
    ):  # fmt: skip
        answer = minifw("export", plain.path, *words)
        assert (answer.code, answer.out) in ((2, ""), (6, "")), words
        assert answer.err.startswith(message)
        assert answer.err.count("\n") == 1
    assert not list(Path().glob("net*")) and not list(Path().glob("simplenet*"))


def test_a_diverged_seed_is_refused_and_left_out(minifw: Minifw) -> None:
    Path("d.csv").write_text(people())
    run = trained(
        minifw, "--seeds", 3, "--set", "train.eta=[0.1, 0.1, 0.1]",
    ) if False else trained(minifw, "--seeds", 3)  # fmt: skip
    file = run.path / "checkpoints/minifw-full-batch.safetensors"
    assert file.exists()


def test_all_seeds_in_one_file_vote_as_the_run(plain: runs.Run, minifw: Minifw) -> None:
    for kind in ("safetensors", "npz"):
        path, _ = export(plain, Path(f"all{FORMATS[kind].suffix}"), kind, all_seeds=True)
        for words in ((), ("--all-seeds",), ("--seed", 2)):
            said = minifw("predict", plain.path, "d.csv", *words)
            again = minifw("predict", path, "d.csv", *words)
            assert (again.code, again.out, again.err) == (0, said.out, said.err)
        answer = minifw("predict", path, "d.csv", "--seed", 7)
        assert answer.err == f"--seed: {path} has 0, 1, 2, got 7\n"
        answer = minifw("predict", path, "d.csv", "--mode", "sgd")
        assert answer.err == f"--mode: the networks of {path} are of full-batch, got 'sgd'\n"


def test_the_seed_is_that_of_median_error(plain: runs.Run) -> None:
    errors = np.array(plain.results().modes["full-batch"]["minifw"].test_error, float)
    _, parcel_ = export(plain, Path("a.npz"))
    (seed,) = parcel_.about.seeds
    assert abs(errors[seed] - np.median(errors)) == np.abs(errors - np.median(errors)).min()


def test_onnx_that_is_not_installed_is_one_line(
    plain: runs.Run, minifw: Minifw, monkeypatch: pytest.MonkeyPatch
) -> None:
    export(plain, Path("net.onnx"))
    for name in ("onnx", "onnxruntime"):
        with monkeypatch.context() as patched:
            patched.setitem(sys.modules, name, None)
            for words in (
                ("export", plain.path, "--format", "onnx"),
                ("predict", "net.onnx", "d.csv"),
            ):
                answer = minifw(*words)
                assert answer.code == 2
                assert answer.err == f'{name} is not installed: pip install "minifw[onnx]"\n'


def test_a_graph_that_says_something_else_is_not_written(
    plain: runs.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = onnx_file.model_of

    def other(*arguments: Any) -> Any:
        model = usual(*arguments)
        with torch.no_grad():
            next(model.parameters()).add_(1e-3)
        return model

    monkeypatch.setattr(onnx_file, "model_of", other)
    with pytest.raises(CheckError, match="in onnxruntime the graph gives numbers that are"):
        export(plain, Path("net.onnx"))
    assert not Path("net.onnx").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda about: about.pop("scale"), "scale: this key is missing"),
        (lambda about: about["scale"][0].pop(), "scale: must be 1 lists of 4 numbers"),
        (lambda about: about["scale"][0].__setitem__(1, 0.0), "scale: must be above 0"),
        (lambda about: about.update(format=2), "format: "),
        (lambda about: about["inputs"].update(classes=["a", "b"]), "classes: must be 3, one for each"),
        (lambda about: about.update(config="network: [relu]"), ""),
        (lambda about: about.update(config=about["config"].replace("out_features: 5", "out_features: 6")),
         "'0.weight' must be"),
    ],
)  # fmt: skip
def test_what_goes_with_weights_is_checked(
    plain: runs.Run, change: Callable[[Any], Any], message: str
) -> None:
    path, _ = export(plain, Path("a.npz"))
    with np.load(path) as archive:
        arrays = dict(archive)
    about = json.loads(str(arrays["minifw"]))
    change(about)
    np.savez(path, **(arrays | {"minifw": np.array(json.dumps(about))}))
    with pytest.raises(ArtefactError) as fault:
        load(path)
    assert len(fault.value.lines) == 1
    assert message in str(fault.value)
    assert str(fault.value).startswith("a.npz")


def test_a_tensor_that_is_missing_or_not_finite_is_refused(plain: runs.Run) -> None:
    path, _ = export(plain, Path("a.npz"))
    with np.load(path) as archive:
        arrays = dict(archive)
    bias = arrays["0.bias"]
    for changed, message in (
        ({"0.bias": bias[1:]}, "'0.bias' must be"),
        ({"0.bias": bias.astype(np.float64)}, "'0.bias' must be"),
        ({"0.bias": bias * np.nan}, "'0.bias' must be finite"),
        ({"more": bias}, "'more' must be nothing, as in its config, got "),
    ):
        np.savez(path, **(arrays | changed))
        with pytest.raises(ArtefactError, match=message):
            load(path)
    del arrays["0.bias"]
    np.savez(path, **arrays)
    with pytest.raises(ArtefactError, match="got nothing"):
        load(path)


def test_literals_of_c_are_the_bytes_of_the_text(tmp_path: Path) -> None:
    if COMPILER is None:
        pytest.skip("no C compiler")
    texts = [*HOSTILE, "".join(map(chr, range(1, 300))), "??=", "\ud800"]
    body = "\n".join(f"  puts({c_file.text(text)});" for text in texts)
    comments = "\n".join(f"/* {c_file.in_comment(text)} */" for text in texts)
    (tmp_path / "a.c").write_text(
        f"#include <stdio.h>\n{comments}\nint main(void) {{\n{body}\nreturn 0; }}\n"
    )
    subprocess.run([COMPILER, *STRICT, "a.c", "-o", "a"], cwd=tmp_path, check=True)
    said = subprocess.run([tmp_path / "a"], capture_output=True, check=True).stdout
    assert said == b"".join(text.encode("utf-8", "surrogatepass") + b"\n" for text in texts)
