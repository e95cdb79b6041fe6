"""minifw from Python: `train`, `load`, `fit`, `Dataset.from_arrays`, and a run as an object."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, assert_type

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import minifw
from conftest import SMALL, Minifw
from minifw import nn
from minifw.errors import (
    ArtefactError,
    ConfigError,
    DataError,
    DivergedError,
    DtypeError,
    MinifwError,
    ModuleError,
    UsageError,
)
from minifw.training.fit import fit as plain_fit
from minifw.training.history import History

QUICK: dict[str, Any] = {
    "data.train": 40, "data.test": 30, "train.batch_size": 15, "train.epochs": 20,
    "train.compile": False,
}  # fmt: skip
CONFIG: dict[str, Any] = {
    "name": "mine",
    "data": {"kind": "disk", "train": 40, "test": 30},
    "network": [{"linear": 5}, "tanh", {"linear": 2}],
    "loss": "cross-entropy",
    "train": {"eta": 0.5, "epochs": 3, "compile": False},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> minifw.Run:
    return minifw.train(
        "simplenet", seeds=3, overrides=QUICK, runs_dir=tmp_path_factory.mktemp("runs")
    )


# ------------------------------------------------------------------------------ what is exported


def test_importing_minifw_imports_nothing_heavy() -> None:
    program = (
        "import sys, minifw; dir(minifw); "
        "heavy = {'torch', 'numpy', 'matplotlib', 'pydantic', 'rich', 'typer', 'yaml'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr


def test_what_is_listed_is_there_and_nothing_hides_it() -> None:
    assert minifw.__all__ == sorted(minifw.__all__)
    assert {*minifw.__all__} <= {*dir(minifw)}
    assert not [name for name in minifw.__all__ if not hasattr(minifw, name)]
    assert callable(minifw.train)  # and no sub-package of that name
    with pytest.raises(AttributeError, match="module 'minifw' has no attribute 'tarin'"):
        _ = minifw.tarin  # type: ignore[attr-defined]


def test_what_a_user_gets_has_types(run: minifw.Run) -> None:
    """mypy --strict reads this file with a user's settings; an ignore that is not needed is a fault."""
    assert_type(run.test_error, NDArray[np.float64])
    assert_type(run.metrics.arrays(), dict[str, NDArray[Any]])
    assert_type(run["full-batch"].seconds, float)
    assert_type(run.predict([[0.5, 0.5]], seed=1).classes, NDArray[np.str_])
    assert_type(minifw.load(run.path).network(seed=1), nn.Network)
    assert_type(minifw.Dataset.from_arrays([[0.0], [1.0]], [0, 1], [[0.5]], [0]), minifw.Dataset)
    with pytest.raises(AttributeError):
        _ = run.test_eror  # type: ignore[attr-defined]
    with pytest.raises(TypeError):
        minifw.train("simplenet", seed=2)  # type: ignore[call-arg]


# --------------------------------------------------------------------------------------- train


def test_train_gives_what_the_command_gives(minifw: Minifw, run: minifw.Run) -> None:
    words = [word for key, value in QUICK.items() for word in ("--set", f"{key}={value}".lower())]
    answer = minifw("train", "simplenet", "--seeds", 3, *words, "--json").json
    assert run.test_error.tolist() == answer["test_error"]
    assert run.train_loss.tolist() == answer["train_loss"]
    assert (run.name, run.status, run.modes, run.seeds) == (
        "simplenet", "complete", ["full-batch"], [0, 1, 2],
    )  # fmt: skip
    files = {str(p.relative_to(run.path)) for p in run.path.rglob("*") if p.is_file()}
    other = Path(answer["run_dir"])
    assert files == {str(p.relative_to(other)) for p in other.rglob("*") if p.is_file()}


def test_a_config_may_be_a_name_a_path_or_a_mapping(tmp_path: Path) -> None:
    text = json.dumps(CONFIG)  # which is YAML
    (tmp_path / "mine.yaml").write_text(text)
    runs_dir = tmp_path / "runs"
    of_file = minifw.train(tmp_path / "mine.yaml", runs_dir=runs_dir)
    of_text = minifw.train(str(tmp_path / "mine.yaml"), runs_dir=str(runs_dir))
    of_mapping = minifw.train(CONFIG, runs_dir=runs_dir)
    configs = {(each.path / "config.yaml").read_text() for each in (of_file, of_text, of_mapping)}
    assert len(configs) == 1
    assert of_file.train_loss == of_mapping.train_loss
    assert of_mapping.config.train.eta == 0.5


def test_numbers_of_numpy_and_tuples_are_plain_values(tmp_path: Path) -> None:
    overrides = {
        "data.center": (0.25, np.float64(0.5)), "train.epochs": np.int64(2), "name": "on",
        "train.eta": torch.tensor(0.5), "data.radius": 1e-3,
    }  # fmt: skip
    config = minifw.train(CONFIG, overrides=overrides, runs_dir=tmp_path).config
    assert (config.name, config.train.epochs, config.train.eta) == ("on", 2, 0.5)
    assert config.data.model_dump()["center"] == (0.25, 0.5)
    assert config.data.model_dump()["radius"] == 1e-3


