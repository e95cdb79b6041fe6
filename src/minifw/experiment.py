"""Experiments: a config becomes objects, one arm is trained, arms become a comparison.

An *arm* is one framework in one mode over all seeds. `train` runs one arm; `compare` runs both
frameworks in both modes. Everything is checked before a run directory exists.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from minifw import compiled, nn, plots, reference, runs, schedule, tables
from minifw import config as configs
from minifw import data as points
from minifw.config import Config
from minifw.data import Dataset
from minifw.errors import ConfigError, DataError, DivergedError
from minifw.runs import Run
from minifw.statistics import summary
from minifw.training import History, fit

MODES = ("full-batch", "sgd")
DTYPES = {"float32": torch.float32, "float64": torch.float64}
ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}
LOSSES = {"mse": nn.LossMSE, "cross-entropy": nn.LossCrossEntropy}


class Progress(Protocol):
    """Told how far an arm is. `text` is a short description of how it goes."""

    def __call__(self, done: int, text: str) -> None: ...


ShowProgress = Callable[[str, int], AbstractContextManager[Progress]]
"""Opens the display of one arm: its label, and how many epochs there will be."""


@dataclass(frozen=True)
class Experiment:
    """A config with its seeds and data: all that can be wrong has been checked."""

    config: Config
    seeds: list[int]
    data: Dataset


@dataclass(frozen=True)
class Outcome:
    """A finished run: its directory, results as written to results.json, tables, and messages."""

    run: Run
    results: dict[str, Any]
    tables: list[tables.Table]


# ------------------------------------------------------------------------------ config to objects


def build(config: Config, default_seeds: int, modes: Sequence[str]) -> Experiment:
    """Draw or read the data for all seeds, and check that network and modes fit it.

    Raises:
        ConfigError, DataError: what does not fit. Nothing has been written then.

    """
    if config.device == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            [
                f"{config.name}: device: 'cuda' needs a GPU and a CUDA build of torch, and torch "
                f"{torch.__version__} finds none; cpu works everywhere"
            ]
        )
    if config.device == "cuda" and config.train.compile is True:
        raise ConfigError(
            [f"{config.name}: train.compile: true is for device: cpu only; auto or false on a GPU"]
        )
    if config.train.compile is True:
        compiled.require_compiler()
    config = config.model_copy(update={"seeds": config.seeds or default_seeds})
    assert config.seeds is not None
    seeds = list(range(config.seed, config.seed + config.seeds))
    data = build_data(config, seeds)
    faults = configs.chain_faults(config, len(data.features), len(data.classes))
    samples = data.train.labels.shape[1]
    if "sgd" in modes and (config.train.batch_size or 0) > samples:
        faults[("train", "batch_size")] = (
            f"must be at most the {samples} training samples, got {config.train.batch_size}"
        )
    if faults:
        raise ConfigError(
            f"{config.name}: {'.'.join(map(str, path))}: {what}" for path, what in faults.items()
        )
    return Experiment(config, seeds, data)


def build_data(config: Config, seeds: Sequence[int]) -> Dataset:
    """Return training and test samples for each seed, stacked."""
    section = config.data
    features: Sequence[str] = ("x", "y")
    if isinstance(section, configs.FromFile):
        table = _read_table(section)
        features, classes = table.features, table.classes
        draws = []
        for seed in seeds:
            rng = points.generator(seed, "data")
            try:
                parts = points.split(rng, len(table.labels), section.train, section.test)
            except DataError as fault:
                raise DataError(f"{section.path}: data.train and data.test: {fault}") from None
            train, test = ((table.inputs[part], table.labels[part]) for part in parts)
            draws.append((train, test))
    else:
        classes = tuple(str(number) for number in range(getattr(section, "classes", 2)))
        draws = []
        for seed in seeds:
            rng = points.generator(seed, "data")
            train = _draw(section, rng, section.train)
            draws.append((train, _draw(section, rng, section.test)))
    return points.stack_seeds(
        draws,
        features=features,
        classes=classes,
        normalize=section.normalize,
        one_hot=config.loss.kind == "mse",
        dtype=DTYPES[config.dtype],
        device=config.device,
    )


def _draw(section: configs.Generated, rng: np.random.Generator, samples: int) -> points.Points:
    match section:
        case configs.Disk():
            return points.disk(rng, samples, section.center, section.radius)
        case configs.HalfPlane():
            return points.half_plane(rng, samples)
        case configs.Moons():
            return points.moons(rng, samples, section.noise)
        case configs.Spirals():
            return points.spirals(rng, samples, section.noise, section.turns, section.classes)
    raise AssertionError(f"no generator for {section}")


def _read_table(section: configs.FromFile) -> points.Table:
    path = Path(section.path)
    match section:
        case configs.Csv():
            return points.read_csv(path, section.features, section.target)
        case configs.Npz():
            return points.read_npz(path, section.features, section.target)
    raise AssertionError(f"no reader for {section}")


def build_network(config: Config, seeds: Sequence[int], features: int) -> nn.Sequential:
    """Return the stack of networks, one for each seed, with its initial weights."""
    generators = [points.generator(seed, "init") for seed in seeds]
    modules: list[nn.Module] = []
    for layer in config.network:
        if isinstance(layer, configs.LinearLayer):
            linear = nn.Linear(
                features,
                layer.out_features,
                bias=layer.bias,
                init=_initializer(layer.init or config.init),
                stack=(len(seeds),),
                generators=generators,
                dtype=DTYPES[config.dtype],
                device=config.device,
            )
            modules.append(linear)
            features = layer.out_features
        else:
            modules.append(ACTIVATIONS[layer.kind]())
    return nn.Sequential(*modules)


def _initializer(section: configs.PlainInit | configs.NormalInit) -> nn.Initializer:
    if isinstance(section, configs.NormalInit):
        return nn.Normal(section.std)
    return nn.INITIALIZERS[section.kind]()


def build_loss(config: Config) -> nn.Loss:
    """Return the loss with its reduction."""
    return LOSSES[config.loss.kind](config.loss.reduction)


# ------------------------------------------------------------------------------------ single arms


@dataclass(frozen=True)
class Arm:
    """One framework in one mode, trained: its history and final weights."""

    history: History
    state: dict[str, Tensor]


def run_minifw(experiment: Experiment, mode: str, progress: Progress) -> Arm:
    """Train all seeds at once with minifw."""
    config, data = experiment.config, experiment.data
    network = build_network(config, experiment.seeds, len(data.features))
    samples = data.train.labels.shape[1]
    batch_size, next_order = None, None
    if mode == "sgd":
        batch_size, next_order = (
            config.train.batch_size,
            points.batch_order(experiment.seeds, samples),
        )

    latest = ""

    def on_epoch(epoch: int, history: History) -> None:
        nonlocal latest
        if history.epochs[-1] == epoch:
            latest = _how_it_goes(history)
        progress(epoch, latest)

    whole = batch_size or samples
    plan = schedule.choose(
        network,
        len(experiment.seeds),
        whole,
        max(samples, data.test.labels.shape[1]),
        config.train.epochs * -(-samples // whole),
        config.train.compile,
    )
    if plan.compiled:
        progress(0, "compiling, unless it has been before")
    history = fit(
        network,
        build_loss(config),
        nn.SGD(network, config.optimizer.momentum),
        data,
        epochs=config.train.epochs,
        eta=config.train.eta,
        batch_size=batch_size,
        next_order=next_order,
        eval_every=config.train.eval_every,
        on_epoch=on_epoch,
        schedule=plan,
    )
    return Arm(history, _on_cpu(network.state_dict()))


def run_pytorch(
    experiment: Experiment, mode: str, progress: Progress, *, at_once: bool = False
) -> Arm:
    """Train the PyTorch twins of the same networks, one seed after another or `at_once`."""
    config, data = experiment.config, experiment.data
    epochs, seeds = config.train.epochs, experiment.seeds

    def on_epoch(position: int, epoch: int) -> None:
        text = "all seeds" if at_once else f"seed {position + 1} of {len(seeds)}"
        progress(position * epochs + epoch, text)

    result = reference.fit(
        build_network(config, seeds, len(data.features)),
        build_loss(config),
        config.optimizer.momentum,
        data,
        seeds,
        epochs=epochs,
        eta=config.train.eta,
        batch_size=config.train.batch_size if mode == "sgd" else None,
        eval_every=config.train.eval_every,
        at_once=at_once,
        on_epoch=on_epoch,
    )
    return Arm(result.history, _on_cpu(result.state))


ARMS: dict[str, Callable[[Experiment, str, Progress], Arm]] = {
    "minifw": run_minifw,
    "pytorch": run_pytorch,
    "vmap": partial(run_pytorch, at_once=True),
}


def _on_cpu(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.cpu() for name, value in state.items()}


def _how_it_goes(history: History) -> str:
    """Return the latest loss and errors, median over the seeds that are left."""
    left = history.diverged < 0
    if not left.any():
        return "all seeds diverged"
    loss, train, test = (
        float(np.median(values[-1][left]))
        for values in (history.train_loss, history.train_error, history.test_error)
    )
    gone = int((~left).sum())
    diverged = f" {gone} diverged" if gone else ""
    return f"loss {loss:.4f} train {train:.1f} % test {test:.1f} %{diverged}"


# ---------------------------------------------------------------------------------------- a run


def run(
    experiment: Experiment,
    arms: Sequence[str],
    modes: Sequence[str],
    runs_dir: Path,
    show_progress: ShowProgress,
) -> Outcome:
    """Train the arms in the modes, and leave a complete run directory.

    Raises:
        DivergedError: no seed of minifw is left in any mode; the run directory is complete.
        StorageError: something could not be written.

    """
    started = datetime.now(UTC)
    if len(arms) > 1 and experiment.config.train.compile == "auto":
        # Plainly both frameworks round in the same order; compiled sums come in another.
        experiment = _with_compile(experiment, False)
    config = experiment.config
    # A network that memory has no place for fails here, before there is a directory.
    build_network(config, experiment.seeds, len(experiment.data.features))
    run = runs.create(runs_dir, config.name)
    run.write(
        "config.yaml",
        f"# Resolved by minifw; to run it again: minifw train THIS_FILE\n{configs.dump(config)}",
    )
    trained: dict[str, dict[str, Arm]] = {}
    for mode in modes:
        for arm in arms:
            epochs = config.train.epochs * (len(experiment.seeds) if arm == "pytorch" else 1)
            with show_progress(f"{tables.ARMS[arm]} {mode}", epochs) as progress:
                trained.setdefault(mode, {})[arm] = ARMS[arm](experiment, mode, progress)
            state = {name: value.contiguous() for name, value in trained[mode][arm].state.items()}
            run.write(f"checkpoints/{arm}-{mode}.safetensors", safetensors.torch.save(state))
    run.write("metrics.jsonl", "".join(_metrics(trained)))
    results = _results(experiment, trained)
    run.write_json("results.json", results)
    if len(experiment.data.features) == 2:
        run.write("decision.npz", _decision(experiment, trained))
    made = tables.write_tables(run)
    plots.write_plots(run)
    everything_diverged = all(
        error is None for mode in modes for error in results["modes"][mode]["minifw"]["test_error"]
    )
    run.finish(
        {
            "status": "diverged" if everything_diverged else "complete",
            "name": config.name,
            "seeds": experiment.seeds,
            "modes": list(modes),
            "arms": list(arms),
            "threads": torch.get_num_threads(),
            "started": started.isoformat(timespec="seconds"),
            **runs.environment(),
        }
    )
    return Outcome(run, results, made)


def _with_compile(experiment: Experiment, value: bool) -> Experiment:
    train = experiment.config.train.model_copy(update={"compile": value})
    config = experiment.config.model_copy(update={"train": train})
    return replace(experiment, config=config)


def check_converged(outcome: Outcome) -> None:
    """Raise a DivergedError if no seed of minifw came through in any mode."""
    epochs = [
        epoch
        for arms in outcome.results["modes"].values()
        for epoch in arms["minifw"]["diverged_epoch"]
    ]
    if None not in epochs:
        raise DivergedError(
            f"{outcome.run.path}: all {len(epochs)} networks diverged, the last in epoch "
            f"{max(epochs)}; a smaller train.eta may help"
        )


def _metrics(trained: dict[str, dict[str, Arm]]) -> list[str]:
    """Return one line of JSON for each evaluation of each arm."""
    import json

    lines = []
    for mode, arms in trained.items():
        for arm, result in arms.items():
            history = result.history
            for index, epoch in enumerate(history.epochs):
                line: dict[str, Any] = {"mode": mode, "arm": arm, "epoch": epoch}
                for name in ("train_loss", "train_error", "test_error"):
                    line[name] = _numbers(getattr(history, name)[index])
                lines.append(json.dumps(line, allow_nan=False) + "\n")
    return lines


def _results(experiment: Experiment, trained: dict[str, dict[str, Arm]]) -> dict[str, Any]:
    config = experiment.config
    modes: dict[str, dict[str, Any]] = {}
    for mode, arms in trained.items():
        modes[mode] = {}
        for arm, result in arms.items():
            history = result.history
            test_error = _numbers(history.test_error[-1])
            modes[mode][arm] = {
                "test_error": test_error,
                "train_error": _numbers(history.train_error[-1]),
                "train_loss": _numbers(history.train_loss[-1]),
                "diverged_epoch": [None if e < 0 else int(e) for e in history.diverged],
                "summary": summary(test_error),
                "seconds": history.seconds,
                "evaluation_seconds": history.evaluation_seconds,
                "compiled": history.compiled,
            }
    results: dict[str, Any] = {
        "name": config.name,
        "about": _about(config, len(experiment.data.features)),
        "seeds": experiment.seeds,
        "dtype": config.dtype,
        "threads": torch.get_num_threads(),
        "eta": config.train.eta,
        "epochs": config.train.epochs,
        "batch_size": config.train.batch_size,
        "data": points.describe(experiment.data),
        "modes": modes,
    }
    if other := tables.reference_arm(next(iter(trained.values()))):
        results["parity"] = {
            mode: _parity(experiment, mode, arms["minifw"], arms[other])
            for mode, arms in trained.items()
        }
        results["speedup"] = {
            mode: arms[other]["seconds"] / arms["minifw"]["seconds"] for mode, arms in modes.items()
        }
    return results


def _about(config: Config, features: int) -> str:
    """Return network, data and loss in the words of a caption."""
    sizes = [str(features)] + [
        str(layer.out_features)
        for layer in config.network
        if isinstance(layer, configs.LinearLayer)
    ]
    kinds = list(dict.fromkeys(x.kind for x in config.network if isinstance(x, configs.Activation)))
    section = config.data
    samples = (
        f"{section.train}+{section.test} points"
        if isinstance(section, configs.Generated)
        else Path(section.path).name
    )
    network = f"layers {'-'.join(sizes)}, {'/'.join(kinds) or 'linear'}"
    loss = f"{config.loss.kind} {config.loss.reduction}"
    return f"'{config.name}' ({section.kind}, {samples}; {network}; {loss})"


def _numbers(values: Any) -> list[float | None]:
    """Return floats, None for what is not finite: JSON knows neither NaN nor infinity."""
    return [float(value) if np.isfinite(value) else None for value in values]


# --------------------------------------------------------------------------------------- parity


def _parity(experiment: Experiment, mode: str, left: Arm, right: Arm) -> dict[str, Any]:
    """Return how far the two frameworks are apart, at the first step and at the end."""
    both = torch.from_numpy((left.history.diverged < 0) & (right.history.diverged < 0))
    weights = [
        float((left.state[name][both] - right.state[name][both]).abs().max())
        for name in left.state
        if both.any()
    ]
    same = (left.history.test_error[-1] == right.history.test_error[-1])[both.numpy()]
    return {
        "max_gradient_difference": gradient_difference(experiment, mode, experiment.config.dtype),
        "max_gradient_difference_float64": gradient_difference(experiment, mode, "float64"),
        "max_weight_difference": max(weights, default=None),
        "same_test_error": f"{int(same.sum())} of {len(same)}",
        "different_seeds": [
            seed
            for seed, ours, theirs in zip(
                experiment.seeds,
                left.history.test_error[-1],
                right.history.test_error[-1],
                strict=True,
            )
            if ours != theirs and not (np.isnan(ours) and np.isnan(theirs))
        ],
    }


def gradient_difference(experiment: Experiment, mode: str, dtype: str) -> float:
    """Return the largest relative difference between our gradients and autograd's at step 1.

    For each seed and parameter: the largest |ours - autograd's| over the largest |autograd's|.
    """
    config, seeds = experiment.config.model_copy(update={"dtype": dtype}), experiment.seeds
    data = experiment.data if dtype == experiment.config.dtype else build_data(config, seeds)
    network = build_network(config, seeds, len(data.features))
    loss = build_loss(config)
    inputs, targets = data.train.inputs, data.train.targets
    if mode == "sgd":
        order = points.batch_order(seeds, data.train.labels.shape[1])()
        inputs, targets = data.train.in_order(order[:, : config.train.batch_size])
    output = network.forward(inputs)
    network.backward(loss.grad(output, targets))
    theirs = reference.gradients(network, loss, list(zip(inputs, targets, strict=True)))
    largest = 0.0
    for (_, _, mine), other in zip(network.parameters(), theirs, strict=True):
        difference = (mine - other).abs().flatten(1).amax(1)
        scale = other.abs().flatten(1).amax(1)
        # Where autograd's gradient is exactly zero, ours must be too.
        relative = torch.where(difference == 0, 0.0, difference / scale)
        largest = max(largest, float(relative.max()))
    return largest


# ------------------------------------------------------------------------------------- decisions

GRID = 201


def _decision(experiment: Experiment, trained: dict[str, dict[str, Arm]]) -> bytes:
    """Return, as .npz, what one network of each minifw arm decides over the plane.

    It is the network whose test error is nearest to the median over the seeds. Coordinates are
    those of the data as it came, before normalising.
    """
    data = experiment.data
    arrays: dict[str, Any] = {}
    for mode, arms in trained.items():
        errors = arms["minifw"].history.test_error[-1]
        if np.isnan(errors).all():
            continue
        seed = int(np.nanargmin(np.abs(errors - np.nanmedian(errors))))
        shift, scale = data.shift[seed], data.scale[seed]
        inputs = data.test.inputs[seed].double().numpy(force=True) * scale + shift
        low, high = inputs.min(0), inputs.max(0)
        margin = 0.03 * (high - low)
        axes = [np.linspace(a, b, GRID) for a, b in zip(low - margin, high + margin, strict=True)]
        plane = np.stack(np.meshgrid(*axes), -1).reshape(-1, 2)
        on_cpu = experiment.config.model_copy(update={"device": "cpu"})
        network = build_network(on_cpu, [experiment.seeds[seed]], 2)
        network.load_state_dict({n: v[seed : seed + 1] for n, v in arms["minifw"].state.items()})
        normal = torch.from_numpy((plane - shift) / scale).to(data.test.inputs.dtype)
        output = network.forward(normal.unsqueeze(0))
        arrays |= {
            f"{mode}/x": axes[0],
            f"{mode}/y": axes[1],
            f"{mode}/decision": output[0].argmax(-1).reshape(GRID, GRID).numpy().astype(np.int16),
            f"{mode}/points": inputs,
            f"{mode}/labels": data.test.labels[seed].numpy(force=True).astype(np.int16),
            f"{mode}/seed": np.array(experiment.seeds[seed]),
            f"{mode}/error": np.array(errors[seed]),
        }
    section = experiment.config.data
    if isinstance(section, configs.Disk):
        arrays["disk"] = np.array([*section.center, section.radius])
    if isinstance(section, configs.HalfPlane):
        arrays["line"] = np.array([[0.0, 0.0], [1.0, 1.0]])
    file = io.BytesIO()
    np.savez_compressed(file, allow_pickle=False, **arrays)
    return file.getvalue()
