"""Datasets: samples normalised, and stacked over seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from minifw.data import arrays
from minifw.data.encoding import Encoding, Prepared
from minifw.data.generated import Floats, Points
from minifw.data.samples import Samples
from minifw.data.scaling import (
    Normalize,
    check_range,
    check_squares,
    of_features,
    shift_and_scale,
)
from minifw.errors import DataError, DtypeError, short, short_word
from minifw.nn import Module, Network
from minifw.nn.module import in_mode
from minifw.statistics.measure import ERROR, Measure, Task

DTYPES = {"float32": torch.float32, "float64": torch.float64}
"""The kinds of numbers by their names in a config."""


@dataclass(frozen=True)
class Dataset:
    """Training and test samples, and their normalisation.

    `shift` and `scale`, `(seeds, features)`, undo it: `inputs * scale + shift`. `validation` has
    samples for choosing among settings, which are not trained on; None if there are none.

    Of regression there are no classes; `measure` has the names and the unit of the targets, and
    `target_shift` and `target_scale`, `(seeds, targets)`, undo their normalisation. `one_target`
    says that they were given as `(n,)`, so that predictions are too.
    """

    train: Samples
    test: Samples
    features: tuple[str, ...]
    classes: tuple[str, ...]
    shift: Floats
    scale: Floats
    validation: Samples | None = None
    measure: Measure = ERROR
    target_shift: Floats = field(default_factory=lambda: np.zeros((0, 0)))
    target_scale: Floats = field(default_factory=lambda: np.zeros((0, 0)))
    one_target: bool = False
    prepared: Prepared | None = None
    """With what gaps were filled, and which categories are known, `(seeds, features)`."""
    encoding: Encoding | None = None
    """How columns of a file became features, where that is not plain."""

    @classmethod
    def from_arrays(
        cls,
        x: ArrayLike,
        y: ArrayLike,
        x_test: ArrayLike,
        y_test: ArrayLike,
        *,
        x_validation: ArrayLike | None = None,
        y_validation: ArrayLike | None = None,
        task: Task = "classification",
        unit: str = "",
        normalize: Normalize = True,
        normalize_target: bool = True,
        one_hot: bool = True,
        dtype: Literal["float32", "float64"] = "float32",
        device: str = "cpu",
    ) -> Dataset:
        """Return arrays of samples as a dataset, ready for `minifw.fit`.

        Args:
            x: training inputs, `(n, features)`, or `(seeds, n, features)` with separate samples for
                each network of a stack. NumPy, torch, pandas or lists; finite numbers.
            y: the class of each, `(n,)` or `(seeds, n)`: whole numbers, text, truth values. Classes
                are numbered in the order of their values if all are numbers, else in that of text.
                Numbers that are not whole are taken where they are few. For regression, numbers:
                `(n,)`, or `(n, targets)`, with the seeds first where `x` has them.
            x_test: test inputs, with the same features.
            y_test: the class or the numbers of each.
            x_validation: inputs for choosing among settings, if any; they are not trained on.
            y_validation: the class or the numbers of each.
            task: "classification", or "regression", of which targets are numbers and errors the
                root mean squared error in their own unit.
            unit: the unit of the numbers, for messages and figures.
            normalize: shift and scale each feature to mean 0 and standard deviation 1 of the
                training samples; the others are shifted and scaled by the same numbers.
                "together": all features by the same shift and scale, as pixels need.
            normalize_target: of regression, do the same with each target; errors and predictions
                are in its own unit all the same.
            one_hot: of classification, make targets one-hot rows, which every loss takes; otherwise
                they are class numbers, which only cross-entropy takes.
            dtype: dtype of the network.
            device: device of the network.

        Raises:
            DataError: an argument has the wrong shape or type, or holds values that cannot be used.

        """
        if not isinstance(dtype, str) or dtype not in DTYPES:
            raise DataError(
                f"{arrays.WHERE}: dtype must be one of {', '.join(DTYPES)}, got {short(dtype)}"
            )
        try:
            torch.empty(0, device=device)
        except (RuntimeError, AssertionError, TypeError) as fault:
            what = str(fault).partition("\n")[0]
            where = f"{arrays.WHERE}: device {short(device)}"
            raise DataError(f"{where} cannot be used: {what}") from None
        given = arrays.given((x, y), (x_test, y_test), (x_validation, y_validation), task)
        made = stack_seeds(
            given.draws,
            seeds=range(len(given.draws)),
            features=given.features,
            classes=given.classes,
            measure=Measure(tuple(given.targets), unit),
            normalize=normalize,
            normalize_target=normalize_target,
            one_hot=one_hot,
            dtype=DTYPES[dtype],
            device=device,
        )
        made = replace(made, one_target=given.one_target)
        return made if given.stacked else made.of(0)

    def inputs(self, x: ArrayLike) -> Tensor:
        """Return new samples, as they come, as a network trained on this dataset takes them.

        They are moved with the numbers of the training samples, and have their dtype and device.
        Where gaps were filled, those of new samples (NaN) are too.

        Args:
            x: `(n, features)`; where each network has samples of its own, all get these, or
                `(seeds, n, features)` gives each its own. The result has its seeds first then.

        Raises:
            DataError: `x` has another shape, or holds what is no finite number.

        """
        return arrays.inputs(self, x)

    def classes_of(self, output: Tensor) -> NDArray[np.str_]:
        """Return the name of each sample's class, that of its largest output.

        Args:
            output: that of a network, `(…, n, classes)`; the result is `(…, n)`.

        Raises:
            DataError: there is not one output for each class, or one is no finite number, as of a
                network that diverged.

        """
        return arrays.classes_of(self, output)

    def values_of(self, output: Tensor) -> Floats:
        """Return the outputs of a network for regression in the targets' own unit.

        Args:
            output: that of a network, `(…, n, targets)`; the result is of this shape, or `(…, n)`
                where the targets were given like that.

        Raises:
            DataError: there is not one output for each target, or one is no finite number.

        """
        return arrays.values_of(self, output)

    def predict(self, network: Network, x: ArrayLike) -> NDArray[Any]:
        """Return what a network trained on this dataset says of new samples.

        It is `classes_of(network.forward(inputs(x)))`, a class for each, or `values_of(…)` of
        regression, in the targets' own unit; where all networks of a stack were trained
        on the same samples, each is asked about all of `x`.

        Args:
            network: one network, or a stack with one dimension.
            x: samples as they come, as `inputs` takes them.

        Returns:
            The name of each sample's class, `(n,)`, or `(networks, n)` of a stack: text, as in
            `classes`, "True" for a truth value and "1" for a number. Of regression, numbers:
            `(n,)`, or `(n, targets)` where the targets were given so, likewise after the stack.

        Raises:
            DataError: `x` has another shape, or holds what is no finite number; or so does what
                the network gives.
            DtypeError: `network` is no network.

        """
        if not isinstance(network, Module):
            raise DtypeError(
                f"Dataset.predict: network must be a minifw Network, got {type(network).__name__}"
            )
        inputs = self.inputs(x)
        if network.stack and inputs.ndim == 2:
            inputs = inputs.repeat(*network.stack, 1, 1)
        with in_mode(network, training=False):
            output = network.forward(inputs)
        return self.values_of(output) if self.measure.targets else self.classes_of(output)

    def repeated(self, times: int) -> Dataset:
        """Return the samples of one network repeated for a stack of networks."""

        def stacked(samples: Samples) -> Samples:
            return samples.repeated(times).map(Tensor.contiguous)

        return self._moved(stacked, lambda numbers: np.tile(numbers, (times, 1)))

    def of(self, seeds: int | slice | list[int]) -> Dataset:
        """Return the samples of some seeds, or of one, without the stack's dimension then."""
        return self._moved(lambda samples: samples.of(seeds), lambda numbers: numbers[seeds])

    def _moved(
        self, change: Callable[[Samples], Samples], of_seeds: Callable[[Any], Any]
    ) -> Dataset:
        """Return this dataset with each of its parts changed, and so what each seed has."""
        kept = None if self.validation is None else change(self.validation)
        parts = replace(self, train=change(self.train), test=change(self.test), validation=kept)
        parts = replace(parts, shift=of_seeds(self.shift), scale=of_seeds(self.scale))
        if self.prepared is not None:
            fill, known = of_seeds(self.prepared.fill), of_seeds(self.prepared.known)
            parts = replace(parts, prepared=Prepared(fill, known))
        if not self.measure.targets:
            return parts
        shift, scale = of_seeds(self.target_shift), of_seeds(self.target_scale)
        return replace(parts, target_shift=shift, target_scale=scale)

    @property
    def outputs(self) -> int:
        """How many outputs a network has: one for each class, or for each target."""
        return len(self.measure.targets or self.classes)

    @property
    def parts(self) -> dict[str, Samples]:
        """The samples by their purpose: `train`, `test`, and `validation` if there are any."""
        known = {"train": self.train, "test": self.test}
        return known if self.validation is None else known | {"validation": self.validation}

    def __repr__(self) -> str:
        count = {name: part.count for name, part in self.parts.items()}
        sizes = [f"{count[name]} {word}" for name, word in
                 (("train", "training"), ("validation", "validation"), ("test", "test"))
                 if name in count]  # fmt: skip
        known = self.measure.targets or self.classes
        names = ", ".join(map(short_word, known[:5])) + ", …" * (len(known) > 5)
        kind = "targets" if self.measure.targets else "classes"
        outputs = f"{len(known)} {kind if len(known) > 1 else kind[:-1]}"
        features = f"{len(self.features)} feature{'' if len(self.features) == 1 else 's'}"
        stack = self.train.stack
        each = f" for each of {stack[0]} networks" if stack else ""
        return (
            f"<Dataset: {', '.join(sizes[:-1])} and {sizes[-1]} samples{each}, {features}, "
            f"{outputs}: {names}>"
        )


