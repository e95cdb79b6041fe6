"""The results of a study by cell, and all measurements in lines."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from minifw.experiment.results import about, layer_name
from minifw.experiment.scoring import numbers
from minifw.runs import Run
from minifw.runs.results import of_measure
from minifw.runs.studies import CellResults, StudyResults
from minifw.study.jobs import Result
from minifw.study.lanes import Lane
from minifw.study.planning import Plan
from minifw.study.rounds import Found


def _by_cell(plan: Plan) -> Iterator[tuple[int, list[Lane]]]:
    for cell, lanes in itertools.groupby(plan.lanes, lambda lane: lane.cell):
        yield cell, list(lanes)


def results(plan: Plan, found: Found) -> StudyResults:
    """Return loss and errors of every lane by cell, at the end of its training."""
    cells = []
    folds = {cell: shape.cross_validation for shape in plan.shapes for cell in shape.cells}
    for cell, lanes in _by_cell(plan):
        config, own = plan.configs[cell], plan.study.cells[cell]
        places = [found.of(lane) for lane in lanes]

        def last(series: str, places: list[tuple[Result, int]] = places) -> list[float | None]:
            return numbers([r.history.final(series)[position] for r, position in places])

        first = places[0][0].history
        validation = last("validation_error") if first.validation_error else None
        stopped = [int(r.history.stopped[position]) for r, position in places]
        best = [int(r.history.best_epoch[position]) for r, position in places]
        gone = [int(r.history.diverged[position]) for r, position in places]
        layers = [int(r.history.diverged_layer[position]) for r, position in places]
        cells.append(
            CellResults(
                number=cell,
                name=own.name,
                set=own.set,
                seeds=[lane.data for lane in lanes],
                epochs=places[0][0].until,
                test_error=last("test_error"),
                validation_error=validation,
                train_error=last("train_error"),
                train_loss=last("train_loss"),
                diverged_epoch=_epochs(gone),
                diverged_layer=[layer_name(config, layer) for layer in layers],
                compiled=first.compiled,
                not_compiled=first.not_compiled,
                stopped_epoch=_epochs(stopped) if first.stops_early else None,
                best_epoch=best if first.stops_early else None,
                cross_validation=folds[cell],
            )
        )
    base, shape = plan.configs[0], plan.shapes[0]
    return StudyResults(
        kind=plan.study.kind,
        name=base.name,
        about=about(base, len(shape.features)),
        dtype=base.dtype,
        cells=cells,
        seconds=sum(result.history.seconds for result in found.results.values()),
        **of_measure(shape.measure),
    )


def _epochs(known: list[int]) -> list[int | None]:
    """Return epochs, with None for -1."""
    return [None if epoch < 0 else epoch for epoch in known]


METRICS = (
    "train_loss",
    "train_error",
    "validation_error",
    "test_error",
    "test_loss",
    "validation_loss",
)


def metrics(run: Run, plan: Plan, found: Found) -> Iterator[str]:
    """Yield the lines of metrics.csv: run, cell, seed, epoch, metric, value.

    Where seeds are crossed, `seed` is that of the data, and those of the initial weights and of the
    order follow it.
    """
    crossed = plan.study.crossing is not None
    yield f"run,cell,seed,{'init,order,' * crossed}epoch,metric,value\n"
    for cell, lanes in _by_cell(plan):
        for lane in lanes:
            result, position = found.of(lane)
            history, every = result.history, plan.configs[cell].train.eval_every
            measured = {epoch: place for place, epoch in enumerate(history.epochs)}
            seeds = f"{lane.data},{lane.init},{lane.order}" if crossed else f"{lane.data}"
            stopped = history.stopped[position] >= 0
            for metric in METRICS:
                values = getattr(history, metric)
                # Where a job has ended since all its networks diverged or stopped, others would
                # have gone on.
                after = history.final(metric)[position] if values and stopped else np.nan
                for epoch in [*range(0, result.until, every), result.until] if values else []:
                    place = measured.get(epoch, len(values))
                    value = values[place][position] if place < len(values) else after
                    shown = repr(float(value)) if np.isfinite(value) else ""
                    yield f"{run.path.name},{cell},{seeds},{epoch},{metric},{shown}\n"
