"""A chart as files: pictures for a paper, and its numbers for whoever wants to draw them anew."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from minifw.charts import canvas, drawn
from minifw.charts.model import Chart, Column
from minifw.charts.notation import OTHER_LETTERS, has_other_letters, markdown, tex
from minifw.charts.scales import numeral
from minifw.errors import StorageError, UsageError, did_you_mean

FORMATS = ("svg", "png", "pdf", "csv", "parquet", "md", "tex")
"""Pictures first, then tables: of all numbers, and in the last two of those for reading."""

Value = float | int | str | bool | None


def write(
    chart: Chart,
    folder: Path,
    formats: Sequence[str] = FORMATS,
    columns: int = 2,
    style: Path | None = None,
) -> list[Path]:
    """Write a chart in each of the formats into a folder, and return the files.

    `columns` is 1 or 2: the width of a picture, 3.4 or 7 inches. `style` is a style file of
    matplotlib's in place of minifw's. The same chart makes the same bytes.

    Raises:
        UsageError: a format that is none of FORMATS, other columns, or no style file.
        StorageError: a file cannot be written.

    """
    for each in formats:
        if each not in FORMATS:
            raise UsageError(f"format: unknown: '{each}'{did_you_mean(each, FORMATS)}")
    if columns not in drawn.INCHES:
        raise UsageError(f"columns: must be 1 or 2, not {columns}")
    contents = {ending: content(chart, ending, columns, style) for ending in formats}
    written = []
    for ending, data in contents.items():
        path = folder / f"{_file_name(chart.name)}.{ending}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        except OSError as error:
            raise StorageError(f"{path}: cannot be written: {error.strerror or error}") from error
        written.append(path)
    return written


def content(chart: Chart, ending: str, columns: int = 2, style: Path | None = None) -> bytes:
    """Return the content of a chart's file in one format."""
    table = {"csv": _csv, "parquet": _parquet, "md": _markdown, "tex": _latex}
    if ending in table:
        return table[ending](chart)
    make: dict[str, Callable[..., bytes]] = {"svg": canvas.svg, "pdf": canvas.pdf}
    with canvas.defaults(style):
        figure = drawn.figure(chart, columns, style)
        about = {"title": chart.title, "description": f"{chart.caption} {chart.description}"}
        if ending == "png":
            return canvas.png(figure, dpi=300, **about)
        return make[ending](figure, **about)


def _file_name(name: str) -> str:
    """Return a chart's name as that of a file, of this folder and of no other."""
    return re.sub(r"[^\w.-]+", "-", name).strip(".-")[:100] or "chart"


def _rows(columns: Mapping[str, Column]) -> list[tuple[Value, ...]]:
    return list(zip(*columns.values(), strict=True))


def _csv(chart: Chart) -> bytes:
    """Return all numbers, exactly; a cell is empty where there is none."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(chart.data)
    for row in _rows(chart.data):
        writer.writerow(["" if value is None else _plain(value) for value in row])
    return text.getvalue().encode()


def _plain(value: Any) -> Any:
    """Return a value as Python has it, which its text depends on, not as an array does."""
    return value.item() if hasattr(value, "item") else value


def _parquet(chart: Chart) -> bytes:
    """Return all numbers as columns, of text where a column holds both, and what they are."""
    import pyarrow as pa
    from pyarrow import parquet

    arrays = {}
    for name, column in chart.data.items():
        values = [_plain(value) for value in column]
        kinds = {type(value) for value in values if value is not None}
        if kinds == {int, float}:
            values = [None if value is None else float(value) for value in values]
        elif len(kinds) > 1:
            values = [None if value is None else str(value) for value in values]
        arrays[name] = pa.array(values)
    about = {"title": chart.title, "caption": chart.caption, "description": chart.description}
    table = pa.table(arrays).replace_schema_metadata(about)
    file = io.BytesIO()
    parquet.write_table(table, file)
    return file.getvalue()


# ------------------------------------------------------------------------------------- for reading


def _shown(chart: Chart) -> tuple[list[str], list[list[str]], list[bool]]:
    """Return the head, the rows and which columns are numbers, as people read them."""
    columns = chart.data if chart.shown is None else chart.shown
    rows = [[_read(value) for value in row] for row in _rows(columns)]
    return [*columns], rows, [_numbers(column) for column in columns.values()]


def _read(value: Value) -> str:
    value = _plain(value)
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return str(value).replace("-", "−")
    return numeral(value) if isinstance(value, float) else str(value)


def _numbers(column: Column) -> bool:
    return all(value is None or not isinstance(value, str | bool) for value in column)


def _markdown(chart: Chart) -> bytes:
    head, rows, numbers = _shown(chart)
    lines = [
        markdown(chart.caption), "",
        *(f"| {' | '.join(map(markdown, row))} |" for row in [head]),
        f"| {' | '.join('---:' if each else '---' for each in numbers)} |",
        *(f"| {' | '.join(map(markdown, row))} |" for row in rows),
    ]  # fmt: skip
    return ("\n".join(lines) + "\n").encode()


def _latex(chart: Chart) -> bytes:
    """Return a `table` environment; LaTeX numbers it, and `\\ref` finds its label."""
    head, rows, numbers = _shown(chart)
    texts = [chart.caption, *head, *(cell for row in rows for cell in row)]
    lines = [
        r"% in the preamble: \usepackage{booktabs}",
        *([OTHER_LETTERS] if has_other_letters(texts) else []),
        r"\begin{table}", r"  \centering", rf"  \caption{{{tex(chart.caption)}}}",
        rf"  \label{{tab:{re.sub(r'[^A-Za-z0-9-]+', '-', chart.name)}}}",
        rf"  \begin{{tabular}}{{{''.join('r' if each else 'l' for each in numbers)}}}",
        r"    \toprule", f"    {' & '.join(map(tex, head))} \\\\", r"    \midrule",
        *(f"    {' & '.join(map(tex, row))} \\\\" for row in rows),
        r"    \bottomrule", r"  \end{tabular}", r"\end{table}",
    ]  # fmt: skip
    return ("\n".join(lines) + "\n").encode()
