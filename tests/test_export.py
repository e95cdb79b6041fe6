"""Exported weights predict what minifw predicts, in each format; nothing is lost, nothing run unasked."""

from __future__ import annotations

import csv
import inspect
import io
import json
import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
import yaml

from conftest import ROOT, Answer, Minifw
from documents import blocks
from minifw import load as load_run
from minifw import nn, runs, train
from minifw.data import Floats
from minifw.errors import ArtefactError, CheckError, DataError, StateError, UsageError
from minifw.experiment import estimates, inputs, prediction
from minifw.experiment.prediction import Networks
from minifw.export import FORMATS, c_file, export, load, parcel, source
from minifw.export.columns import samples_to_try
from minifw.export.twin import model_of
from minifw.nn.registry import REGISTRY, LayerDeclaration
from minifw.reference import layers
from minifw.reference import load as load_state
from minifw.reference.twins import layer_like
from minifw.training import Checkpoint

ALIKE = ("disk-best", "disk-quarter", "half-plane", "parity", "simplenet-sgd", "starter")
"""Configs whose networks are those of others here, but for sizes."""
CONFIGS = [
    pytest.param(path, marks=[pytest.mark.slow] if path.stem in ALIKE else [], id=path.stem)
    for path in sorted((ROOT / "src/minifw/examples").glob("*.yaml"))
]
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


@pytest.mark.parametrize("path", CONFIGS)
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


SETTINGS: dict[str, Any] = {
    "train.eta": 0.05, "train.epochs": 2, "train.batch_size": 10, "loss": "cross-entropy",
    "network": [{"linear": 5}, "relu", {"linear": 3}],
}  # fmt: skip


def trained(folder: Path, seeds: int = 3, allow_code: bool = False, **more: Any) -> runs.Run:
    """A run of the data in d.csv of this folder."""
    data = {"kind": "csv", "path": str(folder / "d.csv"), "target": "kind", **more.pop("data", {})}
    overrides = {"data": data, **SETTINGS, **more}
    run = train(
        "simplenet", seeds=seeds, overrides=overrides, runs_dir=folder, progress=False,
        allow_code=allow_code,
    )  # fmt: skip
    return runs.load(run.path)


@pytest.mark.parametrize("name", NETWORKS)
def test_other_networks_predict_the_same_in_every_format(name: str, tmp_path: Path) -> None:
    dtype, network = NETWORKS[name]
    (tmp_path / "d.csv").write_text(people())
    run = trained(tmp_path, 2, network=yaml.safe_load(network), dtype=dtype)
    kinds = [kind for kind in FORMATS if kind != "c" or COMPILER]
    check_formats(run, tmp_path, tuple(kinds), single="elu" in network)


@pytest.mark.parametrize("name", ["own", "batch-norm", "regression"])
def test_c_takes_no_network_whose_samples_depend_on_each_other(
    minifw: Minifw, tmp_path: Path, name: str
) -> None:
    """What it is given one at a time it would answer otherwise, without a word."""
    (tmp_path / "d.csv").write_text(people())
    Path("mixes.py").write_text(MIXES)
    layer: dict[str, Any] = {"batch-norm1d": {"track_running_stats": False}}
    if name == "own":
        layer = {"python": "mixes.Centred"}
    more: dict[str, Any] = {"network": [{"linear": 5}, layer, {"linear": 3}]}
    if name == "regression":
        more = {
            "network": [{"linear": 5}, layer, {"linear": 1}],
            "data": {"target": "a", "task": "regression"},
            "loss": "mse",
        }
    run = trained(tmp_path, 1, allow_code=True, **more)
    for kind, code in (("c", 2), ("npz", 0)):
        answer = minifw("export", run.path, "--format", kind, "--allow-code")
        assert answer.code == code, answer.err
        if code:
            assert answer.err.startswith("--format c: takes one sample at a time, but what this")
            assert answer.err.count("\n") == 1


MIXES = """
from minifw import nn


class Centred(nn.Module):
    def forward(self, x):
        return x - x.mean(-2, keepdim=True)

    def backward(self, gradient):
        return gradient - gradient.mean(-2, keepdim=True)
"""


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


