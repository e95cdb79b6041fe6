"""The public functions: `train` a config, `load` a run, `fit` a network to arrays."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
from torch import Tensor

from minifw import experiment, runs
from minifw.config import loading, values
from minifw.config.model import Config
from minifw.config.packaged import find_config
from minifw.config.source import Source
from minifw.data import BatchOrder, Dataset
from minifw.errors import ConfigError, DivergedError, DtypeError, UsageError
from minifw.experiment.plan import plan
from minifw.library import progress as displays
from minifw.library.arguments import on_threads, path_of, whole
from minifw.library.comparison import Comparison
from minifw.library.run import Run
from minifw.library.studies import Study, Sweep
from minifw.library.variance import Variance
from minifw.nn import Loss, Network, Optimizer, Schedule
from minifw.system.environment import quiet_matplotlib
from minifw.training import EarlyStopping, History, OnEpoch, arguments
from minifw.training.fit import fit as fit_stack

KINDS: dict[str, type[Study]] = {kind.kind: kind for kind in (Comparison, Sweep, Variance)}
"""The kinds of studies, by the word of the manifest."""


def train(
    config: str | os.PathLike[str] | Mapping[str, Any],
    *,
    seeds: int | None = None,
    overrides: Mapping[str, Any] | None = None,
    mode: Literal["full-batch", "sgd"] | None = None,
    runs_dir: str | os.PathLike[str] = "runs",
    threads: int | None = None,
    allow_code: bool = False,
    progress: bool | None = None,
) -> Run:
    """Train the network of a config over its seeds, leave a run directory, and return the run.

    It does the same as `minifw train`, with the same results, files, locks and signals. What was
    noticed in a data file, left out of it or filled is in the `notes` of the run.

    Args:
        config: the name of a packaged config, the path of a YAML file, or a mapping with the keys
            of one. A data file's path in a mapping is meant from the current folder.
        seeds: how many seeds to run; by default the config's number, else 1.
        overrides: values by their dotted keys, `{"train.eta": 0.1}`; they win over the config.
            `{"train": {…}}` replaces the whole section.
        mode: short for `overrides={"train.mode": mode}`.
        runs_dir: the folder in which the run's directory is made.
        threads: CPU threads during this call; by default torch's own number.
        allow_code: whether the config may run the Python files that it names.
        progress: whether to show progress; by default it is shown on a terminal and in a
            notebook.

    Raises:
        ConfigError: the config has faults; the message has one line for each.
        UsageError: another argument is wrong.
        DataError: the data file cannot be used.
        DivergedError: every seed diverged. The run is complete, and `minifw.load` reads it.
        StorageError: something could not be written.
        Interrupted: SIGINT or another signal came (it is not an Exception); `minifw resume`
            continues the run.

    """
    values.check_overrides({} if overrides is None else overrides)
    given = dict(overrides or {})
    folder = path_of("runs_dir", runs_dir)
    if seeds is not None:
        given["seeds"] = whole("seeds", seeds)
    if mode is not None:
        given["train.mode"] = mode
    try:
        checked, source = _load(config, given, allow_code)
    except ConfigError as error:
        raise values.explained(error, given) from None
    with on_threads(threads), quiet_matplotlib():
        planned = plan(checked, 1, [checked.train.mode], source)
        outcome = experiment.start(planned, folder, displays.for_program(progress))
    experiment.check_converged(outcome)
    return Run(outcome.run, allow_code=allow_code)


def _load(config: object, overrides: Mapping[str, Any], allow_code: bool) -> tuple[Config, Source]:
    if isinstance(config, Mapping):
        return values.of_values(config, overrides, allow_code=allow_code)
    if not isinstance(config, str | os.PathLike):
        raise UsageError(
            "train: config must be the name of a packaged config, the path of a YAML file or a "
            f"mapping, got {type(config).__name__}"
        )
    path = find_config(config) if isinstance(config, str) else Path(config)
    given = values.assignments(overrides)
    return loading.load_with_source(path, given, allow_code=allow_code, option="overrides")


def load(
    run: str | os.PathLike[str],
    *,
    runs_dir: str | os.PathLike[str] = "runs",
    allow_code: bool = False,
) -> Run:
    """Return a finished run of `train` or `compare`; or of a study, as a `Sweep` or `Comparison`.

    What it returns for a study is an object of its own, whose `load` has its type: `Sweep.load`.

    Args:
        run: its directory, its name, or a part of its name that no other run in `runs_dir` has.
        runs_dir: the folder in which a run is searched by name.
        allow_code: whether its networks may be built with the Python files that the run keeps.

    Raises:
            UsageError: there is no such run, or it is not finished (`minifw resume` continues it).
            ArtefactError: a file of the run is missing, damaged or not minifw's.
            StorageError: it could not be read.

    """
    name = os.fspath(path_of("run", run)) if run != "" else ""
    found = runs.load(runs.find(path_of("runs_dir", runs_dir), name))
    if found.manifest.kind in KINDS:
        study: Any = KINDS[found.manifest.kind](found)
        return cast(Run, study)
    return Run(found, allow_code=allow_code)


def fit(
    network: Network,
    loss: Loss,
    optimizer: Optimizer,
    data: Dataset,
    *,
    epochs: int,
    eta: float | Sequence[float] | Tensor,
    rates: Schedule | None = None,
    batch_size: int | None = None,
    seed: int = 0,
    eval_every: int = 1,
    stopping: EarlyStopping | None = None,
    on_epoch: OnEpoch | None = None,
    history: History | None = None,
    progress: bool | None = None,
) -> History:
    """Train a network, or a stack of networks, on a dataset, and return the history.

    No file is written. Afterwards the network holds the trained weights.

    Args:
        network: one network, or a stack with one dimension.
        loss: the loss to be minimised.
        optimizer: an optimizer of this network.
        data: samples. For a stack either samples for each network, or samples of one network,
            which are used for all.
        epochs: passes over the training samples.
        eta: learning rate, above 0; or one for each network of a stack.
        rates: how the learning rate changes from step to step, as `nn.Cosine()`; by default it
            does not.
        batch_size: samples in a step, in a new order each epoch; None takes all in one step.
        seed: seed of the order of samples; network k of a stack has `seed + k`.
        eval_every: epochs between two measurements of loss and errors.
        stopping: ends each network by its own samples for validation, which `data` must have.
        on_epoch: called after each epoch with its number, from 1 on, and the history so far, and
            the network in use, as after `network.eval()`; `history.stop()` in it ends training
            after this epoch, with an evaluation.
        history: that of an earlier call with the same arguments, which is continued up to `epochs`
            in all: bit for bit as without a break.
        progress: whether to show progress; by default it is shown on a terminal and in a
            notebook.

    Raises:
        ModuleError, ShapeError, DtypeError: an argument is wrong, or does not fit the others;
            nothing has been changed then.
        DivergedError: no network was left; the error's `history` has what was recorded. Where some
            are left nothing is raised: `history.diverged` names those that are not.

    """
    if not isinstance(data, Dataset):
        raise DtypeError(
            f"fit: data must be a minifw.Dataset, got {type(data).__name__}; "
            "minifw.Dataset.from_arrays makes one"
        )
    seed = arguments.whole("seed", seed, 0)
    stack = _stack(network)
    if len(stack) == 1 and not data.train.stack:
        data = data.repeated(stack[0])
    next_order = None if batch_size is None else _orders(data.train.shape, seed)
    if history is not None and next_order is not None:
        for _ in range(history.epoch):  # those of the epochs that are done
            next_order()
    with displays.for_program(progress)("fit", epochs) as show:

        def follow(epoch: int, history: History) -> None:
            show(epoch, f"loss {float(history.train_loss[-1].mean()):.4f}")
            if on_epoch is not None:
                on_epoch(epoch, history)

        history = fit_stack(
            network,
            loss,
            optimizer,
            data,
            epochs=epochs,
            eta=eta,
            rates=rates,
            batch_size=batch_size,
            next_order=next_order,
            eval_every=eval_every,
            on_epoch=follow,
            history=history,
            stopping=stopping,
        )
    _check_converged(history, network, eta)
    return history


def _check_converged(history: History, network: Network, eta: object) -> None:
    """Raise a DivergedError if no network is left."""
    if not history.all_diverged:
        return
    epochs, layers = np.atleast_1d(history.diverged), np.atleast_1d(history.diverged_layer)
    first = int(epochs.argmin())
    who = "the network diverged" if len(epochs) == 1 else f"all {len(epochs)} networks diverged"
    order = "" if len(epochs) == 1 else ", the first"
    layer = int(layers[first])
    rate = f"{eta:g}" if isinstance(eta, (int, float)) else "these"
    where = f", where the first value that is not finite is of {layer}, {network[layer]}"
    raise DivergedError(
        f"fit: {who}{order} in epoch {epochs[first]}{where if layer >= 0 else ''}; "
        f"its weights are of no use any more; a new network with a smaller eta than {rate} may "
        "help",
        history=history,
    )


def _stack(network: object) -> tuple[int, ...]:
    """Return the stack of a network; `()` if it is no network, which `fit.fit` reports."""
    return (network.stack or ()) if isinstance(network, Network) else ()


def _orders(shape: tuple[int, ...], seed: int) -> Callable[[], Tensor]:
    """Return a function that draws each epoch's order of samples, `([seeds,] samples)`."""
    *stack, samples = shape
    if not stack:
        one = BatchOrder([seed], samples)
        return lambda: one()[0]
    return BatchOrder(range(seed, seed + stack[0]), samples)
