"""Early stopping in runs, comparisons with PyTorch, and studies: from the config to the figures."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import minifw as package
from conftest import Minifw
from minifw import runs
from minifw.config import loading
from minifw.config.model import Config
from minifw.config.packaged import find_config
from minifw.data import BatchOrder, Dataset
from minifw.errors import ArtefactError, UsageError
from minifw.experiment import memory
from minifw.experiment.arms import TRAIN
from minifw.experiment.build import build_network
from minifw.experiment.plan import plan
from minifw.report import plots
from minifw.runs import Arm
from minifw.runs.records import checked
from minifw.runs.results import Results
from minifw.training import Checkpoint

KEYS = (
    "data={kind: spirals, noise: 0.2, train: 60, test: 40, validation: 20}",
    "network=[{linear: 12}, tanh, {linear: 2}]", "loss=cross-entropy", "train.eta=0.3",
    "train.batch_size=10", "train.epochs=90", "train.eval_every=3",
    "train.early_stopping={patience: 4, min_delta: 0.001}",
)  # fmt: skip
SEEDS = 5


def words(*more: str) -> list[str]:
    return [word for key in (*KEYS, *more) for word in ("--set", key)]


def config_of(*more: str) -> Config:
    return loading.load(find_config("simplenet-sgd"), [*KEYS, *more])


def only_run(folder: str = "runs") -> Path:
    (path,) = Path(folder).iterdir()
    return path


# ------------------------------------------------------------- the same by hand, in PyTorch alone


def by_hand(
    config: Config, data: Dataset, seed: int, monitor: str, min_delta: float
) -> tuple[dict[str, torch.Tensor], int, int, list[float]]:
    """One network trained as a PyTorch user would; its weights, where it stopped, and best epoch."""
    stack = build_network(config, [seed], 2)
    net = torch.nn.Sequential(
        torch.nn.Linear(2, 12, dtype=torch.float64), torch.nn.Tanh(),
        torch.nn.Linear(12, 2, dtype=torch.float64),
    )  # fmt: skip
    net.load_state_dict({name: value[0] for name, value in stack.state_dict().items()})
    step = torch.optim.SGD(net.parameters(), lr=0.3, momentum=0.9)
    loss, order = torch.nn.CrossEntropyLoss(), BatchOrder([seed], 40)
    kept, train = data.validation, data.train
    assert kept is not None
    assert kept.labels is not None
    assert train.labels is not None
    inputs, labels = kept.inputs[seed], kept.labels[seed]

    def watched() -> float:
        with torch.no_grad():
            output = net(inputs)
        if monitor == "error":
            return float(100 * (output.argmax(1) != labels).double().mean())
        return float(loss(output, labels))

    best, waited, best_epoch, stopped = watched(), 0, 0, -1
    weights, curve = copy.deepcopy(net.state_dict()), [best]
    for epoch in range(1, 91):
        for batch in torch.split(order()[0], 10):
            step.zero_grad()
            loss(net(train.inputs[seed][batch]), train.labels[seed][batch]).backward()
            step.step()
        if epoch % 3:
            continue
        value = watched()
        curve.append(value)
        waited += 1
        if value < best - min_delta:
            best, waited, best_epoch = value, 0, epoch
            weights = copy.deepcopy(net.state_dict())
        elif waited >= 4:
            stopped = epoch
            break
    return weights, stopped, best_epoch, curve


@pytest.mark.parametrize("monitor", ["loss", "error"])
@pytest.mark.parametrize("arm", ["minifw", "pytorch", "vmap"])
def test_each_arm_stops_where_a_loop_by_hand_does(arm: Arm, monitor: str) -> None:
    delta = 0.001 if monitor == "loss" else 0.0
    config = config_of(
        "dtype=float64", "optimizer={momentum: 0.9}", f"train.early_stopping.monitor={monitor}",
        f"train.early_stopping.min_delta={delta}",
    )  # fmt: skip
    drawn = plan(config, SEEDS, ["sgd"], arms=["minifw"]).draw([*range(SEEDS)])
    result = TRAIN[arm](drawn, "sgd", lambda done, text: None)
    history = result.history
    assert len({*history.stopped.tolist()}) > 2
    for seed in range(SEEDS):
        weights, stopped, best_epoch, curve = by_hand(config, drawn.data, seed, monitor, delta)
        assert history.stopped[seed] == stopped
        assert history.best_epoch[seed] == best_epoch
        found = [float(values[seed]) for values in getattr(history, f"validation_{monitor}")]
        np.testing.assert_allclose(found[: len(curve)], curve, rtol=1e-9)
        for name, value in weights.items():
            torch.testing.assert_close(result.weights[name][seed], value, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("arm", ["pytorch", "vmap"])
def test_seeds_that_diverge_leave_the_others_alone_in_each_arm(arm: Arm) -> None:
    config = config_of(
        "dtype=float64", "network=[{linear: 12}, relu, {linear: 12}, relu, {linear: 2}]",
        "loss=mse", "train.eta=10", "optimizer={momentum: 0.9}", "train.eval_every=4",
    )  # fmt: skip
    drawn = plan(config, 8, ["sgd"], arms=["minifw"]).draw([*range(8)])
    mine, other = (TRAIN[each](drawn, "sgd", lambda done, text: None) for each in ("minifw", arm))
    assert {*mine.history.diverged.tolist()} > {-1, 2}
    assert (mine.history.stopped >= 0).sum() == 6
    for name in ("diverged", "stopped", "best_epoch"):
        assert getattr(other.history, name).tolist() == getattr(mine.history, name).tolist()
    left = torch.from_numpy(mine.history.diverged < 0)
    for name, value in other.weights.items():
        torch.testing.assert_close(value[left], mine.weights[name][left])
        assert not value[~left].isfinite().all()


# ------------------------------------------------------------------------------------------ runs


def test_a_run_says_where_its_seeds_stopped_and_which_weights_they_have(minifw: Minifw) -> None:
    """In JSON, tables, captions, the figure, from Python; and the networks kept are the best."""
    answer = minifw("train", "simplenet-sgd", "--seeds", SEEDS, *words(), "--json", "-q").json
    run = package.load(only_run())
    results = run["sgd"]
    assert results.stopped_epoch is not None
    assert results.best_epoch is not None
    assert [*results.stopped_epoch] == answer["stopped_epoch"]
    assert [*results.best_epoch] == answer["best_epoch"]
    stopped = [epoch for epoch in answer["stopped_epoch"] if epoch is not None]
    assert len(stopped) >= 2
    measured = run.metrics.arrays()
    rows = {int(epoch): row for row, epoch in enumerate(measured["epoch"])}
    for name in ("test_error", "train_error", "train_loss", "validation_error", "test_loss"):
        best = [measured[name][rows[epoch], k] for k, epoch in enumerate(results.best_epoch)]
        assert answer[name] == best
        assert getattr(results, name).tolist() == best
    table = run.tables["table2"]
    assert dict(table.rows)["stopped early"] == [len(stopped)]
    assert dict(table.rows)["best epoch, median"] == [sorted(results.best_epoch)[SEEDS // 2]]
    rule = "each seed stops after 4 evaluations without by 0.001 lower validation loss"
    assert f"{rule}, its weights are those of its best evaluation" in table.caption
    assert "at most 90 epochs" in table.caption
    axis = run.figure("errors").axes[0]
    (marks,) = [line for line in axis.lines if line.get_label() == "minifw, a seed stops"]
    assert list(np.asarray(marks.get_xdata())) == stopped
    shown = minifw("show", "simplenet-sgd", *words()).out
    assert "train.early_stopping.patience" in shown
    # The networks that are kept have these errors.
    drawn = plan(run.config, SEEDS, ["sgd"]).draw([*range(SEEDS)]).data
    assert drawn.test.labels is not None
    for seed in range(SEEDS):
        network = run.network(seed)
        output = network.forward(drawn.test.inputs[seed])
        wrong = (output.argmax(-1) != drawn.test.labels[seed]).double().mean()
        assert 100 * float(wrong) == pytest.approx(answer["test_error"][seed])


def test_one_seed_says_it_in_a_line(minifw: Minifw) -> None:
    out = minifw("train", "simplenet-sgd", *words(), "-q").out
    ((stopped,), (best,)) = (
        only_run_results()["modes"]["sgd"]["minifw"][key] for key in ("stopped_epoch", "best_epoch")
    )
    ended = "did not stop early" if stopped is None else f"stopped after epoch {stopped}"
    assert f"it {ended}; its best evaluation was that after epoch {best}\n" in out


def only_run_results() -> Any:
    return json.loads((only_run() / "results.json").read_text())


def test_a_run_without_the_key_has_no_trace_of_it(minifw: Minifw) -> None:
    minifw("train", "simplenet-sgd", *words("train.early_stopping=null"), "--seeds", 2, "-q")
    for file in only_run().rglob("*"):
        if file.is_file() and file.name != "env.json":  # which has the command line
            content = file.read_bytes()
            for word in (b"stopped_epoch", b"best_epoch", b"early_stopping", b"best/"):
                assert word not in content, file
    run = package.load(only_run())
    assert run["sgd"].stopped_epoch is None
    assert "stops" not in run.tables["table2"].caption


def test_groups_of_seeds_give_the_numbers_of_one_stack(
    minifw: Minifw, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plots, "write_plots", lambda run: None)
    asked = ("train", "simplenet-sgd", "--seeds", SEEDS, *words(), "--json", "-q")
    whole = minifw(*asked, "--runs-dir", "whole").json
    monkeypatch.setattr(memory.Sizes, "group_size", lambda sizes: 2)
    grouped = minifw(*asked, "--runs-dir", "grouped").json
    assert len(runs.load(only_run("grouped")).manifest.parts) == 3
    for name in whole.keys() - {"run_dir", "seconds"}:
        assert grouped[name] == whole[name], name
    lines = [(only_run(folder) / "metrics.jsonl").read_text() for folder in ("whole", "grouped")]
    assert lines[0] == lines[1]


def test_both_arms_of_a_comparison_say_where_they_stopped(minifw: Minifw) -> None:
    asked = (*words("dtype=float64", "train.compile=false"), "--seeds", 3, "--json", "-q")
    answer = minifw("compare", "simplenet-sgd", *asked).json
    for name in ("stopped_epoch", "best_epoch"):
        for arms in answer[name].values():
            assert arms["minifw"] == arms["pytorch"]
    assert any(epoch for epoch in answer["stopped_epoch"]["sgd"]["minifw"])
    for parity in answer["parity"].values():
        assert parity["max_weight_difference"] < 1e-9
        assert parity["same_test_error"] == "3 of 3"


def test_seeds_that_diverge_are_counted_as_such(minifw: Minifw) -> None:
    answer = minifw(
        "train", "simplenet-sgd", "--seeds", 3, *words("train.eta=1e38"), "--json", "-q"
    )
    assert answer.code == 3
    assert answer.json["stopped_epoch"] == [None] * 3
    assert all(epoch is not None for epoch in answer.json["diverged_epoch"])
    assert answer.json["test_error"] == [None] * 3


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"early_stopping": None}, "stopped_epoch: must be there if early_stopping is, and only"),
        ({"early_stopping": {"patience": 0}}, "early_stopping.patience"),
    ],
)
def test_results_from_anybody_are_checked(
    minifw: Minifw, change: dict[str, Any], says: str
) -> None:
    minifw("train", "simplenet-sgd", "--seeds", 2, *words("train.epochs=3"), "-q")
    content = only_run_results() | change
    with pytest.raises(ArtefactError, match=says):
        checked(Results, content, "x")


# --------------------------------------------------------------------------------------- studies


@pytest.mark.parametrize("compiled", ["true", "false"])
def test_each_cell_of_a_sweep_stops_as_its_own_run_does(
    minifw: Minifw, monkeypatch: pytest.MonkeyPatch, compiled: str
) -> None:
    """Cells with other rates are lanes of one stack; one with another rule has its own."""
    monkeypatch.setattr(plots, "write_plots", lambda run: None)
    keys = words(f"train.compile={compiled}", "train.epochs=24")
    both = ["simplenet-sgd", *keys, "--seeds", 3, "--json", "-q"]
    over = ["--over", "train.eta=0.3,0.6,1e38", "--over", "train.early_stopping.patience=1,4"]
    found = minifw("sweep", *both, *over).json
    lines = (Path(found["run_dir"]) / "metrics.csv").read_text().splitlines()
    for number, cell in enumerate(found["cells"]):
        own = [w for key, value in cell["set"].items() for w in ("--set", f"{key}={value}")]
        alone = minifw("train", *both, *own).json
        for name in ("test_error", "validation_error", "stopped_epoch", "best_epoch"):
            assert cell[name] == alone[name], name
        # The last of each seed's measurements is that of the weights that it kept.
        last = {}
        for line in lines[1:]:
            _, of, lane, _, metric, value = line.split(",")
            if int(of) == number:
                last[metric, int(lane)] = value
        for seed, error in enumerate(cell["test_error"]):
            stopped = cell["stopped_epoch"][seed]
            if stopped is not None and stopped < 24:
                assert float(last["test_error", seed]) == error
    stops = [epoch for cell in found["cells"] for epoch in cell["stopped_epoch"]]
    bests = [epoch for cell in found["cells"] for epoch in cell["best_epoch"]]
    assert any(epoch is not None for epoch in stops)
    pairs = zip(stops, bests, strict=True)
    assert any(stop is None and 0 < best < 24 for stop, best in pairs), "its last is not its best"


def test_halving_goes_on_as_if_nothing_had_been_stopped_between(minifw: Minifw) -> None:
    """A rung ends with the best weights; the next goes on from the last ones of each network."""
    asked = [
        "sweep", "simplenet-sgd", *words(), "--seeds", 3, "--json", "-q",
        "--over", "train.eta=0.03,0.1,0.3,0.6",
    ]  # fmt: skip
    whole = minifw(*asked).json
    halved = minifw(*asked, "--halving", 2).json
    ended = [cell for cell in halved["cells"] if cell["epochs"] == 90]
    assert 1 <= len(ended) < 4
    for cell in ended:
        (same,) = [each for each in whole["cells"] if each["name"] == cell["name"]]
        for name in ("test_error", "validation_error", "stopped_epoch", "best_epoch"):
            assert cell[name] == same[name], name


# ------------------------------------------------------------------------------------ from Python


def arrays() -> Dataset:
    rng = np.random.default_rng(0)
    parts: list[Any] = []
    for count in (40, 30, 30):
        x = rng.normal(size=(count, 3))
        parts += [x, (x[:, 0] + rng.normal(size=count) > 0).astype(int)]
    x, y, x_test, y_test, x_validation, y_validation = parts
    return Dataset.from_arrays(
        x, y, x_test, y_test, x_validation=x_validation, y_validation=y_validation
    )


def network() -> Any:
    nn = package.nn
    draws = [np.random.default_rng(k) for k in range(4)]
    return nn.Sequential(
        nn.Linear(3, 10, stack=(4,), generators=draws), nn.ReLU(),
        nn.Linear(10, 2, stack=(4,), generators=draws),
    )  # fmt: skip


def test_fit_stops_early_and_goes_on_with_its_history() -> None:
    nn, rule = package.nn, package.EarlyStopping(patience=5)

    def trained(net: Any, optimizer: Any, epochs: int, **more: Any) -> Any:
        return package.fit(
            net, nn.LossCrossEntropy(), optimizer, arrays(), epochs=epochs, eta=0.2, batch_size=8,
            seed=3, stopping=rule, progress=False, **more,
        )  # fmt: skip

    whole = network()
    history = trained(whole, nn.SGD(whole, momentum=0.5), 60)
    assert (history.stopped >= 0).any()
    assert "stopped early" in repr(history)
    parts = network()
    optimizer = nn.SGD(parts, momentum=0.5)
    stop = 2
    assert history.best_epoch.max() > stop
    begun = trained(
        parts, optimizer, 60, on_epoch=lambda epoch, history: epoch == stop and history.stop()
    )
    assert begun.epoch == begun.epochs[-1] == stop
    after = trained(parts, optimizer, 60, history=begun)
    assert after.stopped.tolist() == history.stopped.tolist()
    for mine, other in zip(parts.state_dict().values(), whole.state_dict().values(), strict=True):
        assert torch.equal(mine, other)


def test_fit_without_samples_for_validation_says_what_is_missing() -> None:
    nn, net = package.nn, network()
    x, y = np.zeros((4, 3)), np.array([0, 1, 0, 1])
    with pytest.raises(UsageError, match="stopping needs samples for validation"):
        package.fit(
            net, nn.LossCrossEntropy(), nn.SGD(net), Dataset.from_arrays(x, y, x, y), epochs=1,
            eta=0.1, stopping=package.EarlyStopping(), progress=False,
        )  # fmt: skip


def test_finished_checkpoints_hold_no_weights_twice(minifw: Minifw) -> None:
    minifw("train", "simplenet-sgd", "--seeds", 2, *words("train.epochs=9"), "-q")
    run = runs.load(only_run())
    (part,) = run.manifest.parts.values()
    kept = Checkpoint.from_bytes(run.read(part.file), "x").history
    assert not kept.best
    assert not kept.last