def write(name: str | Path, rows: list[list[str]], columns: list[str]) -> None:
    with Path(name).open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([columns, *rows])


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Runs of three seeds: of numbers, and one that fills gaps and knows words."""
    folders = {name: tmp_path_factory.mktemp(name) for name in ("plain", "words")}
    (folders["plain"] / "d.csv").write_text(people())
    write(folders["words"] / "d.csv", hostile_rows(), COLUMNS)
    more = {"plain": {}, "words": {"target": COLUMNS[-1], "missing": "median"}}
    return {name: trained(folder, data=more[name]).path for name, folder in folders.items()}


@pytest.fixture
def words(minifw: Minifw, made: dict[str, Path]) -> runs.Run:
    """A run that fills gaps and knows words, of three seeds."""
    shutil.copyfile(made["words"].parent / "d.csv", "d.csv")
    return runs.load(made["words"])


@pytest.fixture
def plain(minifw: Minifw, made: dict[str, Path]) -> runs.Run:
    """A run of four columns of numbers, of three seeds."""
    shutil.copyfile(made["plain"].parent / "d.csv", "d.csv")
    return runs.load(made["plain"])


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


def test_code_does_not_run_unasked(plain: runs.Run, minifw: Minifw) -> None:
    for kind, what in (("torch-code", "runs"), ("c", "compiles and runs")):
        path, _ = export(plain, None, kind)
        trap = "open('ran', 'w').close()\n" if kind == "torch-code" else "#error ran\n"
        path.write_text(path.read_text() + trap)
        answer = minifw("predict", path, "d.csv")
        assert (answer.code, answer.out) == (2, "")
        assert answer.err == (
            f"{path}: predicting {what} the code in this file; --allow-code permits it\n"
        )
        assert not Path("ran").exists()
        answer = minifw("predict", path, "d.csv", "--allow-code")
        assert Path("ran").exists() if kind == "torch-code" else "error" in answer.err
        Path("ran").unlink(missing_ok=True)
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
    with warnings.catch_warnings(action="ignore"):
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
    Path("zeros.npz").write_bytes(bytes(100))
    Path("zeros.pt").write_bytes(bytes(100))
    for name in ("a.pt", "zeros.pt", "zeros.npz"):  # nobody is told to load them without care
        answer = minifw("predict", name, "d.csv")
        assert answer.code == 4
        assert len(answer.err) < 150, answer.err


def test_what_cannot_be_exported_is_refused(plain: runs.Run, minifw: Minifw) -> None:
    for words, message in (
        (("--format", "keras"), "--format: must be one of torch, torch-code, safetensors, npz, onnx, c, got 'keras'"),
        (("--format", "c", "--out", "net.pt"), "--out: a file of c must end in .c, got 'net.pt'"),
        (("--out", "net.xyz"), "--out: must end in one of .pt, .py, .safetensors, .npz, .onnx, .c, got"),
        (("--out", plain.path / "net.c"), f"--out: '{plain.path}/net.c' is inside a run"),
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
    assert [path.name for path in Path().iterdir()] == ["d.csv"]


def test_a_diverged_seed_is_refused_and_left_out(
    plain: runs.Run, minifw: Minifw, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Checkpoint.from_bytes.__func__  # type: ignore[attr-defined]

    def one_gone(cls: type[Checkpoint], content: bytes, where: str) -> Checkpoint:
        checkpoint: Checkpoint = real(cls, content, where)
        checkpoint.history.diverged[1] = 5
        return checkpoint

    monkeypatch.setattr(Checkpoint, "from_bytes", classmethod(one_gone))
    answer = minifw("export", plain.path, "--seed", 1)
    message = f"{plain.path}: seed 1 diverged; there is no network to ask\n"
    assert (answer.code, answer.out, answer.err) == (2, "", message)
    answer = minifw("export", plain.path, "--all-seeds", "--format", "npz", "--out", "a.npz")
    assert answer.err == "minifw: left out, since diverged: seed 1\n"
    networks, _ = load(Path("a.npz"))
    assert networks.seeds == [0, 2]
    assert minifw("predict", "a.npz", "d.csv").out == minifw("predict", plain.path, "d.csv").out


def test_a_run_of_an_older_minifw_is_refused(
    plain: runs.Run, minifw: Minifw, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inputs, "NORMALIZATION", "of a later minifw")
    answer = minifw("export", plain.path)
    assert (answer.code, answer.out) == (4, "")
    assert answer.err == (
        f"{plain.path}: made by a minifw that kept neither normalisation nor names of columns; "
        f"minifw train {plain.path}/config.yaml makes it anew\n"
    )


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
    def other(*arguments: Any) -> Any:
        model = model_of(*arguments)
        with torch.no_grad():
            next(model.parameters()).add_(1e-3)
        return model

    monkeypatch.setattr("minifw.export.onnx_file.model_of", other)
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


# ---------------------------------------------------------------- PyTorch's weights in our networks


def theirs() -> torch.nn.Sequential:
    return torch.nn.Sequential(
        torch.nn.Linear(4, 5), torch.nn.BatchNorm1d(5), torch.nn.ReLU(), torch.nn.Dropout(0.5),
        torch.nn.Linear(5, 3),
    )  # fmt: skip


def ours() -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(4, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Dropout(0.5), nn.Linear(5, 3)
    )


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_a_state_dict_of_pytorch_becomes_ours(tmp_path: Path, suffix: str) -> None:
    net, x = theirs(), torch.randn(20, 4)
    net(x)  # which changes the running means
    net.eval()
    path = tmp_path / f"net{suffix}"
    if suffix == ".pt":
        torch.save(net.state_dict(), path)
    else:
        safetensors.torch.save_file(net.state_dict(), path)
    network = load_state(path, ours()).eval()
    torch.testing.assert_close(network.forward(x), net(x).detach())


def test_an_exported_state_dict_says_what_its_network_is(plain: runs.Run) -> None:
    path, parcel_ = export(plain, Path("net.pt"), seed=2)
    network = load_state(path)
    assert not network.stack
    x = torch.randn(3, 4)
    torch.testing.assert_close(network.forward(x), parcel_.networks.network.forward(x[None])[0])
    net = torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.ReLU(), torch.nn.Linear(5, 3))
    net.load_state_dict(torch.load(path, weights_only=True))  # strictly: nothing else is there
    torch.testing.assert_close(net(x).detach(), network.forward(x))


def test_names_and_shapes_that_do_not_fit_are_named(tmp_path: Path) -> None:
    path = tmp_path / "net.pt"
    state = theirs().state_dict()
    for changed, network, message in (
        (state, nn.Sequential(nn.Linear(4, 5)),
         "has '1.weight', '1.bias', '1.running_mean' and 4 more, which the network has not"),
        ({name: value for name, value in state.items() if name != "4.bias"}, ours(),
         "lacks '4.bias' of the network"),
        ({f"net.{name}": value for name, value in state.items()}, ours(),
         "lacks '0.weight', '0.bias', '1.weight' and 6 more of the network, and has 'net.0.weight', "
         "'net.0.bias', 'net.1.weight' and 6 more, which the network has not"),
        (state | {"4.weight": torch.zeros(3, 4)}, ours(),
         "'4.weight' must be (3, 5) of float32, as '4.weight' of the network, got (3, 4) of float32"),
    ):  # fmt: skip
        torch.save(changed, path)
        before = network.state_dict()
        with pytest.raises(StateError) as fault:
            load_state(path, network)
        assert fault.value.lines[0] == f"{path}: {message}"
        for name, value in network.state_dict().items():
            assert torch.equal(value, before[name])
    torch.save(state, path)
    for arguments, error, message in (
        ((path,), ArtefactError, "does not say what its network is; give one: load"),
        ((path, nn.Sequential(nn.Linear(4, 5, stack=(2,)))), UsageError, "is a stack of networks"),
        ((tmp_path / "no.pt", ours()), DataError, "no.pt"),
    ):
        with pytest.raises(error, match=message):
            load_state(*arguments)
    torch.save([1], path)
    with pytest.raises(ArtefactError, match="must be a state dict"):
        load_state(path, ours())


def test_a_run_of_the_library_exports(plain: runs.Run) -> None:
    run = load_run(plain.path)
    assert run.export() == Path("simplenet.pt")
    assert run.export("a.c", seed=0, mode="full-batch") == Path("a.c")
    assert run.export(format="npz", all_seeds=True) == Path("simplenet.npz")
    with pytest.raises(UsageError, match="seed: must be one of 0, 1, 2, as in this run, got 5"):
        run.export(seed=5)


@needs_compiler
def test_the_program_of_the_page_compiles_and_says_what_minifw_says(tmp_path: Path) -> None:
    (program,) = blocks(ROOT / "docs/export.md", "c")
    run = train(
        "cross-entropy", seeds=1, overrides={"train.epochs": 1}, runs_dir=tmp_path, progress=False
    )
    run.export(tmp_path / "net.c")
    (tmp_path / "main.c").write_text(program)
    assert COMPILER
    subprocess.run([COMPILER, *STRICT, "net.c", "main.c", "-o", "main"], cwd=tmp_path, check=True)
    said = subprocess.run([tmp_path / "main"], capture_output=True, text=True, check=True).stdout
    scores = run.predict([[0.5, 0.25], [0.0, 1.0]]).scores
    lines = [line.split(": ") for line in said.splitlines()]
    assert [name for name, _ in lines] == ["0", "1"]
    np.testing.assert_allclose(
        [[*map(float, pair.split(", "))] for _, pair in lines], scores.T, atol=2e-6
    )


# ----------------------------------------------------------------------------- layers, one by one


@pytest.mark.parametrize(
    "declaration", {id(d): d for d in REGISTRY[LayerDeclaration].values()}.values(),
    ids=lambda declaration: declaration.word,
)  # fmt: skip
def test_the_source_of_each_layer_makes_its_twin(declaration: LayerDeclaration) -> None:
    given = {"dtype": torch.float64}
    known = inspect.signature(declaration.make).parameters
    module = declaration.make(
        **declaration.case, **{name: value for name, value in given.items() if name in known}
    ).eval()
    name, text = source.call_of(module)
    layer = eval(text, {"nn": torch.nn, **vars(layers)})  # what the file would say
    like = layer_like(module, None)
    assert type(layer).__name__ == name == type(like).__name__
    assert str(layer) == str(like)
    layer = layer.to(torch.float64).eval()
    layer.load_state_dict(like.state_dict())
    shapes = declaration.input_shapes
    whole = declaration.whole is not None
    x = [
        torch.ones(shape) if whole else torch.randn(shape, dtype=torch.float64) for shape in shapes
    ]
    assert torch.equal(layer(*x), like(*x))


OWN = """
from pathlib import Path

