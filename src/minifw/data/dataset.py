"""Datasets: samples normalised, stacked over seeds, and in batches.

Everything random comes from an explicit generator. `generator(seed, purpose)` returns a separate
one for each pair of seed and purpose, so that seed k of a stack equals seed k alone, and drawing
more data does not change the initial weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from minifw.data import arrays
from minifw.data.generated import Floats, Points
from minifw.data.samples import Samples
from minifw.errors import DataError, DtypeError, short, short_word
from minifw.nn import Module, Network
from minifw.nn.module import in_mode

DTYPES = {"float32": torch.float32, "float64": torch.float64}
"""The kinds of numbers by their names in a config."""

Purpose = Literal["data", "init", "shuffle", "validation", "dropout"]
# Every published number depends on this order: append, never reorder.
PURPOSES: tuple[Purpose, ...] = ("data", "init", "shuffle", "validation", "dropout")


def generator(seed: int, purpose: Purpose) -> np.random.Generator:
    """Return the generator that belongs to this seed and purpose, in its initial state."""
    key = (PURPOSES.index(purpose),)
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


@dataclass(frozen=True)
class Dataset:
    """Training and test samples, and their normalisation.

    `shift` and `scale`, `(seeds, features)`, undo it: `inputs * scale + shift`. `validation` has
    samples for choosing among settings, which are not trained on; None if there are none.
    """

    train: Samples
    test: Samples
    features: tuple[str, ...]
    classes: tuple[str, ...]
    shift: Floats
    scale: Floats
    validation: Samples | None = None

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
        normalize: bool = True,
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
                Numbers that are not whole are taken where they are few (there is no regression).
            x_test: test inputs, with the same features.
            y_test: the class of each.
            x_validation: inputs for choosing among settings, if any; they are not trained on.
            y_validation: the class of each.
            normalize: shift and scale each feature to mean 0 and standard deviation 1 of the
                training samples; the others are shifted and scaled by the same numbers.
            one_hot: make targets one-hot rows, which every loss takes; otherwise they are class
                numbers, which only cross-entropy takes.
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
        given = arrays.given((x, y), (x_test, y_test), (x_validation, y_validation))
        made = stack_seeds(
            given.draws,
            seeds=range(len(given.draws)),
            features=given.features,
            classes=given.classes,
            normalize=normalize,
            one_hot=one_hot,
            dtype=DTYPES[dtype],
            device=device,
        )
        return made if given.stacked else made.of(0)

    def inputs(self, x: ArrayLike) -> Tensor:
        """Return new samples, as they come, as a network trained on this dataset takes them.

        They are moved with the numbers of the training samples, and have their dtype and device.

        Args:
            x: `(n, features)`; where each network has samples of its own, all get these, or
                `(seeds, n, features)` gives each its own. The result has its seeds first then.

        Raises:
            DataError: `x` has another shape, or holds what is no finite number.

        """
        from minifw.data import arrays

        return arrays.inputs(self, x)

    def classes_of(self, output: Tensor) -> NDArray[np.str_]:
        """Return the name of each sample's class, that of its largest output.

        Args:
            output: that of a network, `(…, n, classes)`; the result is `(…, n)`.

        Raises:
            DataError: there is not one output for each class, or one is no finite number, as of a
                network that diverged.

        """
        from minifw.data import arrays

        return arrays.classes_of(self, output)

    def predict(self, network: Network, x: ArrayLike) -> NDArray[np.str_]:
        """Return what a network trained on this dataset says of new samples: a class for each.

        It is `classes_of(network.forward(inputs(x)))`; where all networks of a stack were trained
        on the same samples, each is asked about all of `x`.

        Args:
            network: one network, or a stack with one dimension.
            x: samples as they come, as `inputs` takes them.

        Returns:
            The name of each sample's class, `(n,)`, or `(networks, n)` of a stack: text, as in
            `classes`, "True" for a truth value and "1" for a number.

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
            return self.classes_of(network.forward(inputs))

    def repeated(self, times: int) -> Dataset:
        """Return the samples of one network repeated for a stack of networks."""

        def stacked(samples: Samples) -> Samples:
            part = samples.repeated(times)
            return Samples(*(v.contiguous() for v in (part.inputs, part.targets, part.labels)))

        shift, scale = (np.tile(value, (times, 1)) for value in (self.shift, self.scale))
        return replace(self._each(stacked), shift=shift, scale=scale)

    def of(self, seeds: int | slice | list[int]) -> Dataset:
        """Return the samples of some seeds, or of one, without the stack's dimension then."""
        own = self._each(lambda samples: samples.of(seeds))
        return replace(own, shift=self.shift[seeds], scale=self.scale[seeds])

    def _each(self, change: Callable[[Samples], Samples]) -> Dataset:
        """Return this dataset with each of its parts changed."""
        kept = None if self.validation is None else change(self.validation)
        return replace(self, train=change(self.train), test=change(self.test), validation=kept)

    @property
    def parts(self) -> dict[str, Samples]:
        """The samples by their purpose: `train`, `test`, and `validation` if there are any."""
        known = {"train": self.train, "test": self.test}
        return known if self.validation is None else known | {"validation": self.validation}

    def __repr__(self) -> str:
        count = {name: part.labels.shape[-1] for name, part in self.parts.items()}
        sizes = [f"{count[name]} {word}" for name, word in
                 (("train", "training"), ("validation", "validation"), ("test", "test"))
                 if name in count]  # fmt: skip
        names = ", ".join(map(short_word, self.classes[:5])) + ", …" * (len(self.classes) > 5)
        features = f"{len(self.features)} feature{'' if len(self.features) == 1 else 's'}"
        stack = self.train.labels.shape[:-1]
        each = f" for each of {stack[0]} networks" if stack else ""
        return (
            f"<Dataset: {', '.join(sizes[:-1])} and {sizes[-1]} samples{each}, {features}, "
            f"{len(self.classes)} classes: {names}>"
        )


