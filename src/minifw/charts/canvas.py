"""Matplotlib's canvases: a figure as the content of a file, in minifw's style or a user's.

The same figure makes the same bytes, whatever settings of matplotlib a user has.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minifw.errors import UsageError, harmless

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STYLE = Path(__file__).with_name("minifw.mplstyle")

FIXED: dict[str, Any] = {
    "svg.hashsalt": "minifw",
    "text.parse_math": False,  # a $ in the name of a class is no mathematics
    "text.usetex": False,  # and a backslash is no command
    "figure.autolayout": False,
    "figure.constrained_layout.use": False,
}
"""What no style changes: the same bytes each time, names as they are, parts in their places."""


def svg(figure: Figure, title: str = "", description: str = "") -> bytes:
    """Return a figure as the content of an SVG file, the same for the same figure."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    file = io.BytesIO()
    about = {"Title": title, "Description": description}
    with _drawn_by(FigureCanvasSVG, figure, dpi=72) as canvas:
        canvas.print_svg(file, metadata={"Date": None, **_given(about)})
    return file.getvalue()


def pdf(figure: Figure, title: str = "", description: str = "") -> bytes:
    """Return a figure as the content of a PDF file, the same for the same figure."""
    from matplotlib.backends.backend_pdf import FigureCanvasPdf

    file = io.BytesIO()
    about = {"Title": title, "Subject": description}
    with _drawn_by(FigureCanvasPdf, figure, dpi=72) as canvas:
        canvas.print_pdf(file, metadata={"CreationDate": None, **_given(about)})
    return file.getvalue()


def png(figure: Figure, dpi: float, title: str = "", description: str = "") -> bytes:
    """Return a figure as the content of a PNG file."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    file = io.BytesIO()
    with _drawn_by(FigureCanvasAgg, figure, dpi) as canvas:
        canvas.print_png(file, metadata=_given({"Title": title, "Description": description}))
    return file.getvalue()


def _given(about: dict[str, str]) -> dict[str, str]:
    """Return what a file says of itself."""
    return {key: harmless(text) for key, text in about.items() if text}


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
def defaults(style: Path | None = None) -> Iterator[None]:
    """Within this block figures have minifw's style, or that of a file, not the user's settings.

    Raises:
        UsageError: the file is no style of matplotlib's.

    """
    matplotlib = _matplotlib()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about deprecated settings
        original = {
            key: value
            for key, value in matplotlib.rcParamsDefault.items()
            if not key.startswith("backend")  # no display is needed for files
        }
    settings = original | _read(matplotlib, style or STYLE) | FIXED
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        # A character that the font lacks is drawn as a box; no warning is needed.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


NO_STYLE = ("backend", "interactive", "toolbar", "webagg.", "savefig.", "tk.", "keymap.", "date.")
"""The beginnings of settings that are of a user's windows and folders, which a style leaves."""


def _read(matplotlib: Any, style: Path) -> dict[str, Any]:
    """Return the settings of a style file. Matplotlib warns of what it cannot read."""
    said = _Said()
    logger = logging.getLogger("matplotlib")
    before = logger.level, logger.propagate
    logger.addHandler(said)
    logger.setLevel(logging.WARNING)
    logger.propagate = False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = matplotlib.rc_params_from_file(style, use_default_template=False)
    except OSError as error:
        reason = error.strerror or error
        raise UsageError(f"{style}: the style file cannot be read: {reason}") from error
    except Exception as error:  # whatever a file of any content makes matplotlib raise
        said.lines.append(str(error))
    finally:
        logger.removeHandler(said)
        logger.setLevel(before[0])
        logger.propagate = before[1]
    if said.lines:
        raise UsageError(
            f"{style}: must be a style file of matplotlib (lines of 'key: value'), "
            f"but {' '.join(said.lines[0].split())}"
        )
    return {key: value for key, value in found.items() if not key.startswith(NO_STYLE)}


class _Said(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


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