@pytest.mark.parametrize(
    ("config", "overrides", "lines"),
    [
        ({**CONFIG, "train": {"eta": -1, "epcohs": 3}}, {}, [
            "config: train.eta: must be above 0.0, got -1",
            "config: train.epcohs: unknown key; did you mean 'epochs'?",
            "config: train.epochs: this key is missing",
        ]),
        (CONFIG, {"train.eta": 0, "train.mode": "sdg"}, [
            "overrides train.mode=sdg: train.mode: must be one of full-batch, sgd, got 'sdg' (text)"
            "; did you mean 'sgd'?",
            "overrides train.eta=0: train.eta: must be above 0.0, got 0",
        ]),
        ("simplenet", {"train.eta": float("nan")}, [
            "overrides train.eta=.nan: train.eta: must be a finite number, got nan",
        ]),
        ({**CONFIG, "loss": {1, 2}}, {}, ["config: loss: must be a value that YAML has, got set"]),
        ({**CONFIG, "network": [{"linear": 2}, nn.ReLU], "loss": nn.LossMSE()}, {}, [
            f"config: {key}: must be a value that YAML has, got {got}; a config names a class in words, as "
            f"'relu', or one of your own as {{'python': 'file.{name}'}}; minifw.fit takes networks "
            "and losses themselves"
            for key, got, name in (("network.1", "the class ReLU", "ReLU"),
                                   ("loss", "LossMSE", "LossMSE"))
        ]),
        (CONFIG, {"data": {"train": 5}}, [
            "overrides data={train: 5}: data: the key 'kind' is missing",
            "overrides: 'data' replaces the whole section; {'data.train': …} changes one key",
        ]),
        (CONFIG, {"train": {"epochs": 5}}, [
            "overrides train={epochs: 5}: train.eta: this key is missing",
            "overrides: 'train' replaces the whole section; {'train.epochs': …} changes one key",
        ]),
        (CONFIG, {"name": b"x"}, ["overrides: name: must be a value that YAML has, got bytes"]),
        ({**CONFIG, "network": [{"linear": 3}]}, {}, [
            "config: network.0: 2 classes, the last layer has 3 outputs; "
            "overrides={'network.0.out_features': 2}",
        ]),
        ({**CONFIG, "data": {"kind": "csv", "path": "none.csv"}}, {}, [
            "{here}/none.csv: cannot be read as data: No such file or directory",
        ]),
    ],
)  # fmt: skip
def test_faults_of_a_config_are_those_of_the_command(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    config: str | Mapping[str, Any],
    overrides: Mapping[str, Any],
    lines: list[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as caught:
        minifw.train(config, overrides=overrides)
    assert list(caught.value.lines) == [line.replace("{here}", str(tmp_path)) for line in lines]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ({"config": 3}, "train: config must be the name of a packaged config, the path of a YAML "
         "file or a mapping, got int"),
        ({"overrides": ["train.epochs=5"]}, "train: overrides must be a mapping of dotted keys, as "
         "{'train.epochs': 5}, got list"),
        ({"overrides": []}, "train: overrides must be a mapping of dotted keys, as "
         "{'train.epochs': 5}, got list"),
        ({"overrides": {3: 5}}, "train: overrides must be a mapping of dotted keys, as "
         "{'train.epochs': 5}, got the key 3"),
        ({"seeds": 0}, "seeds: must be a whole number of at least 1, got 0"),
        ({"seeds": 2.0}, "seeds: must be a whole number of at least 1, got 2.0"),
        ({"threads": 0}, "threads: must be a whole number of at least 1, got 0"),
        ({"seeds": np.array([2])}, "seeds: must be a whole number of at least 1, got array([2])"),
        ({"overrides": "train.eta=1"}, "train: overrides must be a mapping of dotted keys, as "
         "{'train.epochs': 5}, got str"),
        ({"overrides": {"train.eta=3": 1}}, "train: overrides must be a mapping of dotted keys, as "
         "{'train.epochs': 5}, got the key 'train.eta=3'"),
        ({"runs_dir": None}, "runs_dir: must be a path, got None"),
        ({"runs_dir": "a\0b"}, "runs_dir: must be a path, got 'a\\x00b'"),
        ({"config": "simplent"}, "simplent: there is no such file or packaged config; did you mean "
         "'simplenet'?"),
    ],
)  # fmt: skip
def test_faults_of_other_arguments(arguments: dict[str, Any], line: str) -> None:
    with pytest.raises(UsageError) as caught:
        minifw.train(**{"config": "simplenet", **arguments})
    assert caught.value.lines == (line,)


