"""The measurements of a run over the epochs, as arrays."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from minifw.errors import ArtefactError
from minifw.report.bands import WORDS, Curve, Floats, quartiles
from minifw.runs import Arm, Mode, Run, records

Mask = NDArray[np.bool_]

METRICS = "metrics.jsonl"
OF_STUDY = "metrics.csv"


@dataclass(frozen=True, eq=False)
class Series:
    """Measurements of one arm: `epochs` `(k,)`, and by name `(k, seeds)`, NaN if it diverged."""

    epochs: Floats
    of: Mapping[str, Floats] = field(default_factory=dict)

    def curve(self, kind: str, left: Mask) -> Curve:
        """Return the quartiles of an error over the seeds that are `left`, a mask."""
        return quartiles(self.epochs, self.of[kind][:, left])

    @property
    def kinds(self) -> list[str]:
        """The errors that there are."""
        return [kind for kind in WORDS if kind in self.of]


def of_run(run: Run) -> dict[tuple[Mode, Arm], Series]:
    """Return the measurements of each arm in each mode.

    Raises:
        ArtefactError: the file is missing, damaged, or not minifw's.

    """
    where, seeds = f"{run.path}/{METRICS}", len(run.manifest.seeds)
    lines: dict[tuple[Mode, Arm], list[Mapping[str, list[float | None]]]] = {}
    for number, text in enumerate(run.read_text(METRICS).splitlines(), 1):
        line = records.parse(text.encode(), f"{where}:{number}")
        try:
            lines.setdefault((line["mode"], line["arm"]), []).append(line)
        except (TypeError, KeyError):
            raise ArtefactError(f"{where}:{number}: must have a mode and an arm") from None
    found = {}
    for key, own in lines.items():
        try:
            epochs = np.array([line["epoch"] for line in own], np.float64)
            arrays = {
                kind: np.array([line[kind] for line in own], np.float64)
                for kind in WORDS
                if all(kind in line for line in own)
            }
        except (KeyError, TypeError, ValueError):
            raise ArtefactError(f"{where}: must hold numbers, one a seed") from None
        if any(array.shape != (len(own), seeds) for array in arrays.values()):
            raise ArtefactError(f"{where}: must hold {seeds} numbers, one a seed")
        found[key] = Series(epochs, arrays)
    return found


def of_cells(run: Run, seeds: int) -> dict[int, Series]:
    """Return the measurements of each cell of a study, by its number; nothing if it has none.

    Raises:
        ArtefactError: the file is damaged, or not minifw's.

    """
    if OF_STUDY not in run.known:
        return {}
    numbers: dict[int, dict[str, dict[int, list[float]]]] = {}
    try:
        for row in csv.DictReader(io.StringIO(run.read_text(OF_STUDY))):
            if row["metric"] in WORDS:
                of_cell = numbers.setdefault(int(row["cell"]), {}).setdefault(row["metric"], {})
                of_cell.setdefault(int(row["epoch"]), []).append(float(row["value"] or "nan"))
    except (KeyError, ValueError):
        raise ArtefactError(f"{run.path}/{OF_STUDY}: is not what minifw writes") from None
    found = {}
    for cell, of_kind in numbers.items():
        epochs = sorted(next(iter(of_kind.values())))
        arrays = {
            kind: np.array([of_epoch[epoch] for epoch in epochs], np.float64)
            for kind, of_epoch in of_kind.items()
            if sorted(of_epoch) == epochs and all(len(v) == seeds for v in of_epoch.values())
        }
        if arrays:
            found[cell] = Series(np.array(epochs, np.float64), arrays)
    return found
