"""An explained step as a way through the code: each line of it, and the numbers that it makes."""

from __future__ import annotations

from collections.abc import Iterator

from minifw.explain import Explained, Moment, Numbers
from minifw.page.document import State, Steps
from minifw.report.tables import Table

ROWS, COLUMNS = 4, 5
"""How much of a tensor a state shows."""
TENSORS = 2
"""Tensors that a state shows."""


def steps_of(explained: Explained, name: str = "step") -> Steps:
    """Return the way forward and back through the code that a step executed.

    A class has its lines once, however many layers are of it; each state says which one it is.
    """
    return Steps(
        name,
        "Line by line",
        "The code that this step executed: forward through the layers, then back, then the update. "
        "Each line is shown with the numbers that it has just made; of a large tensor these are "
        "the first ones, of the first sample and channel.",
        explained.code,
        tuple(_state(explained, moment) for moment in explained.moments),
    )


def _state(explained: Explained, moment: Moment) -> State:
    where = {
        "forward": "Forward",
        "backward": "Back",
        "loss": f"The loss, {explained.cost.module}",
        "gradient of the loss": f"The gradient of the loss, {explained.cost.module}",
        "update": f"The update, {explained.optimizer}, η = {explained.eta:g}",
    }[moment.phase]
    if moment.layer is not None:
        where += f", {explained.layers[moment.layer].where}"
    hidden = moment.more + len(moment.made[TENSORS:])
    more = f", and {hidden} more" if hidden else ""
    names = " and ".join(map(_named, moment.made[:TENSORS]))
    return State(moment.line, f"{where}. It makes {names}{more}.", _table(moment))


def _named(numbers: Numbers) -> str:
    if not numbers.shape:
        return numbers.name
    return f"{numbers.name} ({'×'.join(map(str, numbers.shape))}, norm {numbers.norm:.4g})"


def _table(moment: Moment) -> Table:
    """Return the first numbers of what a line made; they are texts, since they are not all."""
    some = moment.made[:TENSORS]
    width = max(min(COLUMNS, len(numbers.rows[0])) for numbers in some)
    rows = [row for numbers in some for row in _rows(numbers, width, ROWS // len(some))]
    names = " and ".join(numbers.name for numbers in some)
    head = ("", *(str(column) for column in range(width)))
    return Table(f"The first numbers of {names}", head, rows)


def _rows(numbers: Numbers, width: int, most: int) -> Iterator[tuple[str, list[str]]]:
    for place, row in enumerate(numbers.rows[:most]):
        cells = [f"{value:.4g}" for value in row[:width]]
        index = f"[{place}]" if len(numbers.shape) > 1 else ""
        yield f"{numbers.name}{index}", cells + [""] * (width - len(cells))