def test_a_run_whose_seeds_all_diverged_is_an_error_and_there(tmp_path: Path) -> None:
    with pytest.raises(DivergedError, match=r"all 1 networks diverged, the first in epoch \d"):
        minifw.train(CONFIG, overrides={"train.eta": 1e30, "loss": "mse"}, runs_dir=tmp_path)
    (path,) = tmp_path.iterdir()
    run = minifw.load(path)
    assert run.status == "diverged"
    assert np.isnan(run.test_error).all()
    assert run["full-batch"].diverged_epoch[0] is not None
    with pytest.raises(UsageError, match="diverged; there is no network to ask"):
        run.predict([[0.5, 0.5]])


def test_nothing_is_printed_unless_asked_for(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    minifw.train(CONFIG, runs_dir=tmp_path)
    assert capfd.readouterr() == ("", "")
    minifw.train(CONFIG, runs_dir=tmp_path, progress=True)
    assert "minifw full-batch: 3 of 3" in capfd.readouterr().err


def test_threads_are_as_before_a_call(tmp_path: Path) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        run = minifw.train(CONFIG, runs_dir=tmp_path, threads=1)
        assert torch.get_num_threads() == 3
        assert json.loads((run.path / "manifest.json").read_text())["threads"] == 1
    finally:
        torch.set_num_threads(before)


def test_a_notebook_has_one_bar_that_is_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    shown: list[dict[str, str]] = []

    def show(content: dict[str, str], **more: Any) -> Any:
        assert more["raw"]
        shown.append(content)
        return SimpleNamespace(update=show)

    notebook = ModuleType("IPython")
    notebook.get_ipython = lambda: SimpleNamespace(kernel=object())  # type: ignore[attr-defined]
    notebook.display = SimpleNamespace(display=show)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", notebook)
    minifw.train(CONFIG, runs_dir=tmp_path)
    assert shown[-1]["text/plain"].startswith("minifw full-batch: 3 of 3  loss ")
    assert '<progress value="3" max="3">' in shown[-1]["text/html"]
    shown.clear()
    minifw.train(CONFIG, runs_dir=tmp_path, progress=False)
    assert not shown
    notebook.display = None  # type: ignore[attr-defined]
    minifw.train(CONFIG, runs_dir=tmp_path)  # a display that fails loses no run
    assert capfd.readouterr() == ("", "")


# ----------------------------------------------------------------------------------------- a run


def test_a_run_read_again_says_the_same(run: minifw.Run) -> None:
    again = minifw.load(run.path)
    for name in ("test_error", "train_error", "train_loss"):
        assert np.array_equal(getattr(again, name), getattr(run, name))
    assert minifw.load(run.path.name[-6:], runs_dir=run.path.parent).path == run.path
    assert repr(again) == f"<Run {run.path}: complete, 3 seeds, full-batch>"


def test_measurements_end_with_the_errors_of_the_run(run: minifw.Run) -> None:
    arrays = run.metrics.arrays()
    assert arrays["epoch"].tolist() == [0, 10, 20]
    for name in ("test_error", "train_error", "train_loss"):
        assert arrays[name].shape == (3, 3)
        assert np.array_equal(arrays[name][-1], getattr(run, name))


def test_a_frame_has_a_row_for_each_measurement(
    run: minifw.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    pandas = ModuleType("pandas")
    pandas.DataFrame = dict  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pandas", pandas)
    frame: Any = run.metrics.frame()
    assert list(frame) == [
        "mode",
        "arm",
        "epoch",
        "seed",
        "train_loss",
        "train_error",
        "test_error",
        "test_loss",
    ]
    assert [len(column) for column in frame.values()] == [9] * 8
    last = (frame["epoch"] == 20) & (frame["seed"] == 1)
    assert frame["test_error"][last].tolist() == [run.test_error[1]]
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(UsageError, match=r"^metrics.frame: needs pandas.*: pip install pandas"):
        run.metrics.frame()


def test_a_network_of_a_run_is_the_one_that_was_trained(run: minifw.Run) -> None:
    """Its test error on the run's own test samples is the one that the run noted."""
    with np.load(run.path / "decision.npz") as decided:
        seed = int(decided["full-batch/seed"])
        points, labels = decided["full-batch/points"], decided["full-batch/labels"]
    network = run.network(seed)
    assert network.state_dict()["0.weight"].shape == (25, 2)
    outputs = network.forward(run.inputs(points, seed))
    wrong = 100 * (outputs.argmax(-1).numpy() != labels).mean()
    assert wrong == pytest.approx(run.test_error[seed])
    answer = run.predict(points, seed)
    assert np.array_equal(answer.classes, outputs.argmax(-1).numpy().astype(str))
    assert np.allclose(answer.scores, outputs.double().numpy())
    # It is a network as any other: it can be trained on.
    data = minifw.Dataset.from_arrays(points, labels, points, labels)
    minifw.fit(network, nn.LossMSE(), nn.SGD(network), data, epochs=1, eta=0.1)


def test_all_seeds_vote(run: minifw.Run) -> None:
    x = np.random.default_rng(0).uniform(0, 1, (50, 2))
    answer = run.predict(x)
    assert answer.names == ("0", "1")
    assert answer.seeds == (0, 1, 2)
    assert (answer.votes.sum(1) == 3).all()
    assert answer.each.shape == (3, 50)
    for seed in run.seeds:
        assert np.array_equal(answer.each[seed], run.predict(x.tolist(), seed).classes)
        assert np.allclose(answer.scores, answer.scores)
    mean = np.mean([run.predict(x, seed).scores for seed in run.seeds], 0)
    assert np.allclose(answer.scores, mean)


def test_figures_and_tables(run: minifw.Run) -> None:
    for name in ("errors", "decision"):
        figure: Any = run.figure(name)
        assert type(figure).__name__ == "Figure"
        assert figure._repr_png_().startswith(b"\x89PNG")  # by which a notebook shows it
    assert (run.path / "tables/table1.md").read_text() == run.tables["table1"].markdown()


@pytest.mark.parametrize(
    ("call", "line"),
    [
        (lambda run: run.figure("error"), "figure: must be one of errors, decision, confusion, got 'error'"),
        (lambda run: run.network(), "seed: this run has several, choose one of 0, 1, 2"),
        (lambda run: run.network(seed=3), "seed: must be one of 0, 1, 2, as in this run, got 3"),
        (lambda run: run.predict([[1, 2]], True), "seed: must be one of 0, 1, 2, as in this run, "
         "got True"),
        (lambda run: run["sgd"], "mode: must be one of full-batch, as in this run, got 'sgd'"),
        (lambda run: run["full-batch", "vmap"], "arm: must be one of minifw, as in this run, got "
         "'vmap'"),
        (lambda run: run.figure(["errors"]), "figure: must be one of errors, decision, confusion, got "
         "['errors']"),
        (lambda run: run[0], "run[…]: must be a mode, or a mode and an arm, got 0"),
        (lambda run: run.network(np.array([0, 1])), "seed: must be one of 0, 1, 2, as in this run, "
         "got array([0, 1])"),
        (lambda run: minifw.load(0),  # type: ignore[arg-type]
          "run: must be a path, got 0"),
        (lambda run: run.predict([1, 2]), "predict: x must be (samples, 2), with columns for x, y,"
         " got (2,)"),
        (lambda run: run.predict([[1, np.nan]]), "predict: x[0, 1] must be a finite number, got nan;"
         " leave such samples out"),
        (lambda run: run.predict([["a", "b"]]), "predict: x must hold real numbers, got text"),
    ],
)  # fmt: skip
def test_what_a_run_cannot_give(
    run: minifw.Run, call: Callable[[minifw.Run], object], line: str
) -> None:
    with pytest.raises(UsageError) as caught:
        call(run)
    assert caught.value.lines == (line,)


def test_a_comparison_has_modes_and_arms(minifw: Minifw) -> None:
    import minifw as library

    words = (*SMALL, "--set", "train.epochs=2")
    answer = minifw("compare", "--seeds", 2, *words, "--json").json
    run = library.load(answer["run_dir"])
    for mode, arms in answer["test_error"].items():
        assert run[mode].test_error.tolist() == arms["minifw"]
        assert run[mode, "pytorch"].test_error.tolist() == arms["pytorch"]
        assert run.metrics.arrays(mode, "pytorch")["test_error"][-1].tolist() == arms["pytorch"]
    with pytest.raises(UsageError) as caught:
        _ = run.test_error
    assert str(caught.value) == (
        "this run has several modes, full-batch, sgd; run['full-batch'] holds the results of one"
    )
    with pytest.raises(UsageError, match="mode: this run has several"):
        run.predict([[0.5, 0.5]])
    assert len(run.predict([[0.5, 0.5]], mode="sgd").classes) == 1
    assert set(run.tables) == {"table1", "table2", "table3", "table4"}


def test_a_run_that_is_not_over_or_damaged_is_one_line(run: minifw.Run, tmp_path: Path) -> None:
    import shutil

    with pytest.raises(UsageError, match=r"none: there is no such run"):
        minifw.load("none", runs_dir=tmp_path)
    copy = tmp_path / "copy"
    shutil.copytree(run.path, copy)
    (copy / "results.json").write_text("{}")
    with pytest.raises(ArtefactError, match=r"results.json: damaged"):
        minifw.load(copy)
    from minifw import runs

    of_copy = runs.load(copy)
    of_copy.write_json("results.json", {"modes": {"full-batch": {"minifw": {"test_error": [1]}}}})
    of_copy.commit()
    with pytest.raises(
        ArtefactError, match=r"results.json: name: this key is missing, and \d+ more"
    ):
        minifw.load(copy)
    content = json.loads((run.path / "results.json").read_text())
    of_copy.write_json("results.json", content)
    of_copy.commit(arms=["minifw", "vmap"])
    with pytest.raises(ArtefactError, match="other seeds, modes or arms than the manifest"):
        minifw.load(copy)
    of_copy.commit(status="interrupted", arms=["minifw"])
    with pytest.raises(UsageError, match="this run is interrupted; minifw resume"):
        minifw.load(copy)


# -------------------------------------------------------------------------------- arrays and fit

X = np.random.default_rng(0).uniform(0, 1, (60, 2))
Y = np.where(X.sum(1) > 1, "far", "near")


def test_a_dataset_of_arrays_holds_them_normalised() -> None:
    data = minifw.Dataset.from_arrays(X[:40], Y[:40], X[40:], Y[40:])
    assert data.classes == ("far", "near")
    assert data.train.inputs.shape == (40, 2)
    assert torch.allclose(data.train.inputs.mean(0), torch.zeros(2), atol=1e-6)
    assert np.allclose(data.test.inputs.numpy() * data.scale + data.shift, X[40:], atol=1e-6)
    assert data.train.targets.argmax(-1).tolist() == data.train.class_numbers.tolist()
    assert data.train.class_numbers.tolist() == (Y[:40] == "near").astype(int).tolist()
    stack = data.repeated(3)
    assert stack.train.inputs.shape == (3, 40, 2)
    assert stack.shift.shape == stack.scale.shape == (3, 2)
    plain = minifw.Dataset.from_arrays(
        torch.tensor(X), Y.tolist(), X.tolist(), Y, normalize=False, one_hot=False, dtype="float64"
    )
    assert np.array_equal(plain.train.inputs.numpy(), X)
    assert plain.train.targets.dtype == torch.int64


@pytest.mark.parametrize(
    ("y", "classes"),
    [
        ([10, 9, 9, 10], ("9", "10")),
        ([1.0, 0.5, 1.0, 0.5], ("0.5", "1")),
        ([float(k) for k in range(4)], ("0", "1", "2", "3")),
        (["0.5", "1.5", "2.5", "3.5"], ("0.5", "1.5", "2.5", "3.5")),
        ([True, False, True, True], ("False", "True")),
        (["b", "a", "b", "a"], ("a", "b")),
        (np.array(["b", "a", "b", "a"], object), ("a", "b")),
        (torch.tensor([3, 1, 3, 1]), ("1", "3")),
    ],
)
def test_classes_may_be_anything_with_a_name(y: Any, classes: tuple[str, ...]) -> None:
    data = minifw.Dataset.from_arrays(X[:4], y, X[:4], y)
    assert data.classes == classes


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ({"x": X[0]}, "x must be (samples, features) or (seeds, samples, features), got (2,)"),
        ({"y": Y[:5]}, "y must be (60,), one class for each sample of x (60, 2), got (5,)"),
        ({"x_test": X[:, :1]}, "x_test must have the features of x, and its seeds if there are "
         "any, got (60, 1) for x (60, 2)"),
        ({"x": [[1, 2], [3]]}, "x must be an array, its rows differ in shape"),
        ({"x_test": X + 1j}, "x_test must hold real numbers, got complex128"),
        ({"x": np.where(X > 0.99, np.inf, X)}, "must be a finite number, got inf"),
        ({"y": ["far"] * 60, "y_test": ["far"] * 60}, "y and y_test must hold at least two "
         "classes, all samples are 'far'"),
        ({"y": [*Y[:59], "NA"]}, "y must hold a class for each sample, got 'NA'"),
        ({"y": [{}] * 60}, "y must hold classes (whole numbers, text or truth values), got object"),
        ({"y": X[:, 0], "y_test": X[:, 0]}, "y holds 60 different numbers that are not whole, such "
         f"as {X[:, 0].min():g}, and each would be a class; task=\"regression\" predicts numbers; np.digitize "
         "makes classes of ranges, and as text (y.astype(str)) each number is one"),
        ({"y_test": X[:, 1]}, "y_test holds 60 different numbers that are not whole"),
        ({"x": torch.tensor(X).bfloat16()}, "x must be a tensor that NumPy can hold: "),
        ({"x": torch.tensor(X).to_sparse()}, "x must be a tensor that NumPy can hold: "),
        ({"x": np.ma.masked_greater(X, 0.9)}, "x has values that are masked; leave such samples out"),
        ({"y_test": Y == "far"}, "y_test must hold classes of y, which are far, near, got False, "
         "True"),
        ({"device": "gpu"}, "device 'gpu' cannot be used: "),
        ({"dtype": ["float32"]}, "dtype must be one of float32, float64, got ['float32']"),
        ({"dtype": "float16"}, "dtype must be one of float32, float64, got 'float16'"),
    ],
)  # fmt: skip
def test_arrays_that_do_not_fit(arguments: dict[str, Any], what: str) -> None:
    given = {"x": X, "y": Y, "x_test": X, "y_test": Y, **arguments}
    with pytest.raises(DataError) as caught:
        minifw.Dataset.from_arrays(**given)
    assert str(caught.value).startswith("Dataset.from_arrays: ")
    assert what in str(caught.value)


