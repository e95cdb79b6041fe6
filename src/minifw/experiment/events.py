"""Event files for TensorBoard, in RUN/tensorboard, with `train.tensorboard: true`.

TensorBoard shows each folder as a curve of its own: of each arm and mode `median`, `lower-quartile`
and `upper-quartile` over the seeds that have not diverged, and each of the first SEEDS seeds; as
minifw-sgd/median, with the names of metrics.jsonl. They are written while minifw trains, and anew
from all that was measured when the run is over: then the manifest has their checksums. A run that
is resumed begins them again, so no step is there twice.

They are an extra: if they cannot be written, there is a message, and the run goes on without.
"""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from minifw.data import Floats
from minifw.errors import MinifwError, harmless, one_line
from minifw.experiment.arms import Follower, Progress
from minifw.experiment.results import Trained
from minifw.runs import Run
from minifw.runs.records import PartName
from minifw.system import files
from minifw.training import History

FOLDER = "tensorboard"
NAME = "events.out.tfevents.1.minifw"
"""TensorBoard knows its files by the second and third word; others than ours have a later time."""
SEEDS = 20
"""Seeds with a folder of their own, the first ones."""
PAUSE = 2.0
"""Seconds between two writings while training goes on; TensorBoard looks every few seconds."""
BANDS = {"lower-quartile": 25, "median": 50, "upper-quartile": 75}

Times = dict[int, float]
"""By epoch, when it was evaluated, in seconds since 1970."""


class Events:
    """The event files of a run; does nothing unless its config wants them."""

    def __init__(self, run: Run, wanted: bool) -> None:
        self.run, self.wanted = run, wanted
        self._times: dict[str, Times] = {}

    def watching(self, part: PartName, seeds: Sequence[int], progress: Progress) -> Progress:
        """Return a progress that also writes the event files of a part of the run."""
        if not self.wanted or part.arm != "minifw":  # PyTorch's seeds come one after another
            return progress
        return _Watching(self, part, seeds, progress)

    def finish(self, trained: Trained, seeds: Sequence[int]) -> None:
        """Write all files anew, from all that was measured, and give them checksums."""
        if not self.wanted:
            return
        for name in [name for name in self.run.known if name.startswith(f"{FOLDER}/")]:
            del self.run.known[name]
        with_groups = f"{FOLDER}/*.group-*/*/{NAME}"

        def write() -> None:
            for mode, arms in trained.items():
                for arm, checkpoint in arms.items():
                    history, part = checkpoint.history, PartName(arm, mode)
                    times = self._times.get(str(part), {})
                    for folder, values in _curves(history, seeds):
                        content = _encoded(history, values, 0, times, begin=True)
                        self.run.write(f"{FOLDER}/{part}/{folder}/{NAME}", content)
            for path in self.run.path.glob(with_groups):
                self.run.remove(str(path.relative_to(self.run.path)))

        self.attempt(write)

    def attempt(self, write: Callable[[], None]) -> None:
        """Write; if that is not possible, say so, and write no more."""
        try:
            write()
        except Exception as fault:  # a library or a disk may raise anything
            self.wanted = False
            why = fault.lines[0] if isinstance(fault, MinifwError) else str(fault)
            where = harmless(self.run.path / FOLDER)
            what = f"minifw: {where}: no event files: {why or type(fault).__name__}"
            print(one_line(what), file=sys.stderr)

    def begin(self, part: PartName, folder: str) -> Path:
        """Make an empty file, in place of one that an earlier process has left."""
        name = f"{FOLDER}/{part}/{folder}/{NAME}"
        path = self.run.path / name
        if path.is_file():
            files.read(self.run.path, name)  # which leads through no link
            path.write_bytes(b"")  # a TensorBoard that reads it goes on reading
        else:
            self.run.write(name, b"")
            del self.run.known[name]  # its checksum is known at the end
        return path

    def times(self, part: PartName) -> Times:
        """Return when a part was evaluated, to be completed."""
        return self._times.setdefault(str(part), {})


class _Watching:
    """Writes event files of a part while it is trained; shows its progress as without."""

    def __init__(
        self, events: Events, part: PartName, seeds: Sequence[int], progress: Progress
    ) -> None:
        self._events, self._part, self._seeds, self._progress = events, part, seeds, progress
        self._paths: dict[str, Path] = {}
        self._written = 0  # evaluations
        self._next = 0.0

    def __call__(self, done: int, text: str) -> None:
        self._progress(done, text)

    def follow(self, histories: Sequence[History]) -> None:
        if isinstance(self._progress, Follower):
            self._progress.follow(histories)
        (history,) = histories
        if not self._events.wanted or self._written == len(history.epochs):
            return
        times, now = self._events.times(self._part), time.time()
        for epoch in history.epochs[self._written :]:
            times.setdefault(epoch, now)
        if time.monotonic() >= self._next or history.all_ended:
            self._events.attempt(lambda: self._write(history, times))
            self._next = time.monotonic() + PAUSE

    def _write(self, history: History, times: Times) -> None:
        for folder, values in _curves(history, self._seeds, self._written):
            begin = folder not in self._paths
            if begin:
                self._paths[folder] = self._events.begin(self._part, folder)
            content = _encoded(history, values, self._written, times, begin=begin)
            with self._paths[folder].open("ab") as file:
                file.write(content)
        self._written = len(history.epochs)


def _curves(
    history: History, seeds: Sequence[int], first: int = 0
) -> Iterator[tuple[str, dict[str, Floats]]]:
    """Yield each folder, and by measurement the values of the evaluations from `first` on."""
    series = {name: np.stack(getattr(history, name)[first:]) for name in history.series}
    for folder, percent in BANDS.items():
        yield folder, {name: _quantile(values, percent) for name, values in series.items()}
    for k, seed in enumerate(seeds[:SEEDS]):
        yield f"seed-{seed}", {name: values[:, k] for name, values in series.items()}


def _quantile(values: Floats, percent: float) -> Floats:
    """Return a quantile over the seeds that have not diverged, NaN where all have."""
    left = [row[np.isfinite(row)] for row in values]
    return np.array([np.percentile(row, percent) if row.size else np.nan for row in left])


def _encoded(
    history: History, values: dict[str, Floats], first: int, times: Times, *, begin: bool
) -> bytes:
    """Return evaluations from `first` on as records; `begin`: with the head of a file."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.record_writer import RecordWriter

    file = io.BytesIO()
    records, now = RecordWriter(file), time.time()
    if begin:
        head = Event(wall_time=min([*times.values(), now]), file_version="brain.Event:2")
        records.write(head.SerializeToString())
    for row, epoch in enumerate(history.epochs[first:]):
        numbers = [
            Summary.Value(tag=name, simple_value=float(column[row]))
            for name, column in values.items()
            if np.isfinite(column[row])
        ]
        when = times.get(epoch, now)
        event = Event(wall_time=when, step=epoch, summary=Summary(value=numbers))
        records.write(event.SerializeToString())
    return file.getvalue()