import torch

from minifw import nn

Path("it-ran").touch()


@nn.layer(twin=nn.Twin("LeakyReLU", negative_slope=lambda ours: 0.25))
class Leaky(nn.ActivationFunction):
    def function(self, x):
        return torch.maximum(x, 0.25 * x)  # */ /* ??/

    def derivative(self, x, y):
        return torch.full_like(x, 0.25).masked_fill_(x > 0, 1)


class Lonely(Leaky):
    declaration = None


class Theirs(torch.nn.Module):
    def forward(self, x):
        return torch.nn.functional.leaky_relu(x, 0.25)


@nn.layer(twin=nn.Twin(Theirs))
class Paired(Leaky):
    pass
"""


def test_layers_of_ones_own_travel_as_far_as_their_source(minifw: Minifw) -> None:
    Path("mine.py").write_text(OWN)
    Path("d.csv").write_text(people())
    lacks = {
        "Leaky": {},
        "Paired": {"torch-code": "its PyTorch twin Theirs is a user's own class, whose source"},
        "Lonely": dict.fromkeys(("torch", "torch-code", "onnx"), "there is no PyTorch twin of it"),
    }
    for name, missing in lacks.items():
        answer = minifw(
            "train", "simplenet", "--set", "data={kind: csv, path: d.csv, target: kind}",
            "--set", f"network=[{{linear: 5}}, {{python: mine.{name}}}, {{linear: 3}}]",
            "--set", "train.epochs=2", "--set", "train.compile=false", "--allow-code", "-q", "--json",
        )  # fmt: skip
        assert answer.code == 0, answer.err
        run = Path(answer.json["run_dir"])
        assert minifw("export", run).code == 2  # its code may not run
        for kind in FORMATS if name == "Leaky" else ("npz", *missing):
            if kind == "c" and not COMPILER:
                continue
            file = f"{name}{FORMATS[kind].suffix}"
            answer = minifw("export", run, "--format", kind, "--out", file, "--allow-code")
            if kind in missing:
                assert (answer.code, answer.err.count("\n")) == (2, 1), (name, kind)
                assert missing[kind] in answer.err
                assert not Path(file).exists()
                continue
            assert answer.code == 0, answer.err
            Path("it-ran").unlink()
            refused = minifw("predict", file, "d.csv")
            assert (refused.code, Path("it-ran").exists()) == (2, False), kind
            assert "allow-code" in refused.err
            said = minifw("predict", run, "d.csv", "--allow-code")
            again = minifw("predict", file, "d.csv", "--allow-code")
            np.testing.assert_allclose(table(again)[2], table(said)[2], atol=2e-6)
            Path("it-ran").touch()
            if kind == "c":
                assert COMPILER
                subprocess.run([COMPILER, *STRICT, "-c", file, "-o", "net.o"], check=True)
