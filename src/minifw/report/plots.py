"""The figures of a run, SVG and PNG, drawn from its directory and written into it.

Figures are an extra: if one cannot be drawn, there is a message, and the run is complete without
it. `curves.py` and `regions.py` draw; they and matplotlib are imported when they are needed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from minifw.charts import Chart, drawn
from minifw.charts.canvas import defaults, pdf, png, svg
from minifw.errors import MinifwError, harmless
from minifw.report import classes, norms, predicted
from minifw.runs import Files, Run
from minifw.runs.norms import NORMS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "FOLDER", "Made", "defaults", "drawings", "made", "pdf", "png", "svg", "write_figure",
    "write_made", "write_plots", "write_scaling",
]  # fmt: skip

FOLDER = "plots"
"""The folder of a run's figures."""


def write_plots(run: Run) -> None:
    """Draw and write all figures of a run."""
    for name, draw in drawings(run).items():
        write_figure(run, f"{FOLDER}/{name}", draw)


def drawings(run: Run) -> dict[str, Callable[[], Figure]]:
    """Return the function that draws each figure of a run, by name; see `defaults`."""
    results = run.results()

    def errors() -> Figure:
        from minifw.report import curves

        lines = run.read("metrics.jsonl").decode().splitlines()
        return curves.error_curves(results, lines)

    def decision() -> Figure:
        from minifw.report import regions

        return regions.decision_regions(results, run.read("decision.npz"))

    def against_true() -> Figure:
        return _captioned(predicted.charts(run, results)[0])

    def gradients() -> Figure:
        chart = norms.of_run(run)
        if chart is None:
            raise ValueError("no layer has parameters")
        return _captioned(chart)

    figures = {"errors": errors}
    errors_of = [arms["minifw"].test_error for arms in results.modes.values()]
    if predicted.FILE in run.known and any(e is not None for own in errors_of for e in own):
        figures["predicted"] = against_true
    if "decision.npz" in run.known:
        figures["decision"] = decision
    for chart in (classes.confusion(results), classes.calibration(results)):
        if chart is not None:
            figures[chart.name] = partial(_captioned, chart)
    if NORMS in run.known:
        figures["gradients"] = gradients
    return figures


def _captioned(chart: Chart) -> Figure:
    """Draw a chart with its caption, in one column of a paper if it is a single square."""
    columns = 1 if len(chart.panels) == 1 and chart.panels[0].square else 2
    return drawn.figure(chart, columns, captioned=True)


def write_scaling(files: Files, name: str) -> bool:
    """Draw how time and memory grow, from the benchmark's `name`.json; return whether it worked."""

    def scaling() -> Figure:
        from minifw.report import curves

        return curves.scaling(files.read_json(f"{name}.json"))

    return write_figure(files, name, scaling)


def write_figure(run: Files, name: str, draw: Callable[[], Figure]) -> bool:
    """Draw a figure and write it in both formats, or say on stderr why there is none.

    Raises:
        MinifwError: a file could not be read or written, which is not a fault of drawing.

    """
    return write_made(run, name, made(draw))


Made = dict[str, bytes] | str
"""A figure as the content of its files, by their endings; or why it could not be drawn."""


def made(draw: Callable[[], Figure]) -> Made:
    """Draw a figure in both formats.

    Raises:
        MinifwError: a file could not be read.

    """
    try:
        with defaults():
            figure = draw()
            return {"svg": svg(figure), "png": png(figure, dpi=150)}
    except MinifwError:
        raise
    except Exception as fault:  # a library, a font or a user's setting may raise anything
        return f"{type(fault).__name__}: {fault}".partition("\n")[0]


def write_made(run: Files, name: str, figure: Made) -> bool:
    """Write a figure that was drawn, or say on stderr why there is none."""
    if isinstance(figure, str):
        where = run.path / name
        print(harmless(f"minifw: {where}: this figure is left out: {figure}"), file=sys.stderr)
        return False
    for ending, content in figure.items():
        run.write(f"{name}.{ending}", content)
    return True
