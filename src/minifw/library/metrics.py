"""The measurements of a run over the epochs, as arrays and as a DataFrame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from minifw import runs
from minifw.errors import ArtefactError, UsageError
from minifw.library.arguments import one_of
from minifw.runs import Arm, Mode, records
from minifw.runs.fields import Count
from minifw.training import SERIES, VALIDATION

if TYPE_CHECKING:
    import pandas

Number = Annotated[float, Field(allow_inf_nan=False)]


class _Line(BaseModel):
    """A line of metrics.jsonl."""

    model_config = ConfigDict(strict=True)

    mode: Mode
    arm: Arm
    epoch: Count
    train_loss: list[Number | None]
    train_error: list[Number | None]
    test_error: list[Number | None]
    test_loss: list[Number | None] | None = None
    validation_error: list[Number | None] | None = None
    validation_loss: list[Number | None] | None = None

    @property
    def series(self) -> tuple[str, ...]:
        """The names of its measurements."""
        known = (*SERIES, *VALIDATION)
        return tuple(name for name in known if getattr(self, name) is not None)


@dataclass(frozen=True)
class Metrics:
    """All measurements of a run: loss and errors over the epochs, for each mode, arm and seed."""

    seeds: tuple[int, ...]
    _lines: tuple[_Line, ...]

    def arrays(self, mode: str | None = None, arm: str = "minifw") -> dict[str, NDArray[Any]]:
        """Return the measurements of one arm in one mode as NumPy arrays.

        `epoch` is `(k,)`; `train_loss`, `train_error`, `test_error` and `test_loss` are
        `(k, seeds)`, with NaN after a seed has diverged; so are `validation_error` and
        `validation_loss`, where there are any. After a seed has stopped early, they are those of
        the weights that it kept. `mode` may be left out if the run has only one.

        Raises:
            UsageError: the run has several modes, or no such mode or arm.

        """
        modes = list(dict.fromkeys(line.mode for line in self._lines))
        arms = list(dict.fromkeys(line.arm for line in self._lines))
        mode = one_of("mode", mode, modes)
        arm = one_of("arm", arm, arms)
        lines = [line for line in self._lines if (line.mode, line.arm) == (mode, arm)]
        found: dict[str, NDArray[Any]] = {"epoch": np.array([line.epoch for line in lines])}
        for name in self._series:
            found[name] = np.array([getattr(line, name) for line in lines], np.float64)
        return found

    def frame(self) -> pandas.DataFrame:
        """Return all measurements as a pandas DataFrame, a row for each mode, arm, epoch and seed.

        Raises:
            UsageError: pandas is not installed.

        """
        try:
            import pandas
        except ImportError:
            raise UsageError(
                "metrics.frame: needs pandas, which is not installed: pip install pandas; "
                "metrics.arrays() needs only NumPy"
            ) from None
        seeds = len(self.seeds)
        columns: dict[str, Any] = {
            key: np.repeat([getattr(line, key) for line in self._lines], seeds)
            for key in ("mode", "arm", "epoch")
        }
        columns["seed"] = np.tile(np.array(self.seeds), len(self._lines))
        for name in self._series:
            values = [getattr(line, name) for line in self._lines]
            columns[name] = np.array(values, np.float64).reshape(-1)
        return pandas.DataFrame(columns)

    @property
    def _series(self) -> tuple[str, ...]:
        return self._lines[0].series if self._lines else SERIES


def metrics_of(run: runs.Run) -> Metrics:
    """Return all measurements of a run.

    Raises:
        ArtefactError: a line is damaged, or lacks a seed or a measurement that others have.

    """
    seeds = run.manifest.seeds
    where = f"{run.path}/metrics.jsonl"
    lines: list[_Line] = []
    for number, text in enumerate(run.read_text("metrics.jsonl").splitlines(), 1):
        place = f"{where}:{number}"
        line = records.checked(_Line, records.parse(text.encode(), place), place)
        if any(len(getattr(line, name)) != len(seeds) for name in line.series):
            raise ArtefactError(f"{place}: must hold {len(seeds)} numbers, one a seed")
        if lines and line.series != lines[0].series:
            raise ArtefactError(f"{place}: must have the same measurements as other lines")
        lines.append(line)
    return Metrics(tuple(seeds), tuple(lines))