def network(stack: tuple[int, ...] = ()) -> nn.Sequential:
    generators = [np.random.default_rng(7) for _ in range(stack[0] if stack else 1)]
    return nn.Sequential(
        nn.Linear(2, 5, stack=stack, generators=generators),
        nn.Tanh(),
        nn.Linear(5, 2, stack=stack, generators=generators),
    )


def test_a_stack_on_the_samples_of_one_is_each_network_alone() -> None:
    data = minifw.Dataset.from_arrays(X, Y, X, Y)
    one, stack = network(), network((2,))
    arguments: dict[str, Any] = {"epochs": 3, "eta": 0.5, "batch_size": 20}
    alone = minifw.fit(one, nn.LossMSE(), nn.SGD(one), data, seed=1, **arguments)
    both = minifw.fit(stack, nn.LossMSE(), nn.SGD(stack), data, seed=0, **arguments)
    weights, lone = stack.state_dict()["0.weight"], one.state_dict()["0.weight"]
    assert torch.allclose(weights[1], lone, rtol=0, atol=1e-6)
    # Network 0 has the same start and another order of batches.
    assert not torch.allclose(weights[0], lone, rtol=0, atol=1e-4)
    losses = [float(loss[1]) for loss in both.train_loss]
    assert losses == pytest.approx([float(loss) for loss in alone.train_loss], rel=1e-5)


