"""How the lanes of a round are divided into jobs when some of them are done already.

Into how many jobs a shape is divided depends on the workers and the free memory when it is begun.
A study that is resumed elsewhere keeps the division of those shapes of which results are stored.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from minifw.study.jobs import Job, grouped

_ID = re.compile(r"(?P<shape>.+)\.(?P<piece>[0-9]+)-of-(?P<count>[0-9]{1,9})")


def stored_counts(names: Iterable[str]) -> dict[str, int]:
    """Return into how many jobs the shapes are divided of which there are finished jobs.

    Where there are several divisions, the one of which most is done counts.
    """
    done = Counter((m["shape"], int(m["count"])) for m in map(_ID.fullmatch, names) if m)
    return {shape: count for (shape, count), _ in reversed(done.most_common())}


def as_stored(jobs: Sequence[Job], names: Iterable[str]) -> list[Job]:
    """Return these jobs, those of a shape divided as the finished jobs of these names are."""
    counts = stored_counts(names)
    shapes: dict[str, list[Job]] = {}
    for job in jobs:
        found = _ID.fullmatch(job.id)
        shapes.setdefault(found["shape"] if found else job.id, []).append(job)
    made: list[Job] = []
    for shape, own in shapes.items():
        lanes = sum(len(job.lanes) for job in own)
        count = min(counts.get(shape, len(own)), lanes)
        made += own if count == len(own) else _divided(shape, own, count)
    return made


def _divided(shape: str, jobs: Sequence[Job], count: int) -> Iterator[Job]:
    """Yield the lanes of these jobs in so many jobs, about equal ones."""
    cells = {cell: config for job in jobs for cell, config in job.cells.items()}
    lanes = [lane for job in jobs for lane in job.lanes]
    places = [
        (name, position) for job in jobs for name, some in job.start for position in some
    ]  # one for each lane, or none
    for piece in range(count):
        part = slice(piece * len(lanes) // count, (piece + 1) * len(lanes) // count)
        yield jobs[0].model_copy(
            update={
                "id": f"{shape}.{piece + 1}-of-{count}",
                "cells": {lane[0]: cells[lane[0]] for lane in lanes[part]},
                "lanes": tuple(lanes[part]),
                "start": grouped(places[part]),
            }
        )
