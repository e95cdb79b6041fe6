"""A network as inline SVG: a box for each layer, arrows for the values between them.

It has the classes of `charts.style` and no style of its own. Who cannot see it hears in `<desc>`
what each layer takes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from minifw.charts.layout import WIDTH
from minifw.charts.lettering import escaped, fitted, number
from minifw.explain import Node, Sketch
from minifw.page.document import Diagram

BOX, HIGH = 226.0, 34.0
"""Width and height of a box."""
ACROSS, DOWN = 252.0, 60.0
"""From one lane to the next, and from one row to the next."""
EDGE = 4.0
"""Free space around."""


def inline(piece: Diagram, identifier: str) -> str:
    """Return a diagram as an `<svg>` element; `identifier` is the page's only one."""
    own = re.sub(r"[^\w-]", "-", identifier) or "diagram"
    sketch = piece.sketch
    needed = (sketch.lanes - 1) * ACROSS + BOX + 2 * EDGE
    wide, high = max(WIDTH, needed), (sketch.rows - 1) * DOWN + HIGH + 2 * EDGE
    left = (wide - needed) / 2 + EDGE
    parts = [
        f'<title id="{own}-title">{escaped(piece.title)}</title>',
        f'<desc id="{own}-desc">{escaped(description(sketch))}</desc>',
        *(_arrow(sketch.node(value), node, left) for node in sketch.nodes for value in node.takes),
        *(_box(node, left) for node in sketch.nodes),
        *(text for node in sketch.nodes for text in _texts(node, left)),
    ]
    size = f"0 0 {number(wide)} {number(high)}"
    return (
        f'<svg class="chart" role="img" viewBox="{size}" '
        f'aria-labelledby="{own}-title {own}-desc">{"".join(parts)}</svg>'
    )


def description(sketch: Sketch) -> str:
    """Return in words what each layer takes and gives."""
    said = []
    for node in sketch.nodes:
        taken = " and ".join(sketch.node(value).title for value in node.takes)
        of = f" takes {taken}," if taken else ""
        loss = f", to the loss {node.loss}" if node.loss else ""
        said.append(f"{node.title}{of} gives {node.shape}{loss}")
    return f"{'; '.join(said)}."


def _corner(node: Node, left: float) -> tuple[float, float]:
    return left + node.lane * ACROSS, EDGE + node.row * DOWN


def _box(node: Node, left: float) -> str:
    x, y = _corner(node, left)
    rounded = HIGH / 2 if not node.takes or node.loss else 4
    dashed = ' stroke-dasharray="4 3"' if node.folded else ""
    return (
        f'<rect class="axis" x="{number(x)}" y="{number(y)}" width="{number(BOX)}" '
        f'height="{number(HIGH)}" rx="{number(rounded)}"{dashed}/>'
    )


def _texts(node: Node, left: float) -> Iterator[str]:
    x, y = _corner(node, left)
    below = [node.shape, f"{node.parameters:,} parameters" if node.parameters else ""]
    below.append(f"→ {node.loss}" if node.loss else "")
    middle = number(x + BOX / 2)
    for text, down, size, name in (
        (node.title, 14, 12, "name mid"),
        (" · ".join(filter(None, below)), 27, 11, "tick mid"),
    ):
        fits = escaped(fitted(text, BOX - 12, size))
        yield f'<text class="{name}" x="{middle}" y="{number(y + down)}">{fits}</text>'


def _arrow(of: Node, to: Node, left: float) -> str:
    """Return the way from one box to another: down its own lane, then across above the other."""
    x, y = _corner(of, left)
    end, top = _corner(to, left)
    x, y, end = x + BOX / 2, y + HIGH, end + BOX / 2
    across = top - 10 - 3 * (of.lane % 3)
    bend = "" if x == end else f"V{number(across)}H{number(end)}"
    head = "m-4-6l4 6 4-6"
    return f'<path class="axis" d="M{number(x)} {number(y)}{bend}V{number(top - 1)}{head}"/>'
