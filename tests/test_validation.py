"""Samples for validation: which they are, what is recorded of them, and that nothing else moves."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import minifw as package
from conftest import ROOT, SMALL, Minifw
from minifw import data, nn, runs
from minifw.compile.compilers import find_compiler
from minifw.config import loading
from minifw.config.code import Code
from minifw.config.generated import Generated
from minifw.config.model import Config
from minifw.data import BatchOrder, Dataset, Samples
from minifw.data.table import Table
from minifw.errors import ArtefactError, ConfigError, DataError, ShapeError
from minifw.experiment import memory
from minifw.experiment.build import build_data, build_loss, build_network
from minifw.experiment.plan import plan
from minifw.runs import Arm
from minifw.runs.results import Results
from minifw.training import Checkpoint, History
from minifw.training.fit import fit
from test_foreign_runs import replace_file

SIMPLENET = ROOT / "configs" / "simplenet.yaml"
KEPT = ("--set", "data.validation=10")


def config_of(*overrides: str) -> Config:
    return loading.load(SIMPLENET, ["data.train=40", "data.test=30", *overrides])


def table(samples: int) -> Table:
    """A file whose samples are told apart by their first feature."""
    inputs = np.stack([np.arange(samples), np.ones(samples)], 1).astype(float)
    labels = np.arange(samples) % 2
    return Table(inputs, labels, ("x", "y"), ("0", "1"), "", "kind")


def csv(folder: Path, samples: int = 50) -> Path:
    path = folder / "mine.csv"
    rows = [f"{n},{(n * 7) % 13},{'ab'[n % 2]}" for n in range(samples)]
    path.write_text("\n".join(["x,y,kind", *rows]) + "\n")
    return path


def raw(dataset: Dataset, samples: Samples) -> Any:
    """The samples as they were drawn: normalisation undone."""
    values = samples.inputs.double().numpy() * dataset.scale[:, None] + dataset.shift[:, None]
    return values.round(5)


def same(left: Samples, right: Samples) -> bool:
    return all(
        torch.equal(a, b)
        for a, b in zip(vars(left).values(), vars(right).values(), strict=True)
        if a is not None or b is not None
    )


# ------------------------------------------------------------------------------ which samples


@pytest.mark.parametrize("key", ["10", "0.25"])
def test_the_last_training_samples_are_kept(key: str) -> None:
    """The draw and the test samples stay; normalising goes by those that are trained on."""
    plain = build_data(config_of("data.normalize=false"), [3, 4], None)
    kept = build_data(config_of("data.normalize=false", f"data.validation={key}"), [3, 4], None)
    assert plain.validation is None
    assert kept.validation is not None
    assert torch.equal(kept.train.inputs, plain.train.inputs[:, :30])
    assert torch.equal(kept.validation.inputs, plain.train.inputs[:, 30:])
    assert torch.equal(kept.validation.class_numbers, plain.train.class_numbers[:, 30:])
    assert same(kept.test, plain.test)
    normal = build_data(config_of(f"data.validation={key}", "dtype=float64"), [3, 4], None)
    assert normal.validation is not None
    drawn = plain.train.inputs.double().numpy()
    mean, std = drawn[:, :30].mean(1), drawn[:, :30].std(1)
    assert np.allclose(normal.shift, mean)
    assert np.allclose(normal.scale, std)
    expected = (drawn[:, 30:] - mean[:, None]) / std[:, None]
    assert np.allclose(normal.validation.inputs.numpy(), expected, atol=1e-6)


def test_samples_of_a_file_are_for_one_purpose_each(tmp_path: Path) -> None:
    overrides = [f"data={{kind: csv, path: {csv(tmp_path)}, train: 0.6, validation: 10}}"]
    config = loading.load(SIMPLENET, [*overrides, "dtype=float64"])
    planned = plan(config, 2, ["full-batch"])
    assert (planned.sizes.train, planned.sizes.validation, planned.sizes.test) == (20, 10, 20)
    drawn = planned.draw([0, 1]).data
    assert drawn.validation is not None
    without = loading.load(SIMPLENET, [overrides[0].replace(", validation: 10", "")])
    plain = build_data(without, [0, 1], planned.table)
    for seed in range(2):
        parts = [{*raw(drawn, part)[seed, :, 0]} for part in drawn.parts.values()]
        assert [len(part) for part in parts] == [20, 20, 10]
        assert len(set.union(*parts)) == 50
        assert {*raw(plain, plain.test)[seed, :, 0]} == parts[1]


@pytest.mark.parametrize(
    ("key", "came"),
    [("40", "40"), ("41", "41"), ("0.999", "0.999 of them, which is 40"),
     ("0.001", "0.001 of them, which is 0")],
)  # fmt: skip
def test_some_are_left_for_each_purpose(key: str, came: str, tmp_path: Path) -> None:
    must = "must be at least 1 and fewer than the training samples, of which there are"
    with pytest.raises(ConfigError) as found:
        config_of(f"data.validation={key}")
    assert [str(fault) for fault in found.value.faults] == [
        f"--set data.validation={key}: data.validation: {must} 40, got {came}"
    ]
    kind = f"data={{kind: csv, path: {csv(tmp_path)}, train: 40}}"
    config = loading.load(SIMPLENET, [kind, f"data.validation={key}"])
    with pytest.raises(ConfigError, match=rf"data\.validation: {must} 40, got {came}"):
        plan(config, 1, ["full-batch"])


@pytest.mark.parametrize("key", ["0", "1.0", "1.5", "-0.1", "true", "'0.2'", "[1]"])
def test_a_wrong_share_is_one_line(key: str) -> None:
    with pytest.raises(ConfigError, match="data.validation: must be a fraction below 1 or a") as e:
        config_of(f"data.validation={key}")
    assert len(e.value.faults) == 1


def test_a_batch_is_of_what_remains(tmp_path: Path) -> None:
    words = ["train.mode=sgd", "data.validation=10"]
    assert config_of(*words, "train.batch_size=30").train.batch_size == 30
    with pytest.raises(ConfigError) as found:
        config_of(*words, "train.batch_size=31")
    (fault,) = found.value.faults
    what = "must be at most the 30 training samples that data.validation leaves"
    assert f"train.batch_size: {what} (--set data.validation=10), got 31" in str(fault)
    kind = f"data={{kind: csv, path: {csv(tmp_path)}, train: 40, validation: 10}}"
    config = loading.load(SIMPLENET, [kind, "train.batch_size=31", "train.mode=sgd"])
    with pytest.raises(ConfigError, match=f"train.batch_size: {what}, got 31"):
        plan(config, 1, ["sgd"])


def test_extra_samples_leave_all_others_alone(tmp_path: Path) -> None:
    """For a study: as many as test samples, from a generator of their own."""
    config = config_of("data={kind: moons, train: 40, test: 30}")
    plain = build_data(config, [5, 6], None)
    more = build_data(config, [5, 6], None, extra_validation=True)
    assert same(more.train, plain.train)
    assert same(more.test, plain.test)
    assert np.array_equal(more.shift, plain.shift)
    assert more.validation is not None
    assert isinstance(config.data, Generated)
    own, labels = config.data.draw(data.generator(6, "validation"), 30)
    assert np.allclose(raw(more, more.validation)[1], own, atol=1e-4)
    assert more.validation.class_numbers[1].tolist() == labels.tolist()
    # The key itself wins; and a file has no more samples.
    keyed = config_of("data={kind: moons, train: 40, test: 30, validation: 10}")
    left, right = (build_data(keyed, [5], None, extra_validation=e) for e in (False, True))
    assert left.validation is not None
    assert right.validation is not None
    assert same(left.validation, right.validation)
    of_file = loading.load(SIMPLENET, [f"data={{kind: csv, path: {csv(tmp_path)}}}"])
    assert build_data(of_file, [0], table(50), extra_validation=True).validation is None


def test_arrays_may_have_samples_for_validation() -> None:
    x = np.random.default_rng(0).normal(3, 2, (30, 2))
    y = np.where(x[:, 0] > 3, "b", "a")
    rest: dict[str, Any] = {"x_validation": x[20:25], "y_validation": y[20:25]}
    made = Dataset.from_arrays(x[:20], y[:20], x[25:], y[25:], **rest, dtype="float64")
    plain = Dataset.from_arrays(x[:20], y[:20], x[25:], y[25:], dtype="float64")
    assert made.validation is not None
    assert plain.validation is None
    assert same(made.train, plain.train)
    assert same(made.test, plain.test)
    expected = (x[20:25] - x[:20].mean(0)) / x[:20].std(0)
    assert np.allclose(made.validation.inputs.numpy(), expected)
    assert [made.classes[k] for k in made.validation.class_numbers] == y[20:25].tolist()
    stack = made.repeated(3)
    assert stack.validation is not None
    assert stack.validation.inputs.shape == (3, 5, 2)
    one = stack.of(1).validation
    assert one is not None
    assert same(one, made.validation)
    assert repr(made) == (
        "<Dataset: 20 training, 5 validation and 5 test samples, 2 features, 2 classes: a, b>"
    )
    assert repr(plain).startswith("<Dataset: 20 training and 5 test samples, 2 features")


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ({"x_validation": [[1, 2]]}, "x_validation and y_validation must be given together"),
        ({"y_validation": ["a"]}, "x_validation and y_validation must be given together"),
        (
            {"x_validation": [[1]], "y_validation": ["a"]},
            r"x_validation must have the features of x, .* got \(1, 1\) for x \(2, 2\)",
        ),
        (
            {"x_validation": [[1, 2]], "y_validation": ["c"]},
            "y_validation must hold classes of y, which are a, b, got c",
        ),
        (
            {"x_validation": [[1, 2]], "y_validation": ["a", "b"]},
            r"y_validation must be \(1,\), one class for each sample of x_validation",
        ),
    ],
)
def test_wrong_arrays_for_validation_are_one_line(given: dict[str, Any], what: str) -> None:
    x, y = [[0, 1], [2, 3]], ["a", "b"]
    with pytest.raises(DataError, match=f"^Dataset.from_arrays: {what}"):
        Dataset.from_arrays(x, y, x, y, **given)


# -------------------------------------------------------------------------- what is recorded


def wrong(network: nn.Network, samples: Samples) -> list[float]:
    """The percentage of samples that each network takes for another class, from the formula."""
    values = iter([parameter.value.double().numpy() for parameter in network.parameters()])
    hidden = samples.inputs.double().numpy()
    layers = list(zip(values, values, strict=True))
    for place, (weight, bias) in enumerate(layers):
        hidden = hidden @ weight.transpose(0, 2, 1) + bias[:, None]
        hidden = np.maximum(hidden, 0) if place < len(layers) - 1 else hidden
    chosen = hidden.argmax(-1)
    found: list[float] = (100 * (chosen != samples.class_numbers.numpy()).mean(1)).tolist()
    return found


@pytest.mark.parametrize("arm", ["minifw", "pytorch", "vmap"])
@pytest.mark.parametrize("mode", ["full-batch", "sgd"])
def test_the_error_is_that_of_the_kept_samples(arm: Arm, mode: Any) -> None:
    """Recomputed by NumPy from the weights; the errors on all parts differ, so no other will do."""
    from minifw.experiment.arms import TRAIN

    config = config_of(
        "data={kind: spirals, noise: 0.1, train: 60, test: 50, validation: 17}", "train.epochs=7",
        "train.eval_every=3", "train.eta=0.05", "dtype=float64", "train.compile=false",
        "train.batch_size=15",
    )  # fmt: skip
    drawn = plan(config, 3, [mode], arms=["minifw"]).draw([0, 1, 2])
    result = TRAIN[arm](drawn, mode, lambda done, text: None)
    history, network = result.history, build_network(config, [0, 1, 2], 2)
    assert history.epochs == [0, 3, 6, 7]
    assert len(history.validation_error) == 4
    parts = drawn.data.parts
    before = [wrong(network, parts[name]) for name in ("train", "test", "validation")]
    network.load_state_dict(result.weights)
    after = [wrong(network, parts[name]) for name in ("train", "test", "validation")]
    for values, place in ((before, 0), (after, -1)):
        assert len({tuple(errors) for errors in values}) == 3
        recorded = [history.train_error, history.test_error, history.validation_error]
        assert [np.round(of[place], 9).tolist() for of in recorded] == [
            np.round(errors, 9).tolist() for errors in values
        ]


def stacks(config: Config, seeds: list[int], mode: Any, *, compiled: bool) -> Checkpoint:
    from minifw.experiment.arms import train_minifw

    wish = "true" if compiled else "false"
    config = loading.of_text(loading.dump(config), SIMPLENET, [f"train.compile={wish}"],
                             Code())[0]  # fmt: skip
    planned = plan(config.model_copy(update={"seed": seeds[0]}), len(seeds), [mode])
    return train_minifw(planned.draw(seeds), mode, lambda done, text: None)


@pytest.mark.parametrize("compiled", [False, True])
def test_a_seed_alone_is_as_in_the_stack(compiled: bool) -> None:
    if compiled and find_compiler() is None:
        pytest.skip("no C compiler")
    config = config_of(
        "data.validation=0.25", "train.epochs=4", "train.eval_every=2", "train.batch_size=15"
    )
    whole = stacks(config, [0, 1, 2], "sgd", compiled=compiled).history
    alone = stacks(config, [1], "sgd", compiled=compiled).history
    assert whole.compiled == compiled
    assert len(whole.validation_error) == len(whole.epochs) == 3
    for name in whole.series:
        values = zip(getattr(whole, name), getattr(alone, name), strict=True)
        assert all(left[1] == right[0] for left, right in values), name


@pytest.mark.skipif(find_compiler() is None, reason="no C compiler")
def test_compiled_and_plain_evaluation_agree() -> None:
    """Three numbers of samples: each has its own program."""
    config = config_of("data.validation=7", "dtype=float64", "train.epochs=2")
    left, right = (stacks(config, [0, 1], "full-batch", compiled=c).history for c in (False, True))
    assert right.compiled
    for one, other in zip(left.validation_error, right.validation_error, strict=True):
        assert one.tolist() == other.tolist()


def test_samples_for_validation_train_nothing() -> None:
    """With and without them the same weights come of the same training samples, bit for bit."""
    kept = build_data(config_of("data.validation=10"), [0, 1], None)
    more = build_data(config_of(), [0, 1], None, extra_validation=True)
    for dataset in (kept, more):
        with_them, without = (
            Checkpoint.from_bytes(trained([3], each), "x")
            for each in (dataset, replace(dataset, validation=None))
        )
        assert len(with_them.history.validation_error) == 4
        assert without.history.validation_error == []
        for name, value in without.weights.items():
            assert torch.equal(with_them.weights[name], value)


# ------------------------------------------------------------------------ broken off, continued


def trained(epochs: list[int], dataset: Dataset) -> bytes:
    """Train in parts, through the bytes of a checkpoint between them; return the last bytes."""
    config, content = config_of(), b""
    for until in epochs:
        network = build_network(config, [0, 1], 2)
        optimizer, order = nn.SGD(network, 0.9), BatchOrder([0, 1], dataset.train.count)
        history = None
        if content:
            known = Checkpoint.from_bytes(content, "x")
            known.check(network, until, False, "x", dataset.validation is not None)
            history = known.restore(network, optimizer, order, "x")
        history = fit(
            network, build_loss(config), optimizer, dataset, epochs=until, eta=0.05,
            batch_size=15, next_order=order, history=history,
        )  # fmt: skip
        content = Checkpoint.of(network, history, optimizer, order).to_bytes()
    return content


def test_a_break_changes_nothing() -> None:
    kept = build_data(config_of("data.validation=10"), [0, 1], None)
    whole = trained([5], kept)
    assert trained([2, 5], kept) == whole
    history = Checkpoint.from_bytes(whole, "x").history
    assert np.array(history.validation_error).shape == (6, 2)


def test_a_checkpoint_is_of_a_training_with_or_without_validation() -> None:
    """One without samples for validation is as it always was."""
    kept = build_data(config_of("data.validation=10"), [0, 1], None)
    plain = build_data(config_of(), [0, 1], None)
    of_kept, of_plain = trained([2], kept), trained([2], plain)
    assert b"validation" in of_kept
    assert b"validation" not in of_plain
    network = build_network(config_of(), [0, 1], 2)
    for content, validation in ((of_kept, False), (of_plain, True)):
        known = Checkpoint.from_bytes(content, "x")
        known.check(network, 3, False, "x")
        known.check(network, 3, False, "x", not validation)
        with pytest.raises(ArtefactError, match="not the checkpoint of a training with this"):
            known.check(network, 3, False, "x", validation)
        wanted = "lacks validation errors, so data must lack" if validation else "has validation"
        optimizer = nn.SGD(network)
        with pytest.raises(ShapeError, match=f"^fit: history {wanted}"):
            fit(
                network, build_loss(config_of()), optimizer, kept if validation else plain,
                epochs=3, eta=0.1, history=known.history,
            )  # fmt: skip


def test_histories_of_several_stacks_become_one() -> None:
    """A stack that ended early has NaN from there on."""
    long, short = History.of((1,)), History.of((2,))
    for epoch in (0, 1, 2):
        long.record(epoch, *(np.full(1, float(n)) for n in range(6)))
        long.epoch = epoch
    short.record(0, *(np.full(2, 9.0) for _ in range(6)))
    joined = History.joined([long, short])
    assert np.array(joined.validation_error)[:, 0].tolist() == [4, 4, 4]
    assert np.array(joined.validation_loss)[:, 0].tolist() == [5, 5, 5]
    assert np.isnan(np.array(joined.validation_error)[1:, 1:]).all()
    assert joined.validation_error[0][1:].tolist() == [9, 9]
    assert repr(joined).endswith("errors 1 % training, 2 % test, 4 % validation>")


# ------------------------------------------------------------------------------ a run's files


def only_run() -> Path:
    (path,) = Path("runs").iterdir()
    return path


def test_a_run_records_the_error(minifw: Minifw) -> None:
    words = (*SMALL, "--set", "train.epochs=20", "--seeds", 3)
    answer = minifw("train", "simplenet", *words, *KEPT, "--json", "--quiet").json
    path = only_run()
    assert [*answer["data"]] == [
        "features", "train", "test", "class_balance", "majority_error", "validation",
    ]  # fmt: skip
    assert (answer["data"]["train"], answer["data"]["validation"]) == (30, 10)
    lines = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    assert lines[-1]["validation_error"] == answer["validation_error"]
    run = package.load(path)
    assert run.validation_error is not None
    assert run.validation_error.tolist() == answer["validation_error"]
    assert run.metrics.arrays()["validation_error"].shape == (3, 3)
    assert run.metrics.frame()["validation_error"].tolist()[-3:] == answer["validation_error"]
    assert "validation: 10" in (path / "config.yaml").read_text()
    table = run.tables["table1"]
    assert dict(table.rows)["validation error, median"] == [np.median(run.validation_error)]
    assert "10 of 40 training samples are kept for validation." in table.caption
    labels = [line.get_label() for line in run.figure("errors").axes[0].lines]
    assert labels == ["minifw, training", "minifw, test", "minifw, validation"]
    # The networks that are kept say the same of the kept samples.
    drawn = plan(run.config, 3, ["full-batch"]).draw([0, 1, 2]).data
    stack = build_network(run.config, [0, 1, 2], 2)
    stack.load_state_dict(runs_weights(path))
    assert drawn.validation is not None
    assert np.allclose(wrong(stack, drawn.validation), run.validation_error)


def runs_weights(path: Path) -> dict[str, torch.Tensor]:
    run = runs.load(path)
    (part,) = run.manifest.parts.values()
    return Checkpoint.from_bytes(run.read(part.file), "x").weights


def test_one_seed_shows_all_three_errors(minifw: Minifw) -> None:
    out = minifw("train", "simplenet", *SMALL, "--set", "train.epochs=2", *KEPT, "-q").out
    assert "30 training, 10 validation and 30 test samples" in out
    assert "validation error " in out
    shown = minifw("show", "simplenet", *SMALL, *KEPT).out
    assert "30 training, 10 validation and 30 test samples." in shown


def test_a_run_without_the_key_has_no_trace_of_it(minifw: Minifw) -> None:
    words = (*SMALL, "--set", "train.epochs=2", "--seeds", 2)
    answer = minifw("train", "simplenet", *words, "--json", "--quiet")
    assert "validation" not in answer.out
    path = only_run()
    for file in path.rglob("*"):
        if file.is_file():
            assert b"validation" not in file.read_bytes(), file
    run = package.load(path)
    assert run.validation_error is None
    assert "validation_error" not in run.metrics.arrays()
    assert [*run.metrics.frame()][-1] == "test_loss"


def test_a_comparison_has_the_error_of_both_arms(minifw: Minifw) -> None:
    words = (*SMALL, "--set", "train.epochs=3", "--seeds", 2, "--set", "train.compile=false")
    answer = minifw("compare", "simplenet", *words, *KEPT, "--json", "--quiet").json
    assert {mode: [*arms] for mode, arms in answer["validation_error"].items()} == {
        "full-batch": ["minifw", "pytorch"], "sgd": ["minifw", "pytorch"],
    }  # fmt: skip
    run = package.load(only_run())
    for mode, arms in answer["validation_error"].items():
        for arm, errors in arms.items():
            found = run[mode, arm].validation_error
            assert found is not None
            assert found.tolist() == errors


def test_results_have_the_error_where_there_are_samples_for_it(minifw: Minifw) -> None:
    minifw("train", "simplenet", *SMALL, "--set", "train.epochs=2", *KEPT, "--quiet")
    content = runs.load(only_run()).results().content()
    del content["data"]["validation"]
    with pytest.raises(ValueError, match="validation_error: must be there if data.validation is"):
        Results.model_validate(content)


def test_a_run_with_the_checkpoint_of_another_is_refused(
    minifw: Minifw, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One without the error would fit the networks, and has nothing to say of the kept samples."""
    publish = runs.Run.write

    def failing(run: runs.Run, name: str, content: str | bytes) -> None:
        if name == "metrics.jsonl":
            raise KeyboardInterrupt
        publish(run, name, content)

    words = ("train", "simplenet", *SMALL, "--set", "train.epochs=2", "--quiet", "--runs-dir")
    with monkeypatch.context() as patch:
        patch.setattr(runs.Run, "write", failing)
        assert minifw(*words, "kept", *KEPT).code == 130
        assert minifw(*words, "plain").code == 130
    name = "checkpoints/minifw-full-batch.safetensors"
    (kept,), (plain,) = Path("kept").iterdir(), Path("plain").iterdir()
    replace_file(kept, name, (plain / name).read_bytes())
    answer = minifw("resume", kept, "--quiet")
    assert answer.code == 4
    assert answer.err == f"{kept}/{name}: not the checkpoint of a training with this config\n"


# ------------------------------------------------------------------------------------- sizes


def test_memory_counts_the_samples() -> None:
    """As many samples in all, so as much memory for them; and the largest part is evaluated."""
    many = ["data.train=100000", "data.test=10", "seeds=2"]
    sizes = [
        plan(config_of(*many, *more), 1, ["full-batch"]).sizes
        for more in ([], ["data.validation=0.9"], ["data.train=10000"])
    ]
    whole, kept, few = sizes
    assert (kept.train, kept.validation, kept.samples) == (10_000, 90_000, whole.samples)
    assert kept.largest == 90_000
    assert few.bytes() < kept.bytes() <= whole.bytes()
    assert kept.bytes() - few.bytes() > 2 * 90_000 * 4 * 4  # inputs and one-hot targets
    plain = memory.sizes(config_of(), "sgd", 1, 2, 2, 10, 10)
    assert plain.validation == 0