def test_fit_is_the_loop_of_the_command() -> None:
    stacked = np.stack([X, X + 1]), np.stack([Y, Y])
    data = minifw.Dataset.from_arrays(*stacked, *stacked)
    ours, theirs = network((2,)), network((2,))
    minifw.fit(ours, nn.LossMSE(), nn.SGD(ours), data, epochs=3, eta=0.5)
    plain_fit(theirs, nn.LossMSE(), nn.SGD(theirs), data, epochs=3, eta=0.5)
    for (_, left, _), (_, right, _) in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(left, right)


def test_fit_learns(capfd: pytest.CaptureFixture[str]) -> None:
    data = minifw.Dataset.from_arrays(X, Y, X, Y)
    net = network()
    history = minifw.fit(
        net, nn.LossCrossEntropy(), nn.SGD(net, momentum=0.9), data, epochs=100, eta=0.5
    )
    assert float(history.test_error[0]) > 10
    assert float(history.test_error[-1]) < 5
    assert capfd.readouterr() == ("", "")


FAR = np.random.default_rng(1).uniform(0, 1, (30, 2)) * [1000, 0.001]  # units far apart


def test_a_dataset_takes_new_samples_as_they_come() -> None:
    y = np.where(FAR[:, 0] > 500, "right", "left")
    data = minifw.Dataset.from_arrays(FAR[:20], y[:20], FAR[20:], y[20:])
    assert torch.equal(data.inputs(FAR[20:]), data.test.inputs)
    assert torch.equal(data.inputs(FAR.tolist())[:20], data.train.inputs)
    net = network()
    history = minifw.fit(net, nn.LossMSE(), nn.SGD(net), data, epochs=40, eta=0.3, batch_size=5)
    wrong = 100 * (data.predict(net, FAR[20:]) != y[20:]).mean()
    assert wrong == pytest.approx(float(history.test_error[-1]))
    output = net.forward(data.inputs(FAR))
    assert data.classes_of(output).tolist() == [data.classes[k] for k in output.argmax(-1)]


