"""Jobs: lanes of one structure to be trained, as plain data, and the function that trains them.

A job may run anywhere and any number of times: it returns the same bytes, but for its times.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import BaseModel, ConfigDict, Field

from minifw.config import altered, loading
from minifw.config.code import Code
from minifw.config.model import Config
from minifw.config.tabled import Tabled
from minifw.errors import ArtefactError
from minifw.experiment import memory
from minifw.experiment.build import build_stopping, names, outputs, read_table
from minifw.experiment.checkpointer import CLOCKS
from minifw.experiment.drawing import samples_of
from minifw.study.lanes import Lane, stack
from minifw.system.files import checksum
from minifw.training import Checkpoint, History
from minifw.training.fit import fit
from minifw.training.placement import Compiling
from minifw.training.rates import over


class Job(BaseModel):
    """Some lanes of one structure, trained up to an epoch.

    Attributes:
        id: its name, a part of a file's name.
        cells: the config of each cell, as YAML.
        lanes: cell, and seeds of data, initial weights and order, of each network.
        vectors: keys of the optimiser that differ between the cells of the study.
        epochs: where training ends, at most that of the configs.
        compiled: whether steps are compiled, as in the cell's own run.
        or_plain: whether they are plain if they cannot be compiled.
        validation: whether generated data have more samples for validation, unless the config
            keeps some.
        start: jobs from which it continues, each with the positions of its lanes.
        keeps: whether another job continues from this one, which needs the whole state.
        code: the user's Python files that the configs name.
        checksum: that of the data file.

    """

    model_config = ConfigDict(
        strict=True, extra="forbid", frozen=True, ser_json_bytes="base64", val_json_bytes="base64"
    )

    id: Annotated[str, Field(pattern="^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$")]
    cells: dict[int, str]
    lanes: Annotated[tuple[tuple[int, int, int, int], ...], Field(min_length=1)]
    vectors: tuple[str, ...] = ()
    epochs: int
    compiled: bool
    or_plain: bool = False
    validation: bool = False
    start: tuple[tuple[str, tuple[int, ...]], ...] = ()
    keeps: bool = False
    code: dict[str, bytes] = {}
    checksum: str | None = None

    @property
    def all_lanes(self) -> list[Lane]:
        """Its lanes, in their order."""
        return [Lane(*lane) for lane in self.lanes]

    def gave(self, result: Result) -> bool:
        """Return whether a stored result, also of its unfinished training, is that of this job."""
        same = result.about["asked"] == self.digest
        return same and len(result.history.diverged) == len(self.lanes)

    @property
    def digest(self) -> str:
        """The checksum of what its networks follow from; it does not depend on who does the job."""
        asked = self.model_dump_json(
            include={"cells", "lanes", "epochs", "validation", "code", "checksum"}
        )
        return checksum(asked.encode())


Place = tuple[str, int]
"""Where a lane's result is: the name of a job, and the position in its stack."""


def grouped(places: Sequence[Place]) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """Return places as runs of positions in the same job, as `Job.start` has them."""
    runs = itertools.groupby(places, lambda place: place[0])
    return tuple((name, tuple(position for _, position in some)) for name, some in runs)


