"""Pages and their pieces as files: in a run, as one of its own, or wherever a user wants them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from minifw import runs
from minifw.errors import ArtefactError, UsageError
from minifw.page.choosing import document_of_all
from minifw.page.document import Document
from minifw.page.html import html
from minifw.system.files import checksum, write_output

PAGE = "report.html"
"""The page of a run, in its directory."""


def read(paths: Sequence[Path]) -> list[runs.Run]:
    """Return the finished runs in these directories, each once, without the pages that they have.

    A page lists the files of its run, but not itself: made again, it is the same.

    Raises:
        UsageError: a run is not finished.
        ArtefactError: a directory holds no run, or one of another format.

    """
    found = [runs.load(path) for path in dict.fromkeys(paths)]
    for run in found:
        status = run.status()
        if status == "running":
            raise UsageError(f"{run.path}: this run is running; a page is made of a finished run")
        if status not in runs.OVER:
            raise UsageError(
                f"{run.path}: this run is {status}; minifw resume {run.path} completes it"
            )
        run.known.pop(PAGE, None)
    return found


def write_report(paths: Sequence[Path], out: Path | None = None, allow_code: bool = False) -> Path:
    """Write the page of finished runs, and return where it is.

    Args:
        paths: the runs' directories.
        out: the file; None for `report.html` in the only run.
        allow_code: allow Python files that a run's config names.

    Raises:
        UsageError: a run is not finished, another process works on it, or `out` is missing.
        ArtefactError: a run is damaged.
        StorageError: the page could not be written.

    """
    some = read(paths)
    if out is None and len(some) != 1:
        raise UsageError(f"report: a page of {len(some)} runs needs --out FILE")
    return write_page(document_of_all(some, allow_code), some, out)


def write_page(document: Document, some: Sequence[runs.Run], out: Path | None) -> Path:
    """Write the document of these runs as a page, and return where it is."""
    if out is not None and len(some) == 1 and out.resolve() == (some[0].path / PAGE).resolve():
        out = None
    if out is not None:
        runs.refuse_inside(out, "--out")
    data = html(document).encode(errors="backslashreplace")
    if out is None:
        _put(some[0].path, data)
        return some[0].path / PAGE
    write_output(out, data)
    return out


def _put(path: Path, data: bytes) -> None:
    """Make the page one of the run's files.

    The manifest never names a page that is not there: where one is replaced, it is forgotten first.
    """
    run = runs.load(path)
    with run.held():
        run.reload()
        if run.known.get(PAGE) == checksum(data) and _is_whole(run):
            return
        if run.known.pop(PAGE, None) is not None:
            run.commit()
        run.write(PAGE, data)
        run.commit()


def _is_whole(run: runs.Run) -> bool:
    try:
        run.read(PAGE)
    except ArtefactError:
        return False
    return True
