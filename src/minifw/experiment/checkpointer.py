"""How far each part of a run is: kept in the run directory as it goes, and found there again."""

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

CLOCKS = ("seconds", "evaluation_seconds", "compiled")
"""What the manifest holds of a history, so that equal trainings give equal checkpoints."""


SHARE = 0.02
"""How much of the time keeping may take; a short training needs no checkpoint every 20 ms."""


class NoCheckpoints:
    """Keeps nothing: for a training that belongs to no run."""

    @property
    def where(self) -> str:
        """The path of the last checkpoint, for messages."""
        return ""

    def load(self) -> Checkpoint | None:
        """Read the last checkpoint, None if there is none."""
        return None

    def check(self) -> None:
        """Raise Interrupted if a signal asked for it; from now on, signals wait for this."""

    def offer(self, due: bool, done: int, make: Callable[[], Checkpoint]) -> None:
        """Keep a checkpoint if one is due or the run is to end; `done` counts epochs or seeds."""


NONE = NoCheckpoints()


class Checkpointer(NoCheckpoints):
    """Keeps how far one part of a run is, and gives it back when the run goes on.

    Checkpoints are written in a thread of their own, so that training does not wait for the disk.
    One that comes due while the one before is being written, or so soon after it that keeping
    would take a large SHARE of the time, is left out. The manifest names the newest; only then is
    the one before deleted.
    """

    def __init__(self, run: Run, part: PartName, stop: Stop) -> None:
        self.run, self.part, self.stop = run, part, stop
        self._thread = ThreadPoolExecutor(1)
        self._writing: Future[None] | None = None
        self._not_before = 0.0  # on the clock of time.monotonic

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
            self.wait()  # a full disk is to be known now, not when training ends
        if self.stop.asked is not None:
            self.wait()
            self._publish(make(), self.part.file(at=done))
        elif due and time.monotonic() >= self._not_before:
            self._not_before = math.inf  # until it is written
            self._writing = self._thread.submit(self._publish, make(), self.part.file(at=done))
        self.check()

    def wait(self) -> None:
        """Wait for what is being written, and raise what went wrong with it."""
        if self._writing is not None:
            writing, self._writing = self._writing, None
            writing.result()

    def finish(self, checkpoint: Checkpoint) -> None:
        """Keep the last checkpoint of the part."""
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