def test_every_network_of_a_stack_is_asked() -> None:
    y = np.where(FAR[:, 0] > 500, "right", "left")
    same = minifw.Dataset.from_arrays(FAR, y, FAR, y)
    stack = network((3,))
    assert same.predict(stack, FAR[:4]).shape == (3, 4)
    assert (same.predict(stack, FAR[:4])[1] == same.predict(network(), FAR[:4])).all()
    x = np.stack([FAR, FAR + 1, FAR * 2])
    own = minifw.Dataset.from_arrays(x, [y, y, y], x, [y, y, y])
    assert torch.equal(own.inputs(x), own.train.inputs)
    assert torch.equal(own.inputs(FAR)[2], (own.inputs([FAR] * 3))[2])
    assert own.predict(stack, FAR[:4]).shape == (3, 4)


def test_new_samples_that_do_not_fit_a_dataset() -> None:
    data = minifw.Dataset.from_arrays(X, Y, X, Y)
    outputs = torch.zeros(3, 4, 2)
    outputs[1, 2, 0] = torch.nan
    for call, line in (
        (lambda: data.inputs(X[0]), "Dataset.inputs: x must be (samples, 2), a column each for x[0]"
         ", x[1], got (2,)"),
        (lambda: data.repeated(3).inputs(X[:, :1]), "Dataset.inputs: x must be (samples, 2) or (3, "
         "samples, 2), a column each for x[0], x[1], got (60, 1)"),
        (lambda: data.inputs([[1e300, 0]]), "Dataset.inputs: x has numbers that come to more than "
         "float32 can hold"),
        (lambda: data.classes_of(outputs[..., :1]), "Dataset.classes_of: output must be a tensor "
         "(…, samples, 2), one output for each class, got (3, 4, 1)"),
        (lambda: data.classes_of(outputs), "Dataset.classes_of: the outputs of network 1 must be "
         "finite numbers; those of a network that diverged are not"),
    ):  # fmt: skip
        with pytest.raises(DataError) as caught:
            call()
        assert caught.value.lines == (line,)
    with pytest.raises(DtypeError, match=r"^Dataset.predict: network must be .*, got str$"):
        data.predict("simplenet", X)  # type: ignore[arg-type]


