"""The commands of exercises that grade themselves: `minifw course init | list | check | solve`."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from minifw.cli.options import Json, help_alone, print_json
from minifw.cli.terminal import print_rows, print_wrapped
from minifw.errors import CheckError, harmless

if TYPE_CHECKING:
    from minifw.course.exercise import Exercise
    from minifw.course.grading import Grade
    from minifw.course.syllabus import Course

app = typer.Typer(rich_markup_mode=None)

Dir = Annotated[
    Path, typer.Option("--dir", metavar="DIR", help="The folder of the course.", file_okay=True)
]


@app.callback(invoke_without_command=True)
def _course(context: typer.Context) -> None:
    """Write passes by hand, in exercises that grade themselves."""
    help_alone(context)


@app.command()
def init(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="A new folder, or one with a course.yaml.")
    ],
    as_json: Json = False,
) -> None:
    """Write a folder of exercises: each a Python file with its text and a part left out.

    A file that is there already is never overwritten. With a course.yaml in the folder, only what
    it lists is written.

    \b
    Examples:
      minifw course init exercises
      cd exercises && minifw course check
    """
    from minifw.course import folder as folders
    from minifw.report.tables import counted

    course, written = folders.init(folder)
    if as_json:
        names = [exercise.name for exercise in course.exercises]
        print_json({"folder": str(folder), "exercises": names, "written": [*map(str, written)]})
        return
    print_wrapped(
        f"{folder}: {counted(len(course.exercises), 'exercise')}, "
        f"{counted(len(written), 'file')} written. Open "
        f"{course.file(course.exercises[0])}, read it, write what '...  # your code' leaves out, "
        f"and grade it: minifw course check 1 --dir {folder}"
    )


@app.command("list")
def list_(folder: Dir = Path(), as_json: Json = False) -> None:
    """List the exercises of a course; nothing is run.

    \b
    Examples:
      minifw course list --dir exercises
    """
    from minifw.course import syllabus

    course = syllabus.read(folder)
    if as_json:
        listed = [
            {"number": number, "name": one.name, "title": one.title, "file": str(course.file(one))}
            for number, one in enumerate(course.exercises, 1)
        ]
        print_json({"folder": str(folder), "exercises": listed})
        return
    rows = [(str(n), one.name, one.title) for n, one in enumerate(course.exercises, 1)]
    print_rows(("", "exercise", "title"), rows, right=(0,))


@app.command()
def check(
    number: Annotated[
        str | None,
        typer.Argument(metavar="N", help="An exercise: its number or name. Default: all."),
    ] = None,
    folder: Dir = Path(),
    as_json: Json = False,
) -> None:
    """Grade exercises at once, on shapes and numbers that are not shown.

    Each file is run in a process of its own, with a limit of time. Nothing is sent anywhere. The
    exit code is 0 if all that was asked for is done, else 5.

    \b
    Examples:
      minifw course check                      all of this folder
      minifw course check 3                    one, with all that is wrong in it
      minifw course check --dir exercises --json
    """
    from minifw.course import apart, syllabus

    course = syllabus.read(folder)
    asked = course.exercises if number is None else (course.find(number),)
    grades = [*apart.grades(course, asked)]
    done = all(grade.state == "done" for grade in grades)
    if as_json:
        found = [
            {"number": course.exercises.index(exercise) + 1, **grade.as_json()}
            for exercise, grade in zip(asked, grades, strict=True)
        ]
        print_json({"folder": str(folder), "done": done, "exercises": found})
    else:
        _show(course, asked, grades, whole=number is not None)
    if not done:
        raise typer.Exit(CheckError.exit_code)


def _show(
    course: Course, asked: Sequence[Exercise], grades: Sequence[Grade], *, whole: bool
) -> None:
    """Print the table; of one exercise all lines, below it."""
    rows = [
        (
            str(course.exercises.index(exercise) + 1),
            exercise.name,
            grade.state,
            "" if whole else next(iter((*grade.faults, *grade.notes)), ""),
        )
        for exercise, grade in zip(asked, grades, strict=True)
    ]
    if whole:
        print_rows(("", "exercise", "state"), [row[:3] for row in rows], right=(0,))
        for line in (*grades[0].faults, *grades[0].notes):
            print()
            print_wrapped(line, 4)
        return
    print_rows(("", "exercise", "state", "first message"), rows, right=(0,))
    count = sum(grade.state == "done" for grade in grades)
    print()
    print_wrapped(f"{count} of {len(grades)} done; `minifw course check N` shows all of one.")


@app.command()
def solve(
    number: Annotated[str, typer.Argument(metavar="N", help="An exercise: its number or name.")],
    folder: Dir = Path(),
    write: Annotated[
        bool,
        typer.Option(
            "--write", help="Write the solution into your file; the old one is kept beside it."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Show our solution of an exercise, with its text, and what minifw itself runs.

    Your file is not touched, unless you ask for it with --write.

    \b
    Examples:
      minifw course solve 1
      minifw course solve linear --write
    """
    from minifw.course import solving, syllabus

    course = syllabus.read(folder)
    exercise = course.find(number)
    source = solving.in_minifw(exercise)
    path, kept = course.file(exercise), None
    if write:
        kept = solving.write(exercise, path)
    if as_json:
        answer: dict[str, Any] = {
            "name": exercise.name,
            "text": exercise.text,
            "solution": exercise.solution,
            "in_minifw": dict(source),
            "written": str(path) if write else None,
            "kept": None if kept is None else str(kept),
        }
        print_json(answer)
        return
    _print_text(exercise.text)
    for name, code in _solved(exercise):
        print(f"\n{name}:\n")
        _print_text(textwrap.indent(code, "    "))
    for name, code in source:
        print(f"\nIn minifw itself, {name}:\n")
        _print_text(textwrap.indent(code, "    "))
    if write:
        print()
        old = "" if kept is None else f"; what was there is in {kept}"
        print_wrapped(f"{path}: written{old}")


def _solved(exercise: Exercise) -> list[tuple[str, str]]:
    """Return name and source of each function that the learner writes."""
    from minifw.course.exercise import functions

    found = functions(ast.parse(exercise.solution))
    lines = exercise.solution.splitlines()
    return [
        (
            name,
            textwrap.dedent("\n".join(lines[found[name].lineno - 1 : found[name].end_lineno])),
        )
        for name in exercise.blanks
    ]


def _print_text(text: str) -> None:
    for line in text.splitlines():
        print(harmless(line))
