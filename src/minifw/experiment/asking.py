"""New samples for the networks of a run, out of a user's file."""

from __future__ import annotations

from pathlib import Path

from minifw.data import archived, frames, idx
from minifw.data.asked import Asked, asked_of
from minifw.experiment.prediction import Networks


def read(path: Path, networks: Networks) -> Asked:
    """Return the samples of a file that has the columns, or the array, of a run's inputs.

    Raises:
        DataError: with the place of all faults, or all columns that are missing.

    """
    about = networks.about
    if idx.is_idx(path):
        return idx.ask_idx(path, about.features)
    if archived.is_archive(path):
        names = [column.name for column in about.coded.columns]
        frame = archived.ask_npz(path, names, about.target, about.targets)
    else:
        frame = frames.read_frame(path, networks.dialect)
    return asked_of(frame, about.coded, about.target, about.targets, about.unnamed)