class _About(BaseModel):
    """What stands before the checkpoint in the bytes of a result, which may come from anybody."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)

    id: str
    asked: str
    lanes: list[Annotated[list[int], Field(min_length=4, max_length=4)]]
    until: int
    seconds: float
    evaluation_seconds: float
    compiled: bool | None
    not_compiled: str | None


@dataclass(frozen=True)
class Result:
    """What a job returns: history and, if asked for, the state; and how it went."""

    checkpoint: Checkpoint
    about: dict[str, Any]

    @property
    def history(self) -> History:
        return self.checkpoint.history

    @property
    def until(self) -> int:
        """The epoch in which its training ends, even if all its networks diverged before."""
        return int(self.about["until"])

    def to_bytes(self) -> bytes:
        """Return the content of a file."""
        return json.dumps(self.about).encode() + b"\n" + self.checkpoint.to_bytes()

    @classmethod
    def from_bytes(cls, content: bytes, where: str) -> Result:
        """Return the result in these bytes; `where` is their source, for messages."""
        head, _, rest = content.partition(b"\n")
        try:
            _About.model_validate_json(head)
            about = json.loads(head)
        except ValueError:
            raise ArtefactError(f"{where}: not the result of a job") from None
        result = cls(Checkpoint.from_bytes(rest, where), about)
        for name in CLOCKS:
            setattr(result.history, name, about[name])
        return result

    def of(self, positions: Sequence[int]) -> Result:
        """Return the result for some of the lanes."""
        return Result(self.checkpoint.lanes(positions), self.about)

    @classmethod
    def joined(cls, parts: Sequence[Result]) -> Result:
        """Return the results of several stacks as that of one, from which a job continues.

        Its clocks stand at 0: a job has its own time only.
        """
        joined = cls(Checkpoint.joined([part.checkpoint for part in parts]), dict(parts[0].about))
        for clock in ("seconds", "evaluation_seconds"):
            joined.about[clock] = 0.0
            setattr(joined.history, clock, 0.0)
        return joined


class Watch:
    """Follows a job from outside. This one does nothing."""

    def load(self) -> Result | None:
        """Return what an interrupted run of the job has left, None if there is nothing."""
        return None

    def epoch(self, done: int, history: History, make: Callable[[], Result]) -> None:
        """Be told after each epoch; `make` returns the present state, to be saved."""


NOBODY = Watch()


def run(job: Job, results: Mapping[str, Result], watch: Watch = NOBODY) -> Result:
    """Train the lanes of a job on torch's present number of threads.

    Args:
        job: what to train.
        results: those of the jobs in `job.start`.
        watch: is told after each epoch.

    """
    lanes = job.all_lanes
    configs = {cell: _config(text, job) for cell, text in job.cells.items()}
    tables = _tables(configs, job.checksum)
    made = stack(lanes, configs, tables, job.vectors, validation=job.validation)
    config = configs[lanes[0].cell]
    begun = watch.load() or _begun(job, results)
    history = None
    if begun is not None:
        state = begun.checkpoint
        history = state.restore(made.network, made.optimizer, made.order, job.id)
        for name in CLOCKS:
            setattr(history, name, getattr(begun.history, name))

    asked = job.digest

    def result(history: History, whole: bool = True) -> Result:
        state = Checkpoint.of(made.network, history, made.optimizer, made.order)
        if not whole:
            state = Checkpoint({}, replace(state.history, best={}, last={}))
        about = {"id": job.id, "asked": asked, "lanes": job.lanes, "until": job.epochs}
        return Result(state, about | {name: getattr(history, name) for name in CLOCKS})

    sizes = _sizes(config, len(lanes), tables[lanes[0].cell], job.validation)
    history = fit(
        made.network,
        made.loss,
        made.optimizer,
        made.data,
        epochs=job.epochs,
        eta=made.eta if len(set(made.eta)) > 1 else made.eta[0],
        rates=over(config.train.schedule.make(), config.train.epochs),
        batch_size=config.train.batch_size if config.train.mode == "sgd" else None,
        next_order=made.order,
        eval_every=config.train.eval_every,
        on_epoch=lambda epoch, history: watch.epoch(epoch, history, lambda: result(history)),
        schedule=sizes.schedule(len(lanes), Compiling(job.compiled, job.or_plain)),
        history=history,
        stopping=build_stopping(config),
    )
    return result(history, job.keeps)


def _config(text: str, job: Job) -> Config:
    code = Code(bool(job.code), job.code.get)
    return loading.of_run(text, Path(f"{job.id}.yaml"), code)


def _tables(configs: Mapping[int, Config], checksum: str | None) -> dict[int, Any]:
    """Return the table of each cell, read once for all cells that read it alike."""
    known: dict[str, Any] = {}
    tables: dict[int, Any] = {}
    for cell, config in configs.items():
        tables[cell] = None
        if isinstance(config.data, Tabled):
            key = config.data.model_dump_json(exclude={*altered.KEYS})
            if key not in known:
                known[key] = read_table(config.data, checksum)
            tables[cell] = known[key]
    return tables


def _sizes(config: Config, lanes: int, table: Any, extra: bool) -> memory.Sizes:
    """Return the sizes of a stack of this many lanes."""
    features, classes = len(names(config, table)[0]), outputs(config, table)
    train, test, validation = samples_of(config, table)
    if extra and not validation and table is None:
        validation = test
    threads = torch.get_num_threads() if config.device == "cpu" else 1
    mode = config.train.mode
    return memory.sizes(
        config,
        mode,
        lanes,
        features,
        classes,
        train,
        test,
        validation=validation,
        threads=threads,
        encoded=table is not None and table.encoding is not None,
    )


def _begun(job: Job, results: Mapping[str, Result]) -> Result | None:
    """Return the state from which a job continues, put together from those of earlier jobs."""
    if not job.start:
        return None
    parts = [results[name].of(positions) for name, positions in job.start]
    return Result.joined(parts)
