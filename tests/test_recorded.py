"""Norms of layers over training: what they are, and that training does not notice them."""

from __future__ import annotations

import io
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import minifw as library
from conftest import COMPILED, Minifw
from minifw import nn, runs
from minifw.charts import Line
from minifw.data import Dataset
from minifw.errors import ArtefactError, UsageError
from minifw.report import norms as report
from minifw.runs.norms import KINDS, NORMS, Gradients, content, gradients_of
from minifw.training import History, norms
from minifw.training import fit as fitting
from minifw.training.history import NORMS as KEPT
from minifw.training.learner import Learner
from minifw.training.placement import Schedule
from minifw.training.stopping import EarlyStopping

SMALL = (
    "simplenet-sgd", "--set", "data.train=40", "--set", "data.test=30", "--set", "train.epochs=6",
    "--set", "train.batch_size=15", "--set", "train.eval_every=2",
)  # fmt: skip
RECORD = ("--set", "train.record=gradients")
PLAIN, COMPILE = Schedule(), Schedule(compiled=True)


def data_of(seeds: int, samples: int = 30, validation: bool = False) -> Dataset:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(seeds, samples, 3))
    more: dict[str, Any] = (
        {"x_validation": x[:, :9], "y_validation": np.arange(9) % 2} if validation else {}
    )
    single = [
        Dataset.from_arrays(
            of, np.arange(samples) % 2, of[:6], np.arange(6) % 2, dtype="float64",
            **{k: v[s] if k[0] == "x" else v for k, v in more.items()},
        )
        for s, of in enumerate(x)
    ]  # fmt: skip
    assert single
    return stacked(single)


def stacked(single: list[Dataset]) -> Dataset:
    """Different samples for each network, as one dataset."""
    whole = single[0].repeated(len(single))
    for part, values in whole.parts.items():
        for k, of in enumerate(single):
            values.inputs[k] = of.parts[part].inputs
            values.targets[k] = of.parts[part].targets
    return whole