def stack_seeds(
    draws: Iterable[Sequence[Points]],
    *,
    seeds: Sequence[int],
    features: Sequence[str],
    classes: Sequence[str],
    normalize: bool,
    one_hot: bool,
    dtype: torch.dtype,
    device: str = "cpu",
) -> Dataset:
    """Make one stacked dataset of each seed's (training, test) points, taken one by one.

    A third entry of each are points for validation. Normalising shifts and scales each feature to
    mean 0 and standard deviation 1 *of the training samples of that seed*; all others are shifted
    and scaled by the same numbers. A feature that is constant, up to rounding, is only shifted.

    Raises:
        DataError: a number is too large for the dtype.

    """
    shift, scale = np.zeros((len(seeds), len(features))), np.ones((len(seeds), len(features)))
    stacks: list[Samples] = []
    for place, draw in enumerate(draws):
        with np.errstate(all="ignore"):
            if normalize:
                shift[place], scale[place] = _shift_and_scale(draw[0][0])
            moved = [((points - shift[place]) / scale[place], labels) for points, labels in draw]
        if not stacks:
            outputs = len(classes) if one_hot else None
            stacks = [_empty(len(seeds), part, outputs, dtype) for part in moved]
        for stack, (inputs, labels) in zip(stacks, moved, strict=True):
            own = stack.of(place)
            own.inputs.copy_(torch.from_numpy(inputs))
            own.labels.copy_(torch.from_numpy(labels))
            if one_hot:
                own.targets.zero_().scatter_(-1, own.labels.unsqueeze(-1), 1)
            else:
                own.targets.copy_(own.labels)
            fine = own.inputs.isfinite().all(0).numpy() & np.isfinite(scale[place])
            if not fine.all():
                name = short_word(features[int(fine.argmin())])
                beyond = str(dtype).removeprefix("torch.")
                raise DataError(
                    f"with seed {seeds[place]}, feature '{name}' has numbers beyond {beyond}; "
                    "data.normalize, dtype, or leaving it out by data.features may help"
                )
    train, test, *validation = (
        Samples(part.inputs.to(device), part.targets.to(device), part.labels.to(device))
        for part in stacks
    )
    return Dataset(train, test, tuple(features), tuple(classes), shift, scale, *validation)


