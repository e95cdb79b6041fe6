"""The figures of a run, SVG and PNG, drawn from its directory and written into it.

Figures are an extra: if one cannot be drawn, there is a message, and the run is complete without
it. `curves.py` and `regions.py` draw; they and matplotlib are imported when they are needed.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minifw.errors import MinifwError, harmless
from minifw.runs import Files, Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SETTINGS: dict[str, Any] = {
    "svg.hashsalt": "minifw",
    "text.parse_math": False,  # a $ in the name of a class is no mathematics
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


FOLDER = "plots"
"""The folder of a run's figures."""


def write_plots(run: Run) -> None:
    """Draw and write all figures of a run."""
    for name, draw in drawings(run).items():
        write_figure(run, f"{FOLDER}/{name}", draw)


def drawings(run: Run) -> dict[str, Callable[[], Figure]]:
    """Return the function that draws each figure of a run, by name; see `defaults`."""
    results = run.results()
    ours = [arms["minifw"] for arms in results.modes.values()]
    scores = [outcome.scores for outcome in ours if outcome.scores is not None]

    def errors() -> Figure:
        from minifw.report import curves

        lines = run.read("metrics.jsonl").decode().splitlines()
        return curves.error_curves(results, lines)

    def decision() -> Figure:
        from minifw.report import regions

        return regions.decision_regions(results, run.read("decision.npz"))

    def predicted() -> Figure:
        from minifw.report import predicted

        return predicted.against_true(results, run.read("predicted.npz"))

    def confusion() -> Figure:
        from minifw.report import classes

        return classes.confusion_matrix(results)

    def calibration() -> Figure:
        from minifw.report import classes

        return classes.reliability(results)

    figures = {"errors": errors}
    if "predicted.npz" in run.known:
        figures["predicted"] = predicted
    if "decision.npz" in run.known:
        figures["decision"] = decision
    if any(each.confusion is not None for each in scores):
        figures["confusion"] = confusion
    if any(each.calibration is not None for each in scores):
        figures["calibration"] = calibration
    return figures


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


def svg(figure: Figure) -> bytes:
    """Return a figure as the content of an SVG file, the same for the same figure."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    file = io.BytesIO()
    with _drawn_by(FigureCanvasSVG, figure, dpi=72) as canvas:
        canvas.print_svg(file, metadata={"Date": None})
    return file.getvalue()


def pdf(figure: Figure) -> bytes:
    """Return a figure as the content of a PDF file, the same for the same figure."""
    from matplotlib.backends.backend_pdf import FigureCanvasPdf

    file = io.BytesIO()
    with _drawn_by(FigureCanvasPdf, figure, dpi=72) as canvas:
        canvas.print_pdf(file, metadata={"CreationDate": None})
    return file.getvalue()


def png(figure: Figure, dpi: float) -> bytes:
    """Return a figure as the content of a PNG file."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    file = io.BytesIO()
    with _drawn_by(FigureCanvasAgg, figure, dpi) as canvas:
        canvas.print_png(file)
    return file.getvalue()


@contextlib.contextmanager
def _drawn_by(canvas: Any, figure: Figure, dpi: float) -> Iterator[Any]:
    """Within this block a figure has another canvas and resolution.

    `Figure.savefig` does the same, and draws everything twice.
    """
    before, usual = figure.canvas, figure.dpi
    figure.dpi = dpi
    try:
        yield canvas(figure)
    finally:
        figure.dpi = usual
        figure.set_canvas(before)


@contextlib.contextmanager
def defaults() -> Iterator[None]:
    """Within this block figures have minifw's style and ignore the user's matplotlibrc."""
    matplotlib = _matplotlib()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about deprecated settings
        original = {
            key: value
            for key, value in matplotlib.rcParamsDefault.items()
            if not key.startswith("backend")  # no display is needed for files
        }
    with matplotlib.rc_context(original | SETTINGS), warnings.catch_warnings():
        # A character that the font lacks is drawn as a box; no warning is needed.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def _matplotlib() -> Any:
    """Return matplotlib; a matplotlibrc or MPLBACKEND that it cannot read is ignored."""
    # Its log (a bad line in a matplotlibrc, no home for its cache) is of no use here.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    with contextlib.suppress(Exception):
        return importlib.import_module("matplotlib")
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        del sys.modules[name]  # imported only in part
    # It searches a matplotlibrc in the current folder first, then in $MATPLOTLIBRC.
    instead = {"MATPLOTLIBRC": os.devnull, "MPLBACKEND": "agg"}
    before = {key: os.environ.get(key) for key in instead}
    os.environ |= instead
    try:
        with contextlib.chdir(Path(__file__).parent):
            return importlib.import_module("matplotlib")
    finally:
        for key, value in before.items():
            if value is None:
                del os.environ[key]
            else:
                os.environ[key] = value
