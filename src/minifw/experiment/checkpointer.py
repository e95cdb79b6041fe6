"""Saves the progress of each part of a run in its directory, and restores it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Self

from minifw.runs import Run
from minifw.runs.records import PartName, PartRecord
from minifw.system.signals import Stop
from minifw.training import Checkpoint

CLOCKS = ("seconds", "evaluation_seconds", "compiled", "not_compiled")
"""Values of a history that the manifest holds, so that equal trainings give equal checkpoints."""


SHARE = 0.02
"""The fraction of the time that checkpoints may take."""


class NoCheckpoints:
    """Saves nothing, for a training outside of a run."""

    @property
    def where(self) -> str:
        """The path of the last checkpoint, for messages."""
        return ""

    def load(self) -> Checkpoint | None:
        """Read the last checkpoint, None if there is none."""
        return None

    def check(self) -> None:
        """Raise Interrupted if a signal came; from now on, signals wait for this call."""

    def offer(self, due: bool, done: int, make: Callable[[], Checkpoint]) -> None:
        """Save a checkpoint if one is due or a signal came; `done` counts epochs or seeds."""


NONE = NoCheckpoints()


class Checkpointer(NoCheckpoints):
    """Saves the progress of one part of a run, and restores it when the run is resumed.

    Checkpoints are written in their own thread, so that training does not wait for the disk. A
    checkpoint is left out if the previous one is still being written, or if checkpoints would take
    more than SHARE of the time. The previous one is deleted when the manifest names the new one.
    """

    def __init__(self, run: Run, part: PartName, stop: Stop) -> None:
        self.run, self.part, self.stop = run, part, stop
        self._thread = ThreadPoolExecutor(1)
        self._writing: Future[None] | None = None
        self._not_before = 0.0  # a time of time.monotonic

    @property
    def _record(self) -> PartRecord | None:
        return self.run.manifest.parts.get(str(self.part))

    @property
    def where(self) -> str:
        record = self._record
        return "" if record is None else str(self.run.path / record.file)

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do for this part."""
        return self._record is not None and self._record.finished

    def load(self) -> Checkpoint | None:
        record = self._record
        if record is None:
            return None
        checkpoint = Checkpoint.from_bytes(self.run.read(record.file), self.where)
        for name in CLOCKS:
            setattr(checkpoint.history, name, getattr(record, name))
        return checkpoint

    def check(self) -> None:
        self.stop.patient = True
        self.stop.check()

    def offer(self, due: bool, done: int, make: Callable[[], Checkpoint]) -> None:
        if self._writing is not None and self._writing.done():
            self.wait()  # report a full disk now, not when training ends
        if self.stop.asked is not None:
            self.wait()
            self._publish(make(), self.part.file(at=done))
        elif due and time.monotonic() >= self._not_before:
            self._not_before = math.inf  # until it is written
            self._writing = self._thread.submit(self._publish, make(), self.part.file(at=done))
        self.check()

    def wait(self) -> None:
        """Wait for the checkpoint that is being written, and raise its error."""
        if self._writing is not None:
            writing, self._writing = self._writing, None
            writing.result()

    def finish(self, checkpoint: Checkpoint) -> None:
        """Save the last checkpoint of the part."""
        self.wait()
        self._publish(checkpoint, self.part.file(), finished=True)
        self.stop.patient = False
        self.stop.check()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._thread.shutdown()

    def _publish(self, checkpoint: Checkpoint, file: str, finished: bool = False) -> None:
        started = time.monotonic()
        before = self._record
        self.run.write(file, checkpoint.to_bytes())
        manifest = self.run.manifest
        superseded = None if before is None or before.file == file else before.file
        if superseded is not None:
            del manifest.files[superseded]
        manifest.parts[str(self.part)] = PartRecord(
            file=file,
            epoch=checkpoint.history.epoch,
            finished=finished,
            **{clock: getattr(checkpoint.history, clock) for clock in CLOCKS},
        )
        self.run.commit()
        if superseded is not None:
            self.run.remove(superseded)
        ended = time.monotonic()
        self._not_before = ended + (ended - started) / SHARE