def test_what_is_shown_of_data_and_history_is_one_line() -> None:
    data = minifw.Dataset.from_arrays(X, Y, X[:20], Y[:20])
    many = minifw.Dataset.from_arrays(X, range(60), X, range(60)).repeated(3)
    assert repr(data) == (
        "<Dataset: 60 training and 20 test samples, 2 features, 2 classes: far, near>"
    )
    assert repr(many) == (
        "<Dataset: 60 training and 60 test samples for each of 3 networks, 2 features, "
        "60 classes: 0, 1, 2, 3, 4, …>"
    )
    assert repr(data.test) == ("<Samples: inputs (20, 2), targets (20, 2), labels (20,), float32>")
    history = History.of(())
    assert repr(history) == "<History: 0 epochs>"
    history.epoch = 1
    history.record(1, *(np.array(value) for value in (0.123456, 5.0, 6.25)))
    assert repr(history) == ("<History: 1 epoch; loss 0.1235, errors 5 % training, 6.25 % test>")
    stack = History.of((3,))
    stack.epoch = 2
    stack.diverge(np.array([False, True, False]), 2)
    stack.record(2, *(np.array(values) for values in ([1, 9, 2.0], [4, 50, 6.0], [6, 50, 9.0])))
    assert repr(stack) == (
        "<History: 2 epochs of 3 networks; 1 diverged; "
        "median loss 1.5, errors 5 % training, 7.5 % test>"
    )
    stack.diverge(np.array([True, True, True]), 3)
    assert repr(stack) == "<History: 2 epochs of 3 networks; 3 diverged>"


def test_fit_raises_when_no_network_is_left_and_keeps_what_it_recorded() -> None:
    data = minifw.Dataset.from_arrays(X, Y, X, Y)
    net, stack = network(), network((2,))
    linear = nn.Sequential(nn.Linear(2, 2))
    for which, line in (
        (net, r"fit: the network diverged in epoch \d+, where .* of \d, .*; its weights are of no "
         r"use any more; a new network with a smaller eta than 1e\+30 may help"),
        (stack, r"fit: all 2 networks diverged, the first in epoch \d+, where .*"),
        (linear, r"fit: the network diverged in epoch \d+, .* of 0, Linear\(2, 2\); .*"),
    ):  # fmt: skip
        with pytest.raises(DivergedError, match=f"^{line}$") as caught:
            minifw.fit(which, nn.LossMSE(), nn.SGD(which), data, epochs=20, eta=1e30)
        history = caught.value.history
        assert history.all_diverged
        assert np.isnan(history.train_loss[-1]).all()
        assert np.isfinite(history.train_loss[0]).all()


def test_fit_goes_on_while_one_network_is_left() -> None:
    data = minifw.Dataset.from_arrays(X, Y, X, Y)
    stack = network((2,))
    stack[0].weight[1] = torch.inf
    history = minifw.fit(stack, nn.LossMSE(), nn.SGD(stack), data, epochs=2, eta=0.1)
    assert history.diverged.tolist() == [-1, 1]


class Slopes(nn.Module):
    """Of as many features as it was told; what does not fit it is torch's own error."""

    def __init__(self, features: int) -> None:
        self.features = features

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x * torch.ones(self.features)
        self.remember((x,), (y,))
        return y

    def backward(self, gradient: torch.Tensor) -> torch.Tensor:
        return gradient