def _empty(seeds: int, points: Points, outputs: int | None, dtype: torch.dtype) -> Samples:
    """Return memory for as many samples as these in each seed; `outputs` are those of one-hot rows.

    Without `outputs` targets are labels.
    """
    inputs, labels = points
    wide = labels.shape if outputs is None else (*labels.shape, outputs)
    return Samples(
        torch.empty(seeds, *inputs.shape, dtype=dtype),
        torch.empty(seeds, *wide, dtype=torch.int64 if outputs is None else dtype),
        torch.empty(seeds, *labels.shape, dtype=torch.int64),
    )


def _shift_and_scale(inputs: Floats) -> tuple[Floats, Floats]:
    """Return mean and standard deviation of each feature; 1 for a constant feature.

    Because of rounding the computed variance of a constant is rarely 0. So it is compared with the
    bound of its rounding error, as in scikit-learn's StandardScaler (Chan, Golub and LeVeque 1983).
    """
    # Scaling by a power of two changes no digit, and keeps squares from over- and underflow.
    unit = np.frexp(np.abs(inputs).max(0))[1]
    scaled = np.ldexp(inputs, -unit)
    samples, mean, std = len(inputs), scaled.mean(0), scaled.std(0)
    rounding = samples * np.finfo(np.float64).eps
    constant = std**2 <= rounding * std**2 + (rounding * mean) ** 2
    scale = np.ldexp(std, unit)
    return np.ldexp(mean, unit), np.where(constant | (scale == 0), 1, scale)  # 0: underflow


class BatchOrder:
    """Returns the next epoch's order of samples, `(seeds, samples)`, with each call.

    Each seed has its own generator, so its order does not depend on other seeds.
    """

    def __init__(self, seeds: Sequence[int], samples: int) -> None:
        self.samples = samples
        self._generators = [generator(seed, "shuffle") for seed in seeds]

    def __call__(self) -> Tensor:
        orders = [rng.permutation(self.samples) for rng in self._generators]
        return torch.from_numpy(np.stack(orders))

    @property
    def state(self) -> NDArray[np.uint64]:
        """The state of all generators, `(seeds, 6)`; setting it restores them.

        A row holds the upper and lower halves of PCG64's state and increment, whether half of a
        number is left over, and that half.
        """
        return np.array([_to_words(rng.bit_generator.state) for rng in self._generators], np.uint64)

    @state.setter
    def state(self, rows: NDArray[np.uint64]) -> None:
        for rng, row in zip(self._generators, rows, strict=True):
            rng.bit_generator.state = _from_words(row)


_LOWER = 2**64 - 1


def _to_words(state: Mapping[str, Any]) -> list[int]:
    values = state["state"]["state"], state["state"]["inc"]
    halves = [half for value in values for half in (value >> 64, value & _LOWER)]
    return [*halves, state["has_uint32"], state["uinteger"]]


def _from_words(row: NDArray[np.uint64]) -> dict[str, Any]:
    a, b, c, d, has_half, half = map(int, row)
    state = {"state": a << 64 | b, "inc": c << 64 | d}
    return {"bit_generator": "PCG64", "state": state, "has_uint32": has_half, "uinteger": half}


def balance(dataset: Dataset) -> tuple[Floats, Floats]:
    """Return for each seed the fraction of each class in its test samples, `(seeds, classes)`.

    And the fraction, `(seeds,)`, that is not of the class most frequent in training.
    """
    labels = dataset.test.labels.numpy(force=True)
    count = len(dataset.classes)
    share = np.stack([np.bincount(row, minlength=count) for row in labels]) / labels.shape[1]
    majority = [
        np.bincount(row, minlength=count).argmax() for row in dataset.train.labels.numpy(force=True)
    ]
    return share, 1 - share[np.arange(len(share)), majority]
