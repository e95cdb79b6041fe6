"""The columns of an ARFF file, as of Weka and OpenML: a head that declares them, then text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from minifw.data.delimited import Progress, frame_of_layout
from minifw.data.encoded import as_utf8
from minifw.data.frame import Frame
from minifw.data.kinds import missing_of, numbers_of
from minifw.data.layout import Layout
from minifw.data.reading import twice
from minifw.data.rows import Scanner, line_at
from minifw.errors import DataError, short, short_word

NUMBERS = ("numeric", "real", "integer")
TEXTS = ("string", "date")

_NAME = r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|[^\s{]+"
_ATTRIBUTE = re.compile(rf"@attribute\s+({_NAME})\s*(.*)", re.IGNORECASE | re.DOTALL)
_QUOTED = re.compile(rb"(^|[,\t])[ ]*\"((?:[^\"\n])*)\"[ ]*(?=[,\t\r]|$)", re.M)


@dataclass(frozen=True)
class Attribute:
    """A column as declared: numbers, words out of `values`, or any text where that is None."""

    name: str
    is_number: bool
    values: tuple[str, ...] | None = None


def frame_of_arff(
    path: Path, content: bytes, checksum: str, progress: Progress | None = None
) -> Frame:
    """Return the columns of the content of an ARFF file as cells.

    Raises:
        DataError: it is none, or a cell is not what its column is declared to hold.

    """
    text = as_utf8(path, content, None)
    attributes, start, line = _head(path, text)
    names = tuple(attribute.name for attribute in attributes)
    if (double := twice(names)) is not None:
        raise DataError(f"{path}: column names must differ, '{short_word(double)}' is there twice")
    body, quote = _one_quote(text[start:])
    text = text[:start] + body
    first = next(Scanner(",", quote).rows(text, start, "%"), None)
    if first is None:
        raise DataError(f"{path}: expects samples below @data, got none")
    if first.cells[0].startswith("{"):
        raise DataError(
            f"{path}:{line_at(text, first.start)}: sparse ARFF, in braces, is not read; "
            "write a dense file"
        )
    with_tabs = Scanner("\t", quote).cells(text, first.start, first.end)
    tabs = len(with_tabs) == len(names) > 1
    # A tab in quotes separates nothing.
    tabs = tabs and not any(cell.count(quote) % 2 for cell in with_tabs)
    layout = Layout(start, "\t" if tabs else ",", "%", names, True, line, quote=quote)
    frame = frame_of_layout(path, text, checksum, layout, ".", progress)
    for attribute in attributes:
        _check(frame, attribute)
    return frame


def _head(path: Path, text: bytes) -> tuple[list[Attribute], int, int]:
    """Return the columns that are declared, and place and line where the samples begin."""
    found: list[Attribute] = []
    place = 0
    for number, raw in enumerate(re.findall(rb"[^\n]*\n|[^\n]+", text), 1):
        place += len(raw)
        line = raw.decode().strip()
        word = line.split(None, 1)[0].lower() if line else "%"
        if word.startswith("%") or word == "@relation":
            continue
        if word == "@data":
            if not found:
                raise DataError(f"{path}:{number}: expects lines of @attribute before @data")
            return found, place, number
        match = _ATTRIBUTE.fullmatch(line)
        if match is None:
            raise DataError(
                f"{path}:{number}: expects @relation, @attribute or @data in the head of an ARFF "
                f"file, got {short(line)}"
            )
        found.append(_attribute(f"{path}:{number}", _unquoted(match[1]), match[2].strip()))
    raise DataError(f"{path}: expects a line @data, as this is the head of an ARFF file")


def _attribute(where: str, name: str, kind: str) -> Attribute:
    word = kind.split(None, 1)[0].lower() if kind else ""
    if word in NUMBERS:
        return Attribute(name, True)
    if word in TEXTS:
        return Attribute(name, False)
    if kind.startswith("{") and kind.endswith("}"):
        body, quote = _one_quote(kind[1:-1].encode())
        row = next(Scanner(",", quote).rows(body), None)
        return Attribute(name, False, tuple(row.cells if row else ()))
    raise DataError(
        f"{where}: column '{short_word(name)}' must be numeric, real, integer, string, date or "
        f"{{words}}, got {short(kind)}"
    )


def _unquoted(name: str) -> str:
    if name[0] in "'\"" and len(name) > 1 and name[-1] == name[0]:
        name = re.sub(r"\\(.)", r"\1", name[1:-1])
    return name.strip()


def _one_quote(text: bytes) -> tuple[bytes, str]:
    """Return the text with one kind of quotes, doubled where they stand for themselves, and it."""
    has = {quote: re.search(rb"(?m)(?:^|[,\t])[ ]*" + quote, text) for quote in (b"'", b'"')}
    if not has[b"'"]:
        return text.replace(rb"\"", b'""'), '"'
    text = text.replace(rb"\'", b"''")
    if has[b'"']:
        text = _QUOTED.sub(lambda cell: cell[1] + b"'" + cell[2].replace(b"'", b"''") + b"'", text)
    return text, "'"


def _check(frame: Frame, attribute: Attribute) -> None:
    """Raise a DataError if a cell is not what its column is declared to hold."""
    import pyarrow as pa
    from pyarrow import compute

    values = frame.columns[frame.names.index(attribute.name)]
    if attribute.is_number:
        _, _, wrong = numbers_of(values)
        what = "numeric"
    elif attribute.values is not None:
        known = compute.is_in(values, value_set=pa.array(attribute.values, pa.string()))
        wrong = ~np.asarray(known) & ~missing_of(values)
        what = "one of the words in { }"
    else:
        return
    if count := int(wrong.sum()):
        row = int(wrong.argmax())
        more = f", the first of {count} such cells" if count > 1 else ""
        raise DataError(
            f"{frame.where(row)}: column '{short_word(attribute.name)}' is declared as {what}, "
            f"got {short(values[row].as_py())}{more}"
        )