def test_what_does_not_fit_the_arrays_is_said_with_their_shapes() -> None:
    class Inner(nn.Graph):
        def __init__(self, features: int) -> None:
            self.slopes = Slopes(features)
            self.register_modules(self.slopes)

        def connect(self, x: nn.Variable) -> nn.Variable:
            given: nn.Variable = self.slopes(x)
            return given

    class Broken(nn.Loss):
        def function(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
            return output @ target

    def ending(outputs: int, *modules: nn.Module) -> nn.Sequential:
        return nn.Sequential(nn.Linear(2, 5), *modules, nn.Linear(5, outputs))

    rows = minifw.Dataset.from_arrays(X, Y, X, Y)
    numbers = minifw.Dataset.from_arrays(X, Y, X, Y, one_hot=False)
    wide = minifw.Dataset.from_arrays(np.tile(X, 2), Y, np.tile(X, 2), Y)
    mse, entropy = nn.LossMSE(), nn.LossCrossEntropy()
    of_torch = r"RuntimeError: The size of tensor a \(5\) must match .*"
    cases: list[tuple[nn.Network, nn.Loss, minifw.Dataset, str]] = [
        (ending(2), mse, wide, r"Linear\(2, 5\).forward: expects an input of shape .*, got \(1, 4\) "
         r"\(fit tried one training sample, of inputs \(60, 4\) of float32\)"),
        (ending(2), mse, numbers, r"LossMSE.*: expects a target of .* \(fit tried one training sample, "
         r"of targets \(60,\) of int64\); Dataset.from_arrays\(…, one_hot=True\) makes targets of one-hot "
         "rows"),
        (ending(3), mse, rows, "fit: the network must end with one output for each class; it has 3, "
         "the data has 2 classes: far, near"),
        (ending(3), entropy, numbers, "fit: the network must .* has 3, the data has 2 classes.*"),
        (ending(1), entropy, numbers, "fit: the network must .* has 1, the data has 2 classes.*"),
        (ending(2, Slopes(4)), mse, rows, r"fit: module 1, Slopes\(\), fails on one training sample, of "
         rf"inputs \(60, 2\) of float32: {of_torch}"),
        (ending(2, nn.ReLU(), Inner(4)), mse, rows, rf"fit: module 2.0, Slopes.*: {of_torch}"),
        (ending(2), Broken(), rows, r"fit: the loss, Broken\(.*\), fails on .*: RuntimeError: .*"),
    ]  # fmt: skip
    for net, loss, data, line in cases:
        with pytest.raises(ModuleError, match=f"^{line}$") as caught:
            minifw.fit(net, loss, nn.SGD(net), data, epochs=1, eta=0.1)
        if "RuntimeError" in line:
            assert isinstance(caught.value.__cause__, RuntimeError)


def test_what_fit_cannot_take() -> None:
    net = network()
    data = minifw.Dataset.from_arrays(X, Y, X, Y)
    with pytest.raises(MinifwError) as caught:
        minifw.fit(net, nn.LossMSE(), nn.SGD(net), (X, Y), epochs=1, eta=1)  # type: ignore[arg-type]
    assert str(caught.value) == (
        "fit: data must be a minifw.Dataset, got tuple; minifw.Dataset.from_arrays makes one"
    )
    with pytest.raises(MinifwError, match="fit: network must be a minifw Network, got Linear"):
        minifw.fit(net[0], nn.LossMSE(), nn.SGD(net), data, epochs=1, eta=1)  # type: ignore[arg-type]
    with pytest.raises(MinifwError, match="fit: eta must be a number above 0"):
        minifw.fit(net, nn.LossMSE(), nn.SGD(net), data, epochs=1, eta=0)
    seeds: list[Any] = [None, -1, 1.5, "1"]
    for seed in seeds:  # None would be another order each time
        with pytest.raises(MinifwError, match="fit: seed must be a whole number of at least 0"):
            minifw.fit(net, nn.LossMSE(), nn.SGD(net), data, epochs=1, eta=1, seed=seed)
    bare = nn.Sequential(nn.Tanh())
    with pytest.raises(MinifwError, match="fit: the network must have parameters to train"):
        minifw.fit(bare, nn.LossMSE(), nn.SGD(bare), data, epochs=1, eta=1)


def test_config_errors_are_of_the_family() -> None:
    with pytest.raises(ConfigError) as caught:
        minifw.train({})
    assert isinstance(caught.value, MinifwError)
    assert caught.value.lines[0] == "config: name: this key is missing"


def test_a_config_of_ones_own_code_runs_it_only_if_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mymodules.py").write_text(
        "from minifw import nn\n\n\nclass Twice(nn.ActivationFunction):\n"
        "    def function(self, x):\n        return 2 * x\n\n"
        "    def derivative(self, x, y):\n        return 0 * x + 2\n"
    )
    config = {**CONFIG, "network": [{"linear": 5}, {"python": "mymodules.Twice"}, {"linear": 2}]}
    with pytest.raises(ConfigError, match=r"^config: network.1.python: would run the code"):
        minifw.train(config)
    assert not Path("runs").exists()
    run = minifw.train(config, allow_code=True)
    assert str(run.network()[1]) == "Twice()"
    with pytest.raises(UsageError, match="would run the code"):
        minifw.load(run.path).predict([[0.5, 0.5]])
    again = minifw.load(run.path, allow_code=True)
    assert np.array_equal(again.predict([[0.5, 0.5]]).scores, run.predict([[0.5, 0.5]]).scores)