class Noisy(nn.Module):
    """Draws with a generator of its own, which no state holds."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(5)

    def forward(self, x: Tensor) -> Tensor:
        y = x + float(self.rng.normal()) + torch.rand(()).item()
        self.remember((x,), (y,))
        return y

    def backward(self, gradient: Tensor) -> Tensor:
        self.recall(gradient)
        return gradient


def learner_of(seeds: int, *more: nn.Module, momentum: float = 0.9) -> Learner:
    rngs = [np.random.default_rng(seed) for seed in range(seeds)]
    given: dict[str, Any] = {"stack": (seeds,), "generators": rngs, "dtype": torch.float64}
    network = nn.Sequential(nn.Linear(3, 8, **given), *more, nn.ReLU(), nn.Linear(8, 2, **given))
    return Learner(network, nn.LossCrossEntropy(), nn.SGD(network, momentum=momentum))


def trained(learner: Learner, data: Dataset, **how: Any) -> History:
    given: dict[str, Any] = {"epochs": 6, "eta": 0.2, "eval_every": 2, "batch_size": 10}
    return fitting.fit(learner.network, learner.loss, learner.optimizer, data, **given | how)


# -------------------------------------------------------------------------------- what they are


def test_norms_are_those_of_a_step_as_autograd_has_it() -> None:
    learner, data = learner_of(3, momentum=0.0), data_of(3)
    found = norms.measure(learner, data.train, 0.25)
    names = {name: value.clone() for name, value, _ in learner.network.parameters()}
    for k in range(3):
        w = {name: value[k].clone().requires_grad_() for name, value in names.items()}
        x, y = data.train.inputs[k], data.train.targets[k]
        hidden = x @ w["0.weight"].T + w["0.bias"]
        output = hidden.relu() @ w["2.weight"].T + w["2.bias"]
        torch.nn.functional.cross_entropy(output, y).backward()  # type: ignore[no-untyped-call]

        def rms(*values: Tensor) -> float:
            return float(
                torch.cat([value.detach().flatten() for value in values]).square().mean().sqrt()
            )

        gradients = {name: value.grad for name, value in w.items() if value.grad is not None}
        wanted = {
            "activation": [rms(hidden), rms(hidden.relu()), rms(output)],
            "gradient": [rms(gradients["0.weight"], gradients["0.bias"]), np.nan,
                         rms(gradients["2.weight"], gradients["2.bias"])],
            "weight": [rms(w["0.weight"], w["0.bias"]), np.nan, rms(w["2.weight"], w["2.bias"])],
            "dead": [np.nan, float((hidden <= 0).all(0).double().mean()), np.nan],
        }  # fmt: skip
        wanted["update"] = [0.25 * value for value in wanted["gradient"]]
        for kind, values in wanted.items():
            np.testing.assert_allclose(found[kind][k], values, rtol=1e-12, err_msg=kind)


def test_a_unit_is_dead_if_it_is_zero_for_all_samples_and_a_channel_at_all_places() -> None:
    learner, data = learner_of(2), data_of(2)
    bias: Any = next(value for name, value, _ in learner.network.parameters() if name == "0.bias")
    bias[0, :3], bias[1, :6] = -100, -100
    assert norms.measure(learner, data.train, 0.1)["dead"][:, 1].tolist() == [3 / 8, 6 / 8]
    one: dict[str, Any] = {"stack": (1,)}
    convolution: Any = nn.Conv2d(1, 4, 2, **one)
    images = nn.Sequential(
        nn.Unflatten((1, 3, 3)), convolution, nn.ReLU(), nn.Flatten(), nn.Linear(16, 2, **one)
    )
    convolution.bias[:, 0] = -1000  # one channel of four
    convolution.weight[:, 1], convolution.bias[:, 1] = 0, 1  # never 0
    pixels, classes = np.random.default_rng(0).normal(size=(9, 9)), np.arange(9) % 2
    x = Dataset.from_arrays(pixels, classes, pixels, classes).repeated(1)
    of_images = Learner(images, nn.LossCrossEntropy(), nn.SGD(images))
    (shares,) = norms.measure(of_images, x.train, 0.1)["dead"]
    with torch.no_grad():
        results = images[1].forward(x.train.inputs.unflatten(-1, (1, 3, 3)))  # type: ignore[no-untyped-call]
    assert shares[2] == float((results <= 0).all(1).flatten(2).all(-1).double().mean()) >= 0.25


def test_a_network_has_the_norms_that_it_has_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    learner, data = learner_of(4), data_of(4)
    whole = norms.measure(learner, data.train, [0.1, 0.2, 0.1, 0.4])
    for k, eta in enumerate([0.1, 0.2, 0.1, 0.4]):
        alone = learner.on([value[k : k + 1].clone() for value in learner.state])
        mine = norms.measure(alone, data.of([k]).train, eta)
        for kind in KEPT:
            np.testing.assert_array_equal(mine[kind][0], whole[kind][k])
    monkeypatch.setattr(norms, "BYTES", 1)  # one network after another
    for kind, values in norms.measure(learner, data.train, [0.1, 0.2, 0.1, 0.4]).items():
        np.testing.assert_array_equal(values, whole[kind])


def test_only_the_first_samples_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    learner, data = learner_of(2), data_of(2)
    monkeypatch.setattr(norms, "SAMPLES", 7)
    few = norms.measure(learner, data.train, 0.1)
    data.train.inputs[:, 7:] += 1000
    for kind, values in norms.measure(learner, data.train, 0.1).items():
        np.testing.assert_array_equal(values, few[kind])


# ---------------------------------------------------------------- training does not notice them


@pytest.mark.parametrize(
    ("kind", "schedule"),
    [
        *product(("dropout", "batchnorm", "stopping"), (PLAIN, COMPILE)),
        ("noise", PLAIN),  # steps of modules that draw for themselves are never compiled
    ],
    ids=lambda value: value if isinstance(value, str) else "compiled" * value.compiled or "plain",
)
def test_training_is_the_same_to_the_bit(schedule: Schedule, kind: str) -> None:
    def run(**how: Any) -> tuple[History, dict[str, Tensor]]:
        torch.manual_seed(0)
        more: dict[str, list[nn.Module]] = {
            "dropout": [nn.Dropout(0.3, stack=(3,), dtype=torch.float64)],
            "batchnorm": [nn.BatchNorm1d(8, stack=(3,), dtype=torch.float64)],
            "noise": [Noisy()],
        }
        learner = learner_of(3, *more.get(kind, []))
        rule = EarlyStopping(patience=1) if kind == "stopping" else None
        data = data_of(3, validation=kind == "stopping")
        history = trained(learner, data, schedule=schedule, stopping=rule, epochs=20, **how)
        return history, learner.network.tensors() | learner.optimizer.state

    plain, weights = run()
    history, same = run(norms=True)
    assert (plain.norms, [*history.norms]) == ({}, [*KEPT])
    assert all(torch.equal(value, same[name]) for name, value in weights.items())
    for name in history.series:
        np.testing.assert_array_equal(getattr(history, name), getattr(plain, name))
    assert {len(values) for values in history.norms.values()} == {len(history.epochs)}
    assert history.compiled == schedule.compiled
    if kind == "stopping":
        (first, *_), later = sorted(history.stopped[history.stopped >= 0]), 0
        assert first < history.epochs[-1]  # others went on
        for k in np.flatnonzero(history.stopped >= 0):
            kept = history.epochs.index(history.kept[k])
            for row in range(history.epochs.index(history.stopped[k]) + 1, len(history.epochs)):
                for values in history.norms.values():  # those of the weights that it kept
                    np.testing.assert_array_equal(values[row][k], values[kept][k])
                later += 1
        assert later


def test_norms_of_compiled_training_are_those_of_plain_training() -> None:
    found = [
        trained(learner_of(3), data_of(3), norms=True, schedule=schedule).norms
        for schedule in (PLAIN, COMPILE)
    ]
    for kind in KEPT:
        np.testing.assert_allclose(found[0][kind], found[1][kind], rtol=1e-9)
    assert np.ptp(np.array(found[0]["gradient"])[:, :, 0], axis=0).min() > 1e-6  # it changes


def test_a_seed_that_diverged_has_no_norms() -> None:
    learner, data = learner_of(2), data_of(2)
    data.train.inputs[1] *= 1e200
    history = trained(learner, data, norms=True)
    assert history.diverged[1] > 0
    assert np.isnan(history.norms["weight"][-1][1]).all()
    assert np.isfinite(history.norms["weight"][-1][0, [0, 2]]).all()


# ---------------------------------------------------------------------------------------- a run


def the_run(folder: str = "runs") -> runs.Run:
    (path,) = Path(folder).iterdir()
    return runs.load(path)


def finished(minifw: Minifw, folder: str, *words: str) -> runs.Run:
    answer = minifw(*words, "--quiet", "--runs-dir", folder)
    assert answer.code == 0, answer.err
    run = the_run(folder)
    assert (run.faults(), run.strangers()) == ([], [])
    return run


def test_a_run_keeps_them_and_its_results_are_the_same(minifw: Minifw) -> None:
    run = finished(minifw, "with", "train", *SMALL, *RECORD, "--seeds", "3")
    without = finished(minifw, "without", "train", *SMALL, "--seeds", "3")
    assert (NORMS in run.known, NORMS in without.known) == (True, False)
    assert run.read("metrics.jsonl") == without.read("metrics.jsonl")
    weights = "checkpoints/minifw-sgd.safetensors"
    _, one = load(run.read(weights)), load(without.read(weights))
    assert all(torch.equal(value, _[name]) for name, value in one.items())
    found = library.load(run.path).gradients()
    assert found.seeds == (0, 1, 2)
    assert found.epoch.tolist() == [0, 2, 4, 6]
    assert found.layers[:2] == ("network.0 (linear)", "network.1 (relu)")
    assert found.gradient.shape == (4, 3, 7)
    assert found.samples == 40
    np.testing.assert_array_equal(found.dead_at_end, found.dead[-1])
    chart = report.of_run(run)
    assert chart is not None
    assert [panel.title for panel in chart.panels] == ["Activations", "Gradients", "Updates"]
    assert report.of_run(without) is None
    assert {"plots/gradients.svg", "plots/gradients.png"} <= set(run.known)
    assert "plots/gradients.svg" not in without.known
    with pytest.raises(UsageError, match="train.record: gradients does"):
        library.load(without.path).gradients()


def load(content: bytes) -> dict[str, Tensor]:
    import safetensors.torch

    tensors: dict[str, Tensor] = safetensors.torch.load(content)
    return tensors


@pytest.mark.parametrize("words", [SMALL, COMPILED], ids=["plain", "compiled"])
def test_a_resumed_run_has_the_same_to_the_bit(
    minifw: Minifw, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    more = ("--set", "train.epochs=8", "--set", "train.eval_every=2")
    whole = finished(minifw, "whole", "train", *words, *more, *RECORD, "--seeds", "3")

    def stopping(quiet: bool) -> Any:
        from contextlib import nullcontext

        def progress(done: int, text: str) -> None:
            if done == 5:
                import os
                import signal

                os.kill(os.getpid(), signal.SIGUSR1)

        return lambda label, total: nullcontext(progress)

    with monkeypatch.context() as patch:
        patch.setattr("minifw.cli.training.display", stopping)
        given = ("train", *words, *more, *RECORD, "--seeds", "3")
        assert minifw(*given, "--runs-dir", "broken").code == 138
    run = the_run("broken")
    assert (run.status(), NORMS in run.known) == ("interrupted", False)
    assert minifw("resume", str(run.path), "--quiet").code == 0
    run = the_run("broken")
    for name in (NORMS, "metrics.jsonl"):
        assert run.read(name) == whole.read(name)


def test_groups_of_seeds_have_the_norms_of_one_stack(
    minifw: Minifw, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("train", *SMALL, *RECORD, "--seeds", "5", "--set", "dtype=float64")
    whole = gradients_of(finished(minifw, "one", *words))["sgd"]
    monkeypatch.setattr("minifw.experiment.memory.Sizes.group_size", lambda sizes: 2)
    groups = gradients_of(finished(minifw, "groups", *words))["sgd"]
    for kind in KINDS:
        np.testing.assert_allclose(getattr(groups, kind), getattr(whole, kind), rtol=1e-9)


def test_a_comparison_keeps_those_of_minifw_in_both_modes(minifw: Minifw) -> None:
    adam = ("--set", "optimizer=adam", "--set", "train.eta=0.01")
    run = finished(minifw, "runs", "compare", *SMALL, *RECORD, *adam, "--seeds", "2")
    assert [*gradients_of(run)] == ["full-batch", "sgd"]
    chart = report.of_run(run)
    assert chart is not None
    titles = [run.results().title(mode) for mode in run.manifest.modes]
    assert [panel.title for panel in chart.panels[::3]] == [f"Activations, {t}" for t in titles]
    assert "Adam" in titles[1]  # where SGD would be wrong
    assert f"{titles[1]}: " in chart.description
    assert len(chart.panels) == 6
    found = library.load(run.path)
    assert isinstance(found.gradients("sgd"), Gradients)
    with pytest.raises(UsageError, match="mode"):
        found.gradients()


def test_a_study_says_that_it_keeps_none(minifw: Minifw) -> None:
    answer = minifw(
        "sweep", *SMALL, *RECORD, "--over", "train.eta=0.1,0.2", "--seeds", "2", "--set",
        "data.validation=10",
    )  # fmt: skip
    assert answer.code == 0, answer.err
    assert "train.record: is for a run of one config; a sweep keeps none of that" in answer.err


def test_a_damaged_file_is_refused_in_one_line(minifw: Minifw) -> None:
    run = finished(minifw, "runs", "train", *SMALL, *RECORD, "--seeds", "2")
    with np.load(io.BytesIO(run.read(NORMS))) as arrays:
        sound: dict[str, Any] = {name: arrays[name] for name in arrays.files}
    faults = [
        sound | {"sgd/gradient": sound["sgd/gradient"][:, :1]},
        sound | {"sgd/epochs": sound["sgd/epochs"].astype(np.float64)},
        sound | {"sgd/final": sound["sgd/final"][0]},
        sound | {"layers": np.array([{"a": 1}], object)},
        {name: values for name, values in sound.items() if name != "sgd/update"},
    ]
    files = []
    for found in faults:
        file = io.BytesIO()
        np.savez(file, **found)
        files.append(file.getvalue())
    for wrong in [*files, b"PK garbage", b""]:
        run.write(NORMS, wrong)
        with pytest.raises(ArtefactError, match="norms.npz: not a minifw file of norms"):
            gradients_of(run)


# ------------------------------------------------------------------------------ what they say


def of(gradient: list[list[float]], dead: list[float], weight: float = 1.0) -> Gradients:
    """Two layers with a ReLU between them; `gradient` has for each evaluation first and last."""
    count = len(gradient)
    one = np.full((count, 1, 3), np.nan)
    one[:, 0, [0, 2]] = gradient
    ones = np.where(np.isnan(one), np.nan, weight)
    share = np.array([[np.nan, *dead, np.nan]])
    names = ("network.0 (linear)", "network.1 (relu)", "network.2 (linear)")
    epochs = np.arange(count) * 10
    return Gradients(
        (7,), names, 40, epochs, ones, one, ones, one, np.tile(share, (count, 1, 1)), share
    )


def test_what_norms_say_of_a_network() -> None:
    calm = report.findings({"sgd": of([[0.1, 0.2], [0.01, 0.02]], [0.0])})
    assert calm == [
        "No gradients vanish or explode between the first layer and the last.",
        "No layer has more than 1 % of dead units at the end.",
    ]
    vanishing = report.findings({"sgd": of([[1e-6, 0.1], [1e-2, 0.1]], [0.4])})
    assert (
        vanishing
        == [
            "Before training, gradients vanish on the way back: those of network.0 (linear) are "
            "1.0e-05 times those of network.2 (linear), in the median over the seeds.",
            "Units that are dead at the end, 0 for all of the first 40 training samples, in the median "
            "over the seeds: network.1 (relu) 40 % (at most 40 %).",
        ]
        or vanishing[1:]
    )
    exploding = report.findings({"sgd": of([[1.0, 1e-4], [1.0, 0.1]], [0.0])})
    assert exploding[0].startswith("Before training, gradients explode on the way back: ")
    grown = report.findings({"sgd": of([[1e-6, 1e-6], [1.0, 1.0]], [0.0])})
    assert grown[0] == "The gradients of a layer grew to 1.0e+06 times what they were at first."
    gone = of([[0.1, 0.2], [np.nan, np.nan]], [np.nan])
    gone.weight[-1] = np.nan
    assert "1 of 1 seeds diverged, and are left out." in report.findings({"sgd": gone})


def test_vanishing_gradients_are_found_in_a_deep_network_of_sigmoids(minifw: Minifw) -> None:
    layers = ", ".join(["{linear: 10}", "sigmoid"] * 8)
    words = ("--set", f"network=[{layers}, {{linear: 2}}]", "--seeds", "3")
    run = finished(minifw, "runs", "train", *SMALL, *RECORD, *words)
    chart = report.of_run(run)
    assert chart is not None
    assert (
        "Before training, gradients vanish on the way back: those of network.0" in chart.description
    )


def test_a_chart_breaks_where_a_norm_is_zero_and_lists_all_numbers() -> None:
    chart = report.chart({"sgd": of([[0.1, 0.2], [0.0, 0.2]], [0.0])})
    assert chart is not None
    line = next(
        m for m in chart.panels[1].marks if isinstance(m, Line) and m.name == "network.0 (linear)"
    )
    assert np.isnan(np.asarray(line.y)[1])
    lengths = {len(column) for column in chart.data.values()}
    assert lengths == {3 * 2 * 2}
    assert report.chart({"sgd": of([[np.nan, np.nan]], [np.nan], np.nan)}) is None


def test_the_file_holds_what_was_recorded() -> None:
    values = {kind: np.arange(4.0).reshape(2, 1, 2) for kind in KINDS}
    found = content(
        ["a", "b"], 40, {"sgd": {"epochs": np.array([0, 5]), "final": np.ones((1, 2)), **values}}
    )
    with np.load(io.BytesIO(found), allow_pickle=False) as arrays:
        assert arrays["layers"].tolist() == ["a", "b"]
        np.testing.assert_array_equal(arrays["sgd/update"], values["update"])
    assert KINDS == KEPT
    assert all(a < b for a, b in pairwise([0, 5]))
