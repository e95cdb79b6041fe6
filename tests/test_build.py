"""C becomes an open library: by any compiler, kept for later runs, and only what is sound is opened."""

from __future__ import annotations

import ctypes
import errno
import itertools
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from minifw.compile import cache as kept
from minifw.compile import compilers, processor
from minifw.compile.beside import beside
from minifw.compile.build import Libraries, library
from minifw.compile.compilers import Compiler, find_compiler, require_compiler, why_none
from minifw.compile.values import CannotCompileError
from minifw.errors import UsageError
from sanitizers import available, run_sanitized

needs_compiler = pytest.mark.skipif(
    find_compiler() is None, reason="there is no C compiler: `apt install gcc`"
)
needs_gcc = pytest.mark.skipif(shutil.which("gcc") is None, reason="there is no gcc")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
not_root = pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")

_numbers = itertools.count(1000)


def text_of(number: int) -> str:
    return f"int answer(void) {{ return {number}; }}"


@pytest.fixture
def number() -> int:
    """One that no other test has in its C, so that no library is open already."""
    return next(_numbers)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of kept libraries, of this test only; it is not there yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "a cache"))
    return tmp_path / "a cache" / "minifw"


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files are made."""
    made = tmp_path / "scratch"
    made.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(made))
    return made


Program = Callable[[str], Path]


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """Make a shell script; it stands in a folder with a space in its name."""
    counted = itertools.count()

    def make(script: str) -> Path:
        path = tmp_path / "some tools" / f"compiler-{next(counted)}"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o700)
        return path

    return make


@pytest.fixture
def compilations(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], int]:
    """Return how often the compiler has run since."""
    if shutil.which("gcc") is None:
        pytest.skip("there is no gcc")
    log = tmp_path / "log"
    log.touch()
    monkeypatch.setenv("CC", str(program(f"echo . >> '{log}'\nexec gcc \"$@\"")))
    return lambda: len(log.read_text().splitlines())


def only_file(folder: Path) -> Path:
    (file,) = folder.iterdir()
    return file


# From text to functions


@needs_compiler
def test_a_text_becomes_functions_of_this_process(folder: Path, number: int) -> None:
    first, second = library(text_of(number)), library(text_of(-number))
    assert (first.answer(), second.answer()) == (number, -number)
    assert library(text_of(number)) is first
    if sys.platform == "linux":  # a compiler without the C library's files, which call this, serves
        assert not any(b"__cxa_finalize" in file.read_bytes() for file in folder.iterdir())


def of_doubles(opened: ctypes.CDLL, name: str, arguments: int) -> Callable[..., Any]:
    """Return a function of doubles, whose result is one."""
    function = opened[name]
    function.argtypes, function.restype = [ctypes.c_double] * arguments, ctypes.c_double
    return function


@needs_gcc
@pytest.mark.parametrize("named", ["gcc", "gcc -ffast-math", "gcc -Ofast"])
def test_numbers_keep_their_meaning_in_the_code_and_in_the_process(
    folder: Path, named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NaN, infinities and denormals are those of C, as -ffast-math would not leave them."""
    monkeypatch.setenv("CC", named)
    opened = library(
        "double differs(double x) { return x != x; }"
        "double sum(double a, double b) { return (a + b) - a; }"
        "double half(double x) { return x * 0.5; }"
    )
    assert of_doubles(opened, "differs", 1)(float("nan")) == 1
    assert of_doubles(opened, "sum", 2)(1e30, 1.0) == 0
    smallest = sys.float_info.min
    assert 0 < of_doubles(opened, "half", 1)(smallest) == smallest / 2


@needs_compiler
def test_a_product_in_a_sum_is_not_rounded_where_the_processor_can() -> None:
    if processor.is_x86() and "fma" not in processor.features().split():
        pytest.skip("the processor cannot")
    opened = library("double fused(double a, double b, double c) { return a * b + c; }")
    tiny = 2.0**-30
    rounded = (1 + tiny) * (1 - tiny) - 1
    assert of_doubles(opened, "fused", 3)(1 + tiny, 1 - tiny, -1.0) == -(tiny**2) != rounded