def stack_seeds(
    draws: Iterable[Sequence[Points]],
    *,
    seeds: Sequence[int],
    features: Sequence[str],
    classes: Sequence[str],
    normalize: Normalize,
    one_hot: bool,
    dtype: torch.dtype,
    device: str = "cpu",
    measure: Measure = ERROR,
    normalize_target: bool = True,
    encoding: Encoding | None = None,
) -> Dataset:
    """Make one stacked dataset of each seed's (training, test) points, taken one by one.

    A third entry of each are points for validation. Normalising shifts and scales each feature to
    mean 0 and standard deviation 1 *of the training samples of that seed*; all others are shifted
    and scaled by the same numbers. A feature that is constant, up to rounding, is only shifted.
    Gaps are filled, and categories chosen, as the `encoding` of a table says.
    Of regression, whose `measure` has targets, these are numbers instead of classes,
    `(n, targets)`, and are normalised likewise.

    Raises:
        DataError: a number is too large for the dtype.

    """
    shift, scale = np.zeros((len(seeds), len(features))), np.ones((len(seeds), len(features)))
    count = len(measure.targets)
    target_shift, target_scale = np.zeros((len(seeds), count)), np.ones((len(seeds), count))
    stacks: list[Samples] = []
    known: list[Prepared] = []
    for place, drawn in enumerate(draws):
        draw = drawn
        if encoding is not None:
            known.append(encoding.prepared(drawn[0][0]))
            draw = [(encoding.applied(points, known[-1]), wanted) for points, wanted in drawn]
        with np.errstate(all="ignore"):
            shift[place], scale[place] = of_features(draw[0][0], normalize, encoding)
            moved = [((points - shift[place]) / scale[place], wanted) for points, wanted in draw]
            if count:
                if normalize_target:
                    target_shift[place], target_scale[place] = shift_and_scale(
                        np.asarray(draw[0][1], np.float64)
                    )
                moved = [
                    (points, (wanted - target_shift[place]) / target_scale[place])
                    for points, wanted in moved
                ]
        if not stacks:
            outputs = len(classes) if one_hot and not count else None
            stacks = [_empty(len(seeds), part, outputs, dtype) for part in moved]
        for stack, points in zip(stacks, moved, strict=True):
            own = stack.of(place)
            _write(own, points, one_hot)
            if count:
                beyond = target_scale[place], "target", measure.targets, seeds[place]
                check_range(own.targets, *beyond)
            check_range(own.inputs, scale[place], "feature", features, seeds[place])
        if count:
            check_squares(draw, measure.targets, seeds[place])
    if count:
        stacks = [replace(part, scale=torch.from_numpy(target_scale)) for part in stacks]
    train, test, *validation = (part.map(lambda values: values.to(device)) for part in stacks)
    return Dataset(
        train,
        test,
        tuple(features),
        tuple(classes),
        shift,
        scale,
        validation[0] if validation else None,
        measure,
        target_shift,
        target_scale,
        prepared=Prepared.stacked(known) if known else None,
        encoding=encoding,
    )


