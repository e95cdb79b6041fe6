"""The command that makes a page of runs, and the option by which others make one: `--report`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from minifw.cli.options import AllowCode, Json, RunsDir, SomeRuns, print_json
from minifw.errors import (
    DivergedError,
    Interrupted,
    MinifwError,
    UsageError,
    harmless,
    one_line,
)

if TYPE_CHECKING:
    from minifw.runs import Run

FORMATS = ("svg", "png", "pdf", "csv", "parquet", "md", "tex")

Report = Annotated[
    bool,
    typer.Option("--report", help="Make a page of the results too, RUN/report.html."),
]


def report(
    some: SomeRuns,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE",
            help="Where the page is written. Default: RUN/report.html, of one run.",
            show_default=False,
        ),
    ] = None,
    pieces: Annotated[
        Path | None,
        typer.Option(
            "--pieces",
            metavar="DIR",
            help="Also write every table and figure of the page into this folder.",
            show_default=False,
        ),
    ] = None,
    formats: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="WHICH",
            help=f"Formats of the pieces, with commas between them. Default: {','.join(FORMATS)}.",
            show_default=False,
        ),
    ] = None,
    columns: Annotated[
        int | None,
        typer.Option(
            "--columns",
            metavar="1|2",
            help="Width of figures among the pieces: one column of a paper, 3.4 inches, or two, "
            "7 inches. Default: 2.",
            show_default=False,
        ),
    ] = None,
    style: Annotated[
        Path | None,
        typer.Option(
            "--style",
            metavar="FILE",
            help="A matplotlib style file for the figures among the pieces.",
            show_default=False,
        ),
    ] = None,
    runs_dir: RunsDir = Path("runs"),
    allow_code: AllowCode = False,
    as_json: Json = False,
) -> None:
    """Make one page of finished runs, an HTML file.

    It has sentences for a paper, tables, figures with their numbers, the config, and how to repeat
    it. It loads nothing and sends nothing.

    \b
    Examples:
      minifw report a1b2c3                         report.html in the run
      minifw report a1b2c3 d4e5f6 --out page.html  one page of two runs
      minifw report a1b2c3 --pieces figures --format pdf,tex --columns 1
    """
    wanted = _formats(formats)
    if columns not in (None, 1, 2):
        raise UsageError(f"--columns: must be 1 or 2, got {columns}")
    given = {"--format": formats, "--columns": columns, "--style": style}
    for option, value in given.items():
        if value is not None and pieces is None:
            raise UsageError(f"{option}: is for pieces; --pieces DIR writes them")
    from minifw import runs
    from minifw.page import choosing, writing
    from minifw.page.pieces import write_pieces

    some_runs = writing.read([runs.find(runs_dir, text) for text in some])
    if out is None and len(some_runs) > 1:
        raise UsageError(f"--out: must name a file for the page of {len(some_runs)} runs")
    if pieces is not None:
        runs.refuse_inside(pieces, "--pieces")
        if pieces.exists() and not pieces.is_dir():
            raise UsageError(
                f"--pieces: must be a folder, which may be new, got the file '{pieces}'"
            )
    if style is not None:
        from minifw.charts.canvas import defaults

        with defaults(style):
            pass  # a wrong one is refused before anything is written
    document = choosing.document_of_all(some_runs, allow_code)
    page = writing.write_page(document, some_runs, out)
    if not as_json:
        print(harmless(page))
    files: list[Path] = []
    if pieces is not None:
        files = write_pieces(document, pieces, wanted, columns or 2, style)
        if not as_json:
            print(harmless(pieces))
    if as_json:
        print_json({"report": str(page), "pieces": [str(file) for file in files]})


def _formats(text: str | None) -> tuple[str, ...]:
    """Return the formats that are asked for, each once."""
    words = tuple(dict.fromkeys(FORMATS if text is None else text.split(",")))
    for word in words:
        if word not in FORMATS:
            raise UsageError(f"--format: must be of {', '.join(FORMATS)}, got '{word}'")
    return words


@contextmanager
def page_after(run: Run, wanted: bool, as_json: bool, allow_code: bool = False) -> Iterator[None]:
    """Make the page of a finished run after this block, if it is wanted.

    A page is an extra: whatever is wrong with it, the run and its results are as they were.
    """
    try:
        yield
    except DivergedError:
        if wanted:
            _add(run, as_json, allow_code)
        raise
    if wanted:
        _add(run, as_json, allow_code)


def _add(run: Run, as_json: bool, allow_code: bool) -> None:
    try:
        from minifw.page import writing

        page = writing.write_report([run.path], allow_code=allow_code)
    except Interrupted as end:
        end.add_note(f"the run is over: {run.path}")
        raise
    except Exception as fault:
        what = fault.lines[0] if isinstance(fault, MinifwError) else f"{fault!r}"
        again = f"minifw report {run.path} tries again"
        print(one_line(f"minifw: there is no page: {what}; {again}"), file=sys.stderr)
    else:
        print(harmless(page), file=sys.stderr if as_json else sys.stdout)
