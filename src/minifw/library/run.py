"""A finished run as an object: its errors, measurements, networks, figures and tables."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from torch import Tensor

from minifw import export as exporting
from minifw import nn, runs
from minifw.config.model import Config
from minifw.data import Dataset, Floats
from minifw.errors import ArtefactError, UsageError
from minifw.experiment import estimates, inputs, prediction
from minifw.experiment.build import data_of
from minifw.library.arguments import one_of, path_of
from minifw.library.metrics import Metrics, metrics_of
from minifw.library.predictions import Estimate, Prediction
from minifw.library.result import Result, result_of
from minifw.library.samples import samples
from minifw.library.scores import Scores, of_record
from minifw.report import plots, tables
from minifw.report.tables import Table
from minifw.runs.norms import Gradients, gradients_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure


New = ArrayLike | Mapping[str, Any] | os.PathLike[str]
"""New samples: an array, columns by their names, as a DataFrame has them, or the path of a file."""


class Run:
    """A finished run, read from its directory; `minifw.train` and `minifw.load` return one.

    If the run has one mode, as every run of `minifw.train`, `run.test_error`, `run.train_error` and
    `run.train_loss` are minifw's results in that mode. A comparison has two modes and two arms:
    `run["sgd"].test_error` is minifw's, `run["sgd", "pytorch"].test_error` is PyTorch's.
    """

    def __init__(self, run: runs.Run, *, allow_code: bool = False) -> None:
        status = run.status()
        if status not in runs.OVER:
            raise UsageError(
                f"{run.path}: this run is {status}; minifw resume {run.path} completes it"
            )
        self._run, self._allow_code = run, allow_code
        self.status = status
        """`complete`, or `diverged` if all of minifw's seeds diverged."""
        results = run.results()
        found = results.seeds, list(results.modes), results.arms
        if found != (self.seeds, self.modes, self.arms):
            raise ArtefactError(
                f"{run.path}/results.json: has other seeds, modes or arms than the manifest"
            )
        self._results = {
            (mode, arm): result_of(of_arm)
            for mode, arms in results.modes.items()
            for arm, of_arm in arms.items()
        }
        names = tuple(results.data.class_balance)
        self._scores = {
            (mode, arm): of_record(of_arm.scores, names)
            for mode, arms in results.modes.items()
            for arm, of_arm in arms.items()
            if of_arm.scores is not None
        }

    @property
    def path(self) -> Path:
        """The run's directory."""
        return self._run.path

    @property
    def name(self) -> str:
        """The config's name."""
        return self._run.manifest.name

    @property
    def seeds(self) -> list[int]:
        """The seeds, in the order of the arrays."""
        return list(self._run.manifest.seeds)

    @property
    def modes(self) -> list[str]:
        """`full-batch`, `sgd`, or both."""
        return list(self._run.manifest.modes)

    @property
    def arms(self) -> list[str]:
        """`minifw`, and the arm that it was compared with, if any."""
        return list(self._run.manifest.arms)

    @cached_property
    def config(self) -> Config:
        """The config with every key spelled out."""
        return inputs.config_of(self._run, self._allow_code)

    def __getitem__(self, key: str | tuple[str, str]) -> Result:
        words = (key, "minifw") if isinstance(key, str) else key
        if not isinstance(words, tuple) or len(words) != 2:
            raise UsageError(f"run[…]: must be a mode, or a mode and an arm, got {key!r}")
        mode, arm = words
        return self._results[one_of("mode", mode, self.modes), one_of("arm", arm, self.arms)]

    def _only(self) -> Result:
        if len(self.modes) > 1:
            first = self.modes[0]
            raise UsageError(
                f"this run has several modes, {', '.join(self.modes)}; "
                f"run['{first}'] holds the results of one"
            )
        return self[self.modes[0]]

    @property
    def test_error(self) -> Floats:
        """Final test error of each seed, in percent; NaN for a seed that diverged."""
        return self._only().test_error

    @property
    def validation_error(self) -> Floats | None:
        """Final error of each seed on its samples for validation, in percent, NaN if it diverged.

        None for a run without them; the key `data.validation` keeps some.
        """
        return self._only().validation_error

    @property
    def train_error(self) -> Floats:
        """Final training error of each seed, in percent; NaN for a seed that diverged."""
        return self._only().train_error

    @property
    def train_loss(self) -> Floats:
        """Final training loss of each seed, in the loss's scale; NaN for a seed that diverged."""
        return self._only().train_loss

    @property
    def notes(self) -> tuple[str, ...]:
        """What was noticed in the data file, left out of it or filled, a line each."""
        return tuple(self._run.results().data.notes or ())

    def scores(self, mode: str | None = None, arm: str = "minifw") -> Scores:
        """Return what is measured of classifiers besides their error, for each seed.

        Args:
            mode: the mode; it may be left out if the run has only one.
            arm: the arm, of a comparison.

        Raises:
            UsageError: there is no such mode or arm, the run is a regression, or it is of a minifw
                that did not measure scores.

        """
        key = one_of("mode", mode, self.modes), one_of("arm", arm, self.arms)
        if key not in self._scores:
            if self._results[key].r2 is not None:
                raise UsageError(
                    f"scores: this run is a regression; run['{key[0]}'] has r2, mae and target_rmse"
                )
            raise UsageError(
                f"scores: this run is of a minifw that did not measure them; "
                f"minifw train {self.path}/config.yaml makes it anew"
            )
        return self._scores[key]

    @cached_property
    def metrics(self) -> Metrics:
        """Loss and errors of all seeds over the epochs."""
        return metrics_of(self._run)

    def gradients(self, mode: str | None = None) -> Gradients:
        """Return how large activations, gradients, weights and updates of each layer were.

        Args:
            mode: the mode; it may be left out if the run has only one.

        Raises:
            UsageError: there is no such mode, or the run has not recorded them: its config needs
                `train.record: gradients`.

        """
        mode = one_of("mode", mode, self.modes)
        found: dict[str, Gradients] = dict(gradients_of(self._run).items())
        if mode not in found:
            raise UsageError(
                "gradients: this run has not recorded them; train.record: gradients does"
            )
        return found[mode]

    def data(self) -> Dataset:
        """Return the samples of all seeds, stacked, as the run has drawn and normalised them.

        So that other methods can be tried on the same ones. They are drawn again.

        Raises:
            DataError: a data file is gone.
            ArtefactError: it is no longer the one that the run was trained on.

        """
        return data_of(self._run, self.config)

    # -------------------------------------------------------------------------- the networks

    def network(self, seed: int | None = None, *, mode: str | None = None) -> nn.Network:
        """Return the trained network of one seed, on the CPU, as a single network without a stack.

        The network takes normalised inputs; `run.inputs(x, seed)` makes them.

        Args:
            seed: the seed; it may be left out if the run has only one.
            mode: the mode; it may be left out if the run has only one.

        """
        networks = self._networks(mode, one_of("seed", seed, self.seeds))
        network = networks.network
        values = [value[0].clone() for _, value, _ in network.parameters()]
        states = [value[0].clone() for _, value in network.states()]
        return network.with_parameters(values, states).eval()

    def inputs(self, x: New, seed: int | None = None) -> Tensor:
        """Return samples `(n, features)` in the data's units, normalised for a seed's network."""
        networks = self._networks(self.modes[0], one_of("seed", seed, self.seeds))
        return networks.normal(samples("inputs", x, networks))[0]

    def predict(self, x: New, seed: int | None = None, *, mode: str | None = None) -> Prediction:
        """Predict the classes of new samples, as `minifw predict` does.

        Args:
            x: samples in the data's units: `(n, features)`, features in the order of the run;
                columns by their names, as a DataFrame has them; or the path of a file. Where the
                run fills gaps, some values may be missing, and words are those of its columns.
            seed: use only the network of this seed; without it all seeds vote.
            mode: the mode; it may be left out if the run has only one.

        Raises:
            DataError: `x` has the wrong shape, or holds a value that is not a finite number.
            UsageError: there is no such seed or mode, or all networks asked for diverged.

        """
        networks = self._networks(mode, seed)
        if networks.about.targets:
            raise UsageError("predict: this run is a regression; run.estimate(x) gives its numbers")
        answer = prediction.predict(networks, samples("predict", x, networks))
        names = np.array(networks.about.classes)
        return Prediction(
            names[answer.chosen],
            answer.votes,
            answer.scores,
            answer.spread,
            names[answer.each],
            tuple(networks.about.classes),
            tuple(networks.seeds),
        )

    def estimate(self, x: New, seed: int | None = None, *, mode: str | None = None) -> Estimate:
        """Predict the numbers of new samples by regression, as `minifw predict` does.

        Args:
            x: samples in the data's units: `(n, features)`, features in the order of the run;
                columns by their names, as a DataFrame has them; or the path of a file. Where the
                run fills gaps, some values may be missing, and words are those of its columns.
            seed: use only the network of this seed; without it the mean of all is taken.
            mode: the mode; it may be left out if the run has only one.

        Raises:
            DataError: `x` has the wrong shape, or holds a value that is not a finite number.
            UsageError: there is no such seed or mode, all networks asked for diverged, or the run
                has classes.

        """
        networks = self._networks(mode, seed)
        if not networks.about.targets:
            raise UsageError("estimate: this run has classes; run.predict(x) names them")
        found = estimates.predict(networks, samples("estimate", x, networks))
        names, seeds = tuple(networks.about.targets), tuple(networks.seeds)
        return Estimate(found.values, found.spread, found.each, names, seeds)

    def export(
        self,
        path: str | os.PathLike[str] | None = None,
        format: str | None = None,  # noqa: A002, as the command calls it
        seed: int | None = None,
        *,
        all_seeds: bool = False,
        mode: str | None = None,
    ) -> Path:
        """Write a trained network for other programs, as `minifw export` does; return the file.

        Args:
            path: the file; by default the run's name, in the working directory.
            format: "torch", "torch-code", "safetensors", "npz", "onnx" or "c"; by default that of
                the file's ending, or "torch".
            seed: the seed; by default the one whose test error is nearest to the median.
            all_seeds: all networks in one file, `(seeds, …)`; of safetensors and npz.
            mode: the mode; it may be left out if the run has only one.

        Raises:
            UsageError: there is no such format, seed or mode, the seed diverged, or the format
                cannot hold the network.
            CheckError: onnxruntime does not predict what minifw does.

        """
        if format is not None and not isinstance(format, str):
            raise UsageError(f"format: must be text, got {format!r}")
        if seed is not None:
            seed = one_of("seed", seed, self.seeds)
        written, _ = exporting.export(
            self._run,
            None if path is None else path_of("path", path),
            format,
            seed=seed,
            all_seeds=all_seeds,
            mode=one_of("mode", mode, self.modes),
            allow_code=self._allow_code,
        )
        return written

    def _networks(self, mode: str | None, seed: int | None) -> prediction.Networks:
        mode = one_of("mode", mode, self.modes)
        if seed is not None:
            seed = one_of("seed", seed, self.seeds)
        return prediction.load(self._run, mode, seed, allow_code=self._allow_code)

    # -------------------------------------------------------------------- figures and tables

    def figure(self, name: str) -> Figure:
        """Draw a figure of the run.

        They are "errors"; "gradients" if they were recorded; "decision" if the data has two
        features; "confusion" and, if outputs are probabilities, "calibration" of classification;
        "predicted" of regression.

        Raises:
            UsageError: there is no figure of this name.

        """
        drawings = plots.drawings(self._run)
        if not isinstance(name, str) or name not in drawings:
            raise UsageError(f"figure: must be one of {', '.join(drawings)}, got {name!r}")
        with plots.defaults():
            figure = drawings[name]()

        def picture() -> bytes:
            with plots.defaults():
                return plots.png(figure, dpi=100)

        # A notebook that has not been told of matplotlib asks for this.
        vars(figure)["_repr_png_"] = picture
        return figure

    @cached_property
    def tables(self) -> dict[str, Table]:
        """The run's tables by name; each has `rows`, `markdown()`, `csv()`, `latex()`, `json()`.

        `table1` has the errors in full-batch mode, `table2` those in SGD, `table3` the times,
        `table4` what else was measured of the test samples; a run has those of its own modes.
        """
        return tables.of_results(self._run.results())

    def report(self, path: str | os.PathLike[str] | None = None) -> Path:
        """Make one page of the run, as `minifw report` does, and return where it is.

        Args:
            path: the HTML file; by default `report.html` in the run's directory.

        Raises:
            StorageError: it could not be written.

        """
        from minifw.page import writing  # templates, which few programs need

        out = None if path is None else path_of("report", path)
        return writing.write_report([self.path], out, self._allow_code)

    def __repr__(self) -> str:
        modes = ", ".join(self.modes)
        seeds = f"{len(self.seeds)} seed{'' if len(self.seeds) == 1 else 's'}"
        return f"<Run {self.path}: {self.status}, {seeds}, {modes}>"