def _write(own: Samples, points: Points, one_hot: bool) -> None:
    """Write the samples of a seed into its memory, as `_empty` has made it."""
    inputs, wanted = points
    own.inputs.copy_(torch.from_numpy(inputs))
    if own.labels is None:
        own.targets.copy_(torch.from_numpy(wanted))
        return
    own.labels.copy_(torch.from_numpy(wanted))
    if one_hot:
        own.targets.zero_().scatter_(-1, own.labels.unsqueeze(-1), 1)
    else:
        own.targets.copy_(own.labels)


def _empty(seeds: int, points: Points, outputs: int | None, dtype: torch.dtype) -> Samples:
    """Return memory for as many samples as these in each seed; `outputs` are those of one-hot rows.

    Without `outputs` targets are labels, or numbers where the points have numbers.
    """
    inputs, wanted = points
    made = torch.empty(seeds, *inputs.shape, dtype=dtype)
    if wanted.dtype.kind == "f":
        return Samples(made, torch.empty(seeds, *wanted.shape, dtype=dtype))
    wide = wanted.shape if outputs is None else (*wanted.shape, outputs)
    return Samples(
        made,
        torch.empty(seeds, *wide, dtype=torch.int64 if outputs is None else dtype),
        torch.empty(seeds, *wanted.shape, dtype=torch.int64),
    )


def balance(dataset: Dataset) -> tuple[Floats, Floats]:
    """Return for each seed the fraction of each class in its test samples, `(seeds, classes)`.

    And the fraction, `(seeds,)`, that is not of the class most frequent in training. Of regression
    there are no classes, and the second is the error of guessing the mean of the training samples,
    in the targets' own unit.
    """
    if dataset.measure.targets:
        train, test = dataset.train, dataset.test
        known, wanted = (part.measured(part.targets).double() for part in (train, test))
        squares = test.in_own_unit(wanted - known.mean(-2, keepdim=True)).square()
        return np.zeros((len(squares), 0)), squares.mean((-2, -1)).sqrt().numpy(force=True)
    trained, tested = (
        part.class_numbers.numpy(force=True) for part in (dataset.train, dataset.test)
    )
    count = len(dataset.classes)
    share = np.stack([np.bincount(row, minlength=count) for row in tested]) / tested.shape[1]
    majority = [np.bincount(row, minlength=count).argmax() for row in trained]
    return share, 1 - share[np.arange(len(share)), majority]
