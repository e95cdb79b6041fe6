"""Checks of the arguments of `fit`, before anything is changed; each fault is one line."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from numbers import Integral, Real
from traceback import walk_tb

import numpy as np
import torch
from torch import Tensor

from minifw.data import Dataset, Samples
from minifw.errors import DtypeError, MinifwError, ModuleError, ShapeError, UsageError, short_word
from minifw.nn import Loss, Module, Network, Optimizer
from minifw.nn.module import described, in_mode
from minifw.nn.optimizers import check_state
from minifw.nn.registry import LossDeclaration, declaration_of
from minifw.training.history import History
from minifw.training.stopping import EarlyStopping


def check(
    network: Network, loss: Loss, optimizer: Optimizer, data: Dataset, history: History | None
) -> None:
    """Raise unless the arguments fit each other: types, networks, stacks, shapes, dtypes, classes.

    One sample is put through network and loss, whose own checks report what does not fit.

    Raises:
        ModuleError, ShapeError, DtypeError: what must hold, and what was given.

    """
    for name, value, kind in (
        ("network", network, Network),
        ("loss", loss, Loss),
        ("optimizer", optimizer, Optimizer),
        ("data", data, Dataset),
    ):
        if not isinstance(value, kind):
            lone = "; Sequential(…) makes a network of it" if isinstance(value, Module) else ""
            raise DtypeError(
                f"fit: {name} must be a minifw {kind.__name__}, got {type(value).__name__}{lone}"
            )
    if optimizer.network is not network:
        raise ModuleError(
            f"fit: the optimizer, {optimizer}, belongs to another network, "
            f"{optimizer.network}; {type(optimizer).__name__}(network) makes one of this"
        )
    network.wire()
    if not network.parameters():
        raise ModuleError(f"fit: the network must have parameters to train, got {network}")
    _check_task(loss, data)
    stack = data.train.stack
    if len(stack) > 1:
        raise ShapeError(
            f"fit: the networks must be one, or a stack in one dimension, got a stack {stack}"
        )
    if history is not None and history.diverged.shape != stack:
        raise ShapeError(
            f"fit: history must be that of networks {stack}, got {history.diverged.shape}"
        )
    if history is not None and history.epochs:
        known, now = bool(history.validation_error), data.validation is not None
        if known != now:
            raise ShapeError(
                f"fit: history {'has' if known else 'lacks'} validation errors, so data must "
                f"{'have' if known else 'lack'} samples for validation, as when it began"
            )
    for part, samples in data.parts.items():
        name = "training" if part == "train" else part
        _check_samples(samples, name, stack)
        with _one_sample(network, name, samples.inputs), in_mode(network, training=False):
            output = network.forward(samples.inputs.narrow(len(stack), 0, 1))
        _check_output(output, samples, name, data)
        if name == "training":
            with _one_sample(loss, name, samples.targets):
                losses = loss.function(output, samples.targets.narrow(len(stack), 0, 1))
            if losses.shape != stack:
                raise ShapeError(
                    f"fit: {loss} must give one loss for each network, of shape {stack}, "
                    f"got {tuple(losses.shape)}"
                )
    network.check_stack(stack)
    check_state(optimizer, stack)


@contextmanager
def _one_sample(subject: Network | Loss, name: str, values: Tensor) -> Iterator[None]:
    """Say, where this block fails, that it tried one sample, and which module did not take it."""
    what = "targets" if isinstance(subject, Loss) else "inputs"
    tried = f"one {name} sample, of {what} {described(values)}"
    try:
        yield
    except ModuleError as error:
        one_hot = values.dtype.is_floating_point
        other = (
            f"; Dataset.from_arrays(…, one_hot={not one_hot}) makes targets of "
            f"{'class numbers' if one_hot else 'one-hot rows'}"
            if isinstance(subject, Loss)
            else ""
        )
        raise type(error)(f"{error} (fit tried {tried}){other}") from error
    except MinifwError:
        raise
    except Exception as error:  # of a module of the user's own
        first = f"{type(error).__name__}: {error}".splitlines()[0]
        raise ModuleError(f"fit: {_failing(subject, error)} fails on {tried}: {first}") from error


def _failing(subject: Network | Loss, error: Exception) -> str:
    """Return the innermost module in which an error came up, with its position in the network."""
    if isinstance(subject, Loss):
        return f"the loss, {subject},"
    known = {id(module): (place, module) for place, module in places(subject)}
    acting = [id(frame.f_locals.get("self")) for frame, _ in walk_tb(error.__traceback__)]
    found = [known[each] for each in acting if each in known]
    return f"module {found[-1][0]}, {found[-1][1]}," if found else f"the network, {subject},"


def places(network: Network, before: str = "") -> Iterator[tuple[str, Module]]:
    """Yield each module in a network with its place, as in the names of its parameters."""
    for position, module in enumerate(network):
        yield f"{before}{position}", module
        if isinstance(module, Network):
            yield from places(module, f"{before}{position}.")


def _check_samples(samples: Samples, name: str, stack: tuple[int, ...]) -> None:
    """Raise unless inputs, targets and labels have the stack and the same number of samples."""
    labels, what = samples.labels, "labels"
    if labels is not None and labels.dtype != torch.int64:
        raise DtypeError(f"fit: the {name} labels must be int64, got {described(labels)}")
    if labels is None:
        what = "targets, in which the last dimension is that of targets,"
    shape = samples.shape
    if shape[:-1] != stack or not shape or math.prod(shape) == 0:
        raise ShapeError(
            f"fit: the {name} {what} must be ({', '.join([*map(str, stack), 'samples'])}) with at "
            f"least one sample, got {shape}"
        )
    for what, values in (("inputs", samples.inputs), ("targets", samples.targets)):
        if values.shape[: len(shape)] != shape:
            like = "labels" if labels is not None else "targets"
            raise ShapeError(
                f"fit: the {name} {what} must begin with the shape of the {like}, "
                f"{shape}, got {tuple(values.shape)}"
            )


def _check_output(output: Tensor, samples: Samples, name: str, data: Dataset) -> None:
    """Raise unless the output of one sample is a number for each class or target, per network."""
    stack = samples.stack
    if output.shape[:-1] != (*stack, 1):
        raise ShapeError(
            f"fit: the network must give {(*stack, 1)} outputs for one sample in each network, "
            f"got {tuple(output.shape)}"
        )
    known = data.measure.targets or data.classes
    output = samples.measured(output)  # the rest are other heads, which the loss checks
    if output.shape[-1] != len(known):
        shown = ", ".join(map(short_word, known[:5])) + (", …" if len(known) > 5 else "")
        each, all_of_them = ("target", "targets") if data.measure.targets else ("class", "classes")
        raise ShapeError(
            f"fit: the network must end with one output for each {each}; it has "
            f"{output.shape[-1]}, the data has {len(known)} {all_of_them}: {shown}"
        )
    if samples.labels is None:
        return
    classes, (least, most) = output.shape[-1], samples.labels.aminmax()
    targets = samples.targets
    if not targets.dtype.is_floating_point:
        least, most = min(least, targets.min()), max(most, targets.max())
    if least < 0 or most >= classes:
        raise ShapeError(
            f"fit: the {name} classes must be from 0 to {classes - 1}, as the network has "
            f"{classes} outputs, got {int(least)} to {int(most)}"
        )


def _check_task(loss: Loss, data: Dataset) -> None:
    """Raise where a loss is for another task than that of the data."""
    tasks = declaration_of(type(loss), LossDeclaration).tasks
    if data.measure.task not in tasks:
        raise ModuleError(
            f"fit: {loss} is for {' and '.join(tasks)}, the data are for {data.measure.task}; "
            "LossMSE, LossL1 and LossHuber take numbers"
        )


def check_stopping(stopping: EarlyStopping | None, data: Dataset) -> None:
    """Raise unless there are samples by which networks can stop.

    Raises:
        DtypeError, UsageError: what must hold, and what was given.

    """
    if stopping is None:
        return
    if not isinstance(stopping, EarlyStopping):
        raise DtypeError(
            "fit: stopping must be a minifw EarlyStopping, as EarlyStopping(patience=20), got "
            f"{type(stopping).__name__}"
        )
    if data.validation is None:
        raise UsageError(
            "fit: stopping needs samples for validation, and the data has none; "
            "Dataset.from_arrays(…, x_validation=…, y_validation=…) gives some"
        )


def whole(name: str, value: object, least: int) -> int:
    """Return `value` as an int.

    Raises:
        ShapeError: it is not a whole number of at least `least`.

    """
    if isinstance(value, bool) or not isinstance(value, Integral) or int(value) < least:
        raise ShapeError(f"fit: {name} must be a whole number of at least {least}, got {value!r}")
    return int(value)


def batch_size(value: int | None, samples: Samples) -> int:
    """Return how many samples a step takes: `value`, at most all; None: all.

    Raises:
        ShapeError: it is not a whole number of at least 1.

    """
    most = samples.count
    return most if value is None else min(whole("batch_size", value, 1), most)


def learning_rate(eta: object, data: Samples) -> float | tuple[float, ...]:
    """Return `eta` as a float, or as one for each network of the stack.

    Raises:
        ModuleError: a number is not above 0 and finite, in the dtype of the samples as well, or
            there is not one for each network.

    """
    dtype = data.inputs.dtype
    if isinstance(eta, str) or not isinstance(eta, (Sequence, np.ndarray, Tensor)):
        return _rate(eta, dtype)
    stack = data.stack
    values = eta.tolist() if isinstance(eta, (np.ndarray, Tensor)) else list(eta)
    if not isinstance(values, list) or stack != (len(values),):
        many = f"{len(values)} numbers" if isinstance(values, list) else "a tensor of one number"
        there = f"a stack of {stack[0]} networks" if stack else "one network"
        raise ModuleError(
            f"fit: eta must be a number, or one for each network of a stack; for {there} "
            f"came {many}"
        )
    return tuple(_rate(value, dtype, f" of network {k}") for k, value in enumerate(values))


def _rate(eta: object, dtype: torch.dtype, where: str = "") -> float:
    """Return a learning rate as a float; `where` says whose it is."""
    name = f"fit: eta{where}"
    if isinstance(eta, bool) or not isinstance(eta, Real):
        raise ModuleError(f"{name} must be a number above 0 and finite, got {eta!r}")
    try:
        rate = float(eta)
    except OverflowError:  # an int or a Fraction that is too large
        raise ModuleError(
            f"{name} must be a number above 0 and finite, got one of more than 308 digits"
        ) from None
    if not 0 < rate < math.inf:
        raise ModuleError(f"{name} must be a number above 0 and finite, got {eta!r}")
    rounded = float(torch.tensor(rate, dtype=torch.float64).to(dtype))
    if not 0 < rounded < math.inf:
        kind = str(dtype).removeprefix("torch.")
        raise ModuleError(f"{name} must be above 0 and finite in {kind}, got {eta!r}: {rounded}")
    return rate
