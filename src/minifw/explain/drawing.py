"""A network's picture as text: lanes of values from top to bottom, and a line for each layer."""

from __future__ import annotations

from collections import Counter

from minifw.errors import harmless
from minifw.explain.sketch import Node, Sketch

WIDTH = 78
"""Columns of a picture."""


def text(picture: Sketch) -> str:
    """Return the picture as lines of at most `WIDTH` columns, unless there are very many lanes."""
    lines = drawn(picture)
    lanes = max(len(graph) for graph, _ in lines) + 2
    titles = [harmless(node.title) for node in picture.nodes]
    shapes = max(6, *(len(node.shape) for node in picture.nodes))
    losses = [f"  → {harmless(node.loss)}" if node.loss else "" for node in picture.nodes]
    room = max(12, WIDTH - lanes - shapes - 14 - max(map(len, losses)))
    wide = max(5, *(min(room, len(title)) for title in titles))
    head = f"{'':{lanes}}{'layer':{wide}}  {'output':>{shapes}}  {'parameters':>10}"
    found = [head]
    for graph, node in lines:
        if node is None:
            found.append(graph)
            continue
        place = picture.nodes.index(node)
        title = titles[place] if len(titles[place]) <= wide else f"{titles[place][: wide - 1]}…"
        count = f"{node.parameters:,}" if node.parameters else ""
        row = f"{graph:{lanes}}{title:{wide}}  {node.shape:>{shapes}}  {count:>10}{losses[place]}"
        found.append(row.rstrip())
    return "\n".join(found)


def drawn(picture: Sketch) -> list[tuple[str, Node | None]]:
    """Return the picture as lines of text: the lanes, and the node that stands on the line.

    Each node has a line of its own, in their order; lanes that join or part have one between.
    """
    left = Counter(value for node in picture.nodes for value in node.takes)
    live: dict[int, int] = {}  # lane of each value that is still to be taken
    lines: list[tuple[str, Node | None]] = []
    for node in picture.nodes:
        given = [live[value] for value in node.takes]
        for value in node.takes:
            left[value] -= 1
        after = {value: lane for value, lane in live.items() if left[value] > 0}
        if any(lane != node.lane for lane in given):
            lines.append((_joint({*live.values()}, {*after.values()}, {*given}, node.lane), None))
        live = {**after, node.value: node.lane}
        lines.append((_line({*live.values()}, node), node))
        if not left[node.value]:
            del live[node.value]
    return lines


_SIGNS = {
    "d": "╷", "u": "╵", "ud": "│", "lr": "─", "ur": "╰", "ul": "╯", "dr": "╭", "dl": "╮",
    "udr": "├", "udl": "┤", "dlr": "┬", "ulr": "┴", "udlr": "┼",
}  # fmt: skip
"""A sign for the sides that its lines reach: up, down, left, right."""


def _joint(before: set[int], after: set[int], given: set[int], to: int) -> str:
    """Return the line where lanes `given` lead to the lane of a node."""
    first, last = min(given | {to}), max(given | {to})
    text = ""
    for lane in range(max(before | after | {to}) + 1):
        own = lane in given or lane == to
        across = first < lane < last
        sides = "u" if lane in before else ""
        sides += "d" if lane in after or lane == to else ""
        if own:
            sides += "l" * (lane > first) + "r" * (lane < last)
        elif across and not sides:
            sides = "lr"
        sign = _SIGNS.get(sides, " ")  # a lane that is crossed goes on above the crossing one
        text += sign + ("─" if first <= lane < last else " ")
    return text.rstrip()


def _line(live: set[int], node: Node) -> str:
    """Return the line of a node."""
    mark = "⋮" if node.folded else "●"
    lanes = range(max(live) + 1)
    return " ".join(mark if k == node.lane else "│" if k in live else " " for k in lanes)
