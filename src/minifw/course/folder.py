"""The folder of a course: made once, completed later, never overwritten."""

from __future__ import annotations

from pathlib import Path

from minifw.course.syllabus import FILE, OURS, Course, ours, read
from minifw.errors import StorageError, UsageError
from minifw.system.files import publish

COURSE = """\
# The exercises of this course, in order. Leave out, reorder, add: an entry is the name of one of
# minifw's, or the path of a Python file of your own (docs/course.md says what stands in it).
# Then `minifw course init` of this folder writes the files that are missing.

exercises:
{exercises}

# Seconds of computing that one exercise may take.
time_limit: {limit:g}
"""


def init(folder: Path) -> tuple[Course, list[Path]]:
    """Write course.yaml and the exercises, those that are missing; return also what was written.

    Raises:
        UsageError: the folder is not one, or its course.yaml is wrong; nothing is written then.
        StorageError: a file cannot be written.

    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder}: must be a folder, or new")
    written: list[Path] = []
    if (folder / FILE).exists():
        course = read(folder)
    else:
        course = Course(folder, ours())
        entries = "\n".join(f"  - {name}" for name in OURS)
        text = COURSE.format(exercises=entries, limit=course.time_limit)
        taken = [course.file(one) for one in course.exercises if course.file(one).exists()]
        if taken:
            raise UsageError(
                f"{taken[0]}: is there already, without a {FILE}; choose another folder"
            )
        written.append(_write(folder / FILE, text))
    for exercise in course.exercises:
        if not course.file(exercise).exists():
            written.append(_write(course.file(exercise), exercise.blank))
    return course, written


def _write(path: Path, text: str) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise StorageError(f"{path.parent}: cannot be made: {fault.strerror}") from None
    publish(path, text.encode(), replace=False)
    return path
