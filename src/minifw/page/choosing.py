"""Which document is made of runs: one of one run, by its kind, and another one of several."""

from __future__ import annotations

from collections.abc import Sequence

from minifw.page.document import Document
from minifw.page.many import document_of_runs
from minifw.page.run import document_of
from minifw.runs import Run


def document_of_all(some: Sequence[Run], allow_code: bool = False) -> Document:
    """Return the document of one finished run, or of several.

    Raises:
        ArtefactError: a file of a run is missing, damaged, or not minifw's.
        StorageError: one cannot be read.

    """
    if len(some) == 1:
        return document_of(some[0], allow_code)
    return document_of_runs(some, allow_code)