@needs_gcc
@pytest.mark.skipif(not processor.is_x86(), reason="these are the names on x86")
def test_the_length_of_vectors_is_what_the_compiler_finds() -> None:
    said = subprocess.run(
        ["gcc", "-march=native", "-dM", "-E", "-x", "c", os.devnull],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    found = 64 if "__AVX512F__" in said else 32 if "__AVX2__" in said else 16
    assert processor.vector_bytes() == found


@pytest.mark.parametrize(
    ("machine", "features", "length"),
    [
        ("x86_64", "fpu sse2 avx avx2 avx512f", 64), ("x86_64", "fpu sse2 avx avx2", 32),
        ("x86_64", "fpu sse2 avx", 16), ("aarch64", "fp asimd sve", 16), ("arm64", "", 16),
    ],
)  # fmt: skip
def test_every_processor_has_a_length_of_vectors(
    monkeypatch: pytest.MonkeyPatch, machine: str, features: str, length: int
) -> None:
    monkeypatch.setattr("platform.machine", lambda: machine)
    monkeypatch.setattr(processor, "features", lambda: features)
    assert processor.vector_bytes() == length
    wide, arm = ("-mprefer-vector-width=512", "-mcpu=native")
    flags = Compiler(("gcc",)).flags()
    assert (wide in flags) == (length == 64)
    assert (arm in flags) == (machine != "x86_64")
    assert ("-march=native" in flags) == (machine == "x86_64")


# Compilers

COMPILERS = {
    "gcc": "gcc", "g++": "g++", "arguments": "env gcc", "clang": "clang", "clang++": "clang++",
    "zig": f"{sys.executable} -m ziglang cc",
}  # fmt: skip


@pytest.mark.parametrize("named", COMPILERS)
def test_any_c_or_cxx_compiler_serves(
    folder: Path, scratch: Path, number: int, named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = COMPILERS[named].split()[-1]
    if named == "zig" if find_spec("ziglang") is None else shutil.which(program) is None:
        pytest.skip(f"there is no {named}")
    monkeypatch.setenv("CXX" if "++" in named else "CC", COMPILERS[named])
    if "++" in named:
        monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("HOME", str(scratch / "no home"))
    length = processor.vector_bytes()
    opened = Libraries().get(
        # In C++ `class` is a word of the language, and a pointer has a type.
        f"typedef float V __attribute__((vector_size({length}), aligned({length})));"
        f"int answer(void) {{ int class = {number}; return class; }}"
        "void *copy(float *a, const float *b, long n) { char *p = (void *)a; *(V *)p = *(V *)b * 2;"
        "  __builtin_memcpy(a + n, b, n * sizeof(float)); return p; }"
    )
    assert opened.answer() == number
    assert (opened.reused, opened.not_kept) == (False, "")
    assert [*scratch.iterdir()] == []
    assert [*folder.parent.iterdir()] == [folder]  # zig has a cache of its own
    compiler = find_compiler()
    assert compiler is not None
    assert compiler.name.split()[-1] == program
    assert compiler.version


def test_what_is_named_comes_first_then_what_is_installed(
    tmp_path: Path, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "bin"
    path.mkdir()
    monkeypatch.setenv("PATH", str(path))
    for variable in ("CC", "CXX"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(compilers, "find_spec", lambda name: None)
    assert find_compiler() is None
    monkeypatch.setattr(compilers, "find_spec", find_spec_of_ziglang)
    assert find_compiler() == Compiler((sys.executable, "-m", "ziglang", "cc"))
    for name in ("cc", "clang", "gcc"):  # each is preferred to those before
        (path / name).symlink_to(program("exit 1"))
        assert find_compiler() == Compiler((str(path / name),))
    monkeypatch.setenv("CXX", "clang -pipe")
    assert find_compiler() == Compiler((str(path / "clang"), "-pipe"))
    monkeypatch.setenv("CC", "  ")  # as good as unset
    assert find_compiler() == Compiler((str(path / "clang"), "-pipe"))
    spaced = program("exit 1")
    for named in (str(spaced), f"'{spaced}'"):
        monkeypatch.setenv("CC", named)
        assert find_compiler() == Compiler((str(spaced),))


def find_spec_of_ziglang(name: str) -> Any:
    return find_spec("os")  # some file that exists


@pytest.mark.parametrize("named", ["no-such-compiler", "gcc 'unbalanced", "no such file"])
def test_what_names_no_program_is_said_and_not_replaced(
    monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    monkeypatch.setenv("CXX", named)
    monkeypatch.delenv("CC", raising=False)
    assert find_compiler() is None
    assert why_none().startswith(f"CXX names '{named}', which is no program; install gcc")
    with pytest.raises(CannotCompileError, match="^compiling needs a C compiler, and CXX names"):
        library(text_of(0))


def test_without_a_compiler_it_is_said_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("CC", "CXX"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(compilers, "find_spec", lambda name: None)
    advice = (
        "and there is none; install gcc (`apt install gcc`, `dnf install gcc`) or "
        '`pip install "minifw[compiler]"`, or name one in CC'
    )
    for begun, message in (
        (None, f"train.compile: true needs a C compiler, {advice}, or use auto"),
        ("runs/a", "runs/a: this run began with compiled steps; "
                   f"resuming it needs a C compiler, {advice}"),
    ):  # fmt: skip
        with pytest.raises(UsageError) as fault:
            require_compiler(begun)
        assert str(fault.value) == message


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (
            "echo note: hear; echo '{name}: fatal error: no as'; exit 1",
            "{name}: fatal error: no as",
        ),
        ("echo what now >&2; exit 4", "{name}: what now"),
        ("exit 3", "{name}: ended with code 3 and made no library"),
        ("exit 0", "{name}: ended with code 0 and made no library"),
        ("kill -9 $$", "{name}: ended by signal 9"),
        ('for last; do :; done; echo no ELF > "$last"', "{name}: its library cannot be opened: "),
    ],
)
def test_a_compiler_that_fails_is_one_line(
    folder: Path, scratch: Path, program: Program, number: int,
    script: str, message: str, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("CC", str(program(script.replace("{name}", "compiler-0"))))
    with pytest.raises(CannotCompileError) as fault:
        library(text_of(number))
    said = str(fault.value)
    assert said.startswith(message.replace("{name}", "compiler-0"))
    assert "\n" not in said
    assert str(scratch) not in said
    assert [*scratch.iterdir()] == []
    assert not folder.exists()


@needs_gcc
def test_a_fault_of_the_text_is_the_compilers_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CC", "gcc")
    for text, message in (
        ("int a;\nint f(void) { return b; }", r"gcc: step.c:2:22: error: .b. undeclared .*"),
        ("int g(void); int f(void) { return g(); }",
         "gcc: its library cannot be opened: undefined symbol: g"),
    ):  # fmt: skip
        with pytest.raises(CannotCompileError, match=f"^{message}$"):
            library(text)


def test_a_system_that_refuses_is_one_line(
    folder: Path, scratch: Path, program: Program, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = program("exit 1")
    monkeypatch.setenv("CC", str(name))

    def refuse(number: int) -> Any:
        def raising(*of: Any, **more: Any) -> None:
            raise OSError(number, os.strerror(number))

        return raising

    for module, function, fault in (
        (subprocess, "Popen", errno.ENOMEM), (tempfile, "mkdtemp", errno.ENOSPC),
    ):  # fmt: skip
        monkeypatch.setattr(module, function, refuse(fault))
        with pytest.raises(CannotCompileError, match=f"^{name.name}: {os.strerror(fault)}$"):
            library(text_of(number))
    assert [*scratch.iterdir()] == []


@pytest.mark.parametrize("is_beside", [False, True], ids=["here", "in a thread beside"])
def test_an_interrupt_leaves_no_process_and_no_file(
    folder: Path, scratch: Path, tmp_path: Path, program: Program, number: int, is_beside: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Also if the compiler ignores it, and has started others."""
    ids = tmp_path / "ids"
    # It has a temporary file, too.
    monkeypatch.setenv("TMPDIR", str(scratch))
    hangs = f"trap '' INT\n: > $TMPDIR/half\nsleep 1000 &\necho $$ $! > '{ids}.new'\nmv '{ids}.new' '{ids}'\nwait"
    monkeypatch.setenv("CC", str(program(hangs)))

    def compile_it() -> None:
        if is_beside:
            with beside(lambda: library(text_of(number))):
                pass
        else:
            library(text_of(number))

    def interrupt() -> None:
        while not ids.exists():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        compile_it()
    thread.join()
    assert [*scratch.iterdir()] == []
    assert not folder.exists()
    wait_until(lambda: not any(map(is_running, ids.read_text().split())))


def is_running(process: str) -> bool:
    """Whether a process runs; one that ended may wait for its parent to take notice."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def wait_until(true: Callable[[], bool]) -> None:
    for _ in range(1000):
        if true():
            return
        time.sleep(0.01)
    pytest.fail("it never came true")


# Threads and processes


def test_threads_share_a_library_and_compile_it_once(
    folder: Path, compilations: Callable[[], int], number: int
) -> None:
    with ThreadPoolExecutor(8) as pool:
        opened = list(pool.map(library, [text_of(number)] * 8))
    assert {id(each) for each in opened} == {id(opened[0])}
    assert compilations() == 1


@needs_gcc
def test_different_texts_compile_at_the_same_time(
    folder: Path, tmp_path: Path, program: Program, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each compiler waits until the other has begun, or fails after ten seconds."""
    begun = tmp_path / "begun"
    begun.mkdir()
    waits = (
        f"touch '{begun}'/$$\nfor i in $(seq 1000); do set -- \"$@\"\n"
        f"[ $(ls '{begun}' | wc -l) = 2 ] && exec gcc \"$@\"\nsleep 0.01\ndone\nexit 1"
    )
    monkeypatch.setenv("CC", str(program(waits)))
    numbers = [number, -number]
    with ThreadPoolExecutor(2) as pool:
        opened = pool.map(library, map(text_of, numbers))
        assert [each.answer() for each in opened] == numbers


IN_A_PROCESS = """
import sys
from minifw.compile.build import library
print("ready", flush=True)
sys.stdin.readline()
opened = library(sys.argv[1])
print(opened.answer(), repr(opened.not_kept))
"""


@needs_compiler
def test_processes_that_compile_the_same_at_once_do_no_harm(folder: Path, number: int) -> None:
    words = [sys.executable, "-c", IN_A_PROCESS, text_of(number)]
    running = [
        subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(8)
    ]
    for process in running:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in running:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    assert [process.communicate()[0] for process in running] == [f"{number} ''\n"] * 8
    assert only_file(folder).suffix == ".so"
    assert Libraries().get(text_of(number)).reused


# What is kept


def test_a_later_run_starts_no_process(
    folder: Path, scratch: Path, compilations: Callable[[], int], number: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    umask = os.umask(0)
    try:
        fresh = Libraries().get(text_of(number))
    finally:
        os.umask(umask)
    assert (fresh.answer(), fresh.reused, fresh.not_kept) == (number, False, "")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(only_file(folder).stat().st_mode) == 0o600
    monkeypatch.setattr(subprocess, "Popen", None)
    later = Libraries().get(text_of(number))
    assert (later.answer(), later.reused, later.not_kept) == (number, True, "")
    assert compilations() == 1
    assert [*scratch.iterdir()] == []


def test_the_name_depends_on_all_that_the_code_depends_on(
    folder: Path, compilations: Callable[[], int], number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def compiles() -> bool:
        before = compilations()
        assert Libraries().get(text_of(number)).answer() == number
        return compilations() > before

    assert compiles()
    assert not compiles()
    compiler = Path(os.environ["CC"])
    os.utime(compiler, (0, 0))  # another one at the same place
    assert compiles()
    monkeypatch.setenv("CC", f"'{compiler}' -g")
    assert compiles()
    monkeypatch.setattr(compilers, "FLAGS", (*compilers.FLAGS, "-fno-plt"))
    assert compiles()
    monkeypatch.setattr("minifw.compile.build.features", lambda: "another processor")
    assert compiles()
    assert not compiles()
    monkeypatch.setenv("CC", f"env '{compiler}' -g")  # and what a wrapper is told to run
    assert compiles()
    os.utime(compiler, (1, 1))
    assert compiles()


def another(folder: Path, file: Path) -> None:
    """Put a good library of another text in its place."""
    before = set(folder.iterdir())
    library(text_of(next(_numbers)))
    (other,) = set(folder.iterdir()) - before
    other.replace(file)


def flip(place: float) -> Callable[[Path, Path], object]:
    def change(folder: Path, file: Path) -> None:
        data = bytearray(file.read_bytes())
        data[int(place * (len(data) - 1))] ^= 4
        file.write_bytes(data)

    return change


def cut(length: float) -> Callable[[Path, Path], object]:
    return lambda folder, file: os.truncate(file, int(length * file.stat().st_size))


def linked(folder: Path, file: Path) -> None:
    file.rename(folder.parent / "elsewhere.so")
    file.symlink_to(folder.parent / "elsewhere.so")


def piped(folder: Path, file: Path) -> None:
    file.unlink()
    os.mkfifo(file, 0o600)


DAMAGES: dict[str, Callable[[Path, Path], object]] = {
    "empty": cut(0), "cut in the header": cut(0.002), "half": cut(0.5), "cut by one": cut(0.9999),
    "flip in the header": flip(0), "flip in the middle": flip(0.5), "flip at the end": flip(1),
    "longer": lambda folder, file: file.write_bytes(file.read_bytes() + b"\0"),
    "an older format": lambda folder, file: os.truncate(file, file.stat().st_size - 32),
    "of another text": another,
    "writable by the group": lambda folder, file: file.chmod(0o660),
    "writable by all": lambda folder, file: file.chmod(0o602),
    "of another user": lambda folder, file: os.chown(file, 12345, -1),
    "a link": linked, "a pipe": piped,
}  # fmt: skip


@pytest.mark.parametrize(
    "damage", [pytest.param(name, marks=as_root if "user" in name else ()) for name in DAMAGES]
)
def test_what_is_not_as_it_was_kept_is_compiled_again_and_replaced(
    folder: Path, compilations: Callable[[], int], number: int, damage: str
) -> None:
    Libraries().get(text_of(number))
    file = only_file(folder)
    DAMAGES[damage](folder, file)
    before = compilations()
    anew = Libraries().get(text_of(number))
    assert (anew.answer(), anew.reused, anew.not_kept) == (number, False, "")
    assert compilations() == before + 1
    later = Libraries().get(text_of(number))
    assert (later.answer(), later.reused) == (number, True)
    assert only_file(folder) == file
    assert stat.S_IMODE(file.lstat().st_mode) == 0o600


@needs_compiler
def test_a_library_in_use_outlives_its_file(folder: Path, number: int) -> None:
    """A file that is cut short under a process that has mapped it ends the process with SIGBUS."""
    words = text_of(number) + f"char much[1 << 20] = {{{number % 100}}};"
    Libraries().get(words)
    opened = Libraries().get(words)
    assert opened.reused
    os.truncate(only_file(folder), 0)
    last = (ctypes.c_char * (1 << 20)).in_dll(opened, "much")
    assert last[len(last) - 1] == b"\0"
    assert opened.answer() == number


def no_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", no_home)


def a_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(folder)
    folder.write_text("a file where a folder should be")


def a_link(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.rename(folder.with_name("elsewhere"))
    folder.symlink_to(folder.with_name("elsewhere"))


def a_full_disk(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*of: Any, **more: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    shutil.rmtree(folder)
    monkeypatch.setattr(os, "replace", full)


FOLDERS: dict[str, tuple[Callable[[Path, pytest.MonkeyPatch], object], str]] = {
    "of another user": (lambda folder, _: os.chown(folder, 12345, -1), "belongs to another user"),
    "writable by the group": (lambda folder, _: folder.chmod(0o770), "others may write to it"),
    "writable by all": (lambda folder, _: folder.chmod(0o1777), "others may write to it"),
    "a link": (a_link, "it is a link"),
    "a file": (a_file, "Not a directory"),
    "no home": (no_folder, "no home folder"),
    "a system's": (lambda _, patch: patch.setenv("XDG_CACHE_HOME", "/proc/self"), "No such file"),
    "relative": (lambda _, patch: patch.setenv("XDG_CACHE_HOME", "a cache"), "is 'a cache'"),
    "full": (a_full_disk, os.strerror(errno.ENOSPC)),
}


@pytest.mark.parametrize(
    "fault", [pytest.param(name, marks=as_root if "user" in name else ()) for name in FOLDERS]
)
def test_a_folder_that_cannot_be_trusted_or_written_is_not_used(
    folder: Path, scratch: Path, compilations: Callable[[], int], number: int, fault: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Every run compiles then, and says why."""
    monkeypatch.chdir(folder.parent.parent)
    Libraries().get(text_of(number))
    change, why = FOLDERS[fault]
    change(folder, monkeypatch)
    for count in (2, 3):
        opened = Libraries().get(text_of(number))
        assert (opened.answer(), opened.reused) == (number, False)
        assert why in opened.not_kept
        assert "\n" not in opened.not_kept
        assert compilations() == count
    assert [*scratch.iterdir()] == []
    if fault == "full":
        assert [*folder.iterdir()] == []


@not_root
def test_a_folder_that_can_only_be_read_still_serves(
    folder: Path, compilations: Callable[[], int], number: int
) -> None:
    Libraries().get(text_of(number))
    folder.chmod(0o500)
    try:
        assert Libraries().get(text_of(number)).reused
        other = Libraries().get(text_of(-number))
    finally:
        folder.chmod(0o700)
    assert other.answer() == -number
    assert other.not_kept.endswith(os.strerror(errno.EACCES))
    assert compilations() == 2


@needs_compiler
def test_a_system_without_memory_to_run_code_from_uses_a_private_file(
    folder: Path, scratch: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(name: str) -> int:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(os, "memfd_create", refuse)
    for reused in (False, True):
        opened = Libraries().get(text_of(number))
        assert (opened.answer(), opened.reused) == (number, reused)
        assert [*scratch.iterdir()] == []


# The bound


def names(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()}


@pytest.mark.parametrize(("files", "size"), [(3, 1 << 20), (100, 3500)])
def test_the_least_recently_used_go_first(
    folder: Path, monkeypatch: pytest.MonkeyPatch, files: int, size: int
) -> None:
    """Three libraries of 1000 bytes fit, by either bound."""
    monkeypatch.setattr(kept, "MAX_FILES", files)
    monkeypatch.setattr(kept, "MAX_BYTES", size)
    for age, name in enumerate(("a", "b", "c")):
        assert kept.keep(name, bytes(1000)) == ""
        os.utime(folder / f"{name}.so", (age, age))
    assert kept.find("a") == bytes(1000)  # used just now
    (folder / "notes.txt").write_bytes(bytes(5000))  # not ours
    assert kept.keep("d", bytes(1000)) == ""
    assert names(folder) == {"a.so", "c.so", "d.so", "notes.txt"}
    assert kept.keep("large", bytes(9000)) == ""
    assert kept.find("large") == bytes(9000)
    assert (files == 3) == (kept.find("d") is not None)


def test_what_killed_processes_left_goes_too(folder: Path) -> None:
    kept.keep("a", b"content")
    for name, age in ((".minifw-old", 7200), (".minifw-new", 60)):
        (folder / name).write_bytes(b"half")
        os.utime(folder / name, (time.time() - age,) * 2)
    kept.keep("b", b"content")
    assert names(folder) == {"a.so", "b.so", ".minifw-new"}


# Sanitizers

FAULTS = {
    "none": ("void f(int *a) { a[3]++; }", ""),
    "beyond its memory": ("void f(int *a) { a[4]++; }", "heap-buffer-overflow"),
    "on the stack": (
        "int f(int *a) { int b[4] = {0}; return b[a[0] + 4]; }", "index 4 out of bounds",
    ),
    "misaligned": ("void f(int *a) { *(int *)((char *)a + 1) = 1; }", "misaligned address"),
    "overflow": ("int f(int *a) { int b = a[0] + 2147483647; return b + b; }", "signed integer overflow"),
}  # fmt: skip
SANITIZED = """
import ctypes, sys
from minifw.compile.build import library
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
memory = ctypes.c_void_p(libc.malloc(16))
ctypes.memset(memory, 0, 16)
f = library(sys.argv[1], sanitize=True).f
f(memory)
"""


@pytest.mark.skipif(not available(), reason="the compiler has no sanitizers")
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_the_code_is_found_by_sanitizers(fault: str) -> None:
    text, message = FAULTS[fault]
    done = run_sanitized(SANITIZED, text)
    assert (done.returncode == 0) == (fault == "none"), done.stderr
    assert message in done.stderr
    assert fault == "none" or re.search(r"\bf\b.*step\.c:1\b", done.stderr)  # where it is
