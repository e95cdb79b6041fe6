"""A run comes through what happens to its process: lost streams, signals, a bare machine."""

from __future__ import annotations

import errno
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from conftest import SMALL, Minifw, a_manifest
from minifw import runs
from minifw.compile import processor
from minifw.config import schema
from minifw.errors import Interrupted
from minifw.experiment import plan
from minifw.report import plots
from minifw.system import environment, lock, machine, signals
from minifw.training import compiled
from minifw.training.cost import Work

QUICK = ("train", "simplenet", *SMALL, "--set", "train.epochs=4")
DIVERGES = (*QUICK, "--set", "train.eta=1e30")
LONG = (
    "train",
    "simplenet",
    *SMALL,
    "--set",
    "train.epochs=1000000",
    "--set",
    "train.compile=false",
)


class Lost(io.StringIO):
    """A file that takes `lines` writes, and fails from then on."""

    def __init__(self, number: int, terminal: bool = False, takes: int = 0) -> None:
        super().__init__()
        self.fault = OSError(number, os.strerror(number))
        self.terminal, self.takes = terminal, takes

    def write(self, text: str) -> int:
        self.takes -= 1
        if self.takes < 0:
            raise self.fault
        return super().write(text)

    def flush(self) -> None:
        if self.takes < 0:
            raise self.fault

    def isatty(self) -> bool:
        return self.terminal


def closed() -> io.StringIO:
    file = io.StringIO()
    file.close()
    return file


def the_run(folder: Path) -> runs.Run:
    (path,) = folder.glob("runs/*")
    return runs.load(path)


# ------------------------------------------------------------------------------------ streams


@pytest.mark.parametrize(
    "stderr",
    [
        pytest.param(Lost(errno.EPIPE), id="a reader that goes away"),
        pytest.param(Lost(errno.ENOSPC), id="a full disk"),
        pytest.param(Lost(errno.EIO, terminal=True, takes=3), id="a terminal that is closed"),
        pytest.param(closed(), id="a closed file"),
        pytest.param(None, id="none"),
    ],
)
def test_a_lost_progress_line_ends_no_training(
    minifw: Minifw, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, stderr: Any
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", stderr)
        answer = minifw(*QUICK)
        assert sys.stderr is stderr  # what a program around this one has set
    assert answer.code == 0
    assert the_run(tmp_path).status() == "complete"
    assert answer.out.splitlines()[-1] == str(the_run(tmp_path).path.relative_to(tmp_path))


@pytest.mark.parametrize(
    ("stdout", "words", "code", "message"),
    [
        (Lost(errno.EPIPE), QUICK, 0, ""),
        (Lost(errno.EPIPE), DIVERGES, 3, ": all 1 networks diverged"),
        (Lost(errno.ENOSPC), QUICK, 6, "minifw: standard output: No space left on device\n"),
        (Lost(errno.ENOSPC), DIVERGES, 3, ": all 1 networks diverged"),
        (None, DIVERGES, 3, ": all 1 networks diverged"),
    ],
    ids=["pipe", "pipe, diverged", "full", "full, diverged", "none, diverged"],
)
def test_lost_results_change_nothing_in_the_run_nor_in_how_it_went(
    minifw: Minifw, monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
    stdout: Any, words: tuple[str, ...], code: int, message: str,
) -> None:  # fmt: skip
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", stdout)
        answer = minifw(*words, "--quiet")
    assert answer.code == code
    assert answer.err.endswith(message) if code == 6 else message in answer.err
    run = the_run(tmp_path)
    assert (run.status(), run.faults()) == ("diverged" if code == 3 else "complete", [])


def test_work_goes_on_when_nobody_reads_of_it(
    minifw: Minifw, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Unbuffered, each line is a chance to fail: all runs are looked at and deleted."""
    for _ in range(2):
        run = runs.create(tmp_path / "runs", a_manifest())
        run.commit(status="complete", files={"x": "0" * 64})
    names = [path.name for path in (tmp_path / "runs").iterdir()]
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", Lost(errno.EPIPE))
        assert minifw("runs", "verify", *names).code == 4
        assert minifw("runs", "rm", "--yes", *names).code == 0
    assert list((tmp_path / "runs").iterdir()) == []


NO_STREAMS = """
import os, sys
from minifw.system import streams
with streams.that_never_fail():
    file = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT)
    os.write(1, b"what a library prints")
    os.write(2, b"what a library prints")
    assert sys.stdin.read() == ""
    print("nothing"), print("nothing", file=sys.stderr)
    os.write(file, b"content")
assert (sys.stdin, sys.stdout, sys.stderr) == (None, None, None)
"""


def test_a_file_never_gets_the_number_of_a_closed_stream(tmp_path: Path) -> None:
    shell = 'exec "$0" -c "$1" "$2" <&- >&- 2>&-'
    words = ["sh", "-c", shell, sys.executable, NO_STREAMS, str(tmp_path / "file")]
    assert subprocess.run(words, check=False).returncode == 0
    assert (tmp_path / "file").read_text() == "content"


def test_nobody_who_could_be_asked(minifw: Minifw, monkeypatch: pytest.MonkeyPatch) -> None:
    path = runs.create(Path("runs"), a_manifest()).path
    (path / "lock").touch()
    monkeypatch.setattr(sys, "stdin", None)
    answer = minifw("runs", "rm", path.name)
    assert (answer.code, path.exists()) == (2, True)
    assert answer.err == "runs rm: no terminal to ask on; --yes deletes without asking\n"


def test_what_the_machine_refuses_is_a_line_and_a_bug_is_none(
    minifw: Minifw, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(fault: Exception) -> Any:
        def text() -> str:
            raise fault

        return text

    monkeypatch.setattr(schema, "text", fails(OSError(errno.EIO, "Input/output error", "a\nb")))
    answer = minifw("schema")
    assert (answer.code, answer.err) == (6, "minifw: a\\nb: Input/output error\n")
    monkeypatch.setattr(schema, "text", fails(KeyError("shape")))
    with pytest.raises(KeyError, match="shape") as caught:
        minifw("schema")
    assert "this is a bug in minifw" in caught.value.__notes__[0]


# ------------------------------------------------------------------------------------ signals


@pytest.mark.parametrize("number", signals.SIGNALS, ids=lambda number: number.name)
def test_each_signal_has_its_code_and_one_that_was_ignored_stays_so(
    number: signal.Signals,
) -> None:
    with pytest.raises(Interrupted) as caught, signals.on_signals():  # noqa: PT012
        os.kill(os.getpid(), number)
        time.sleep(1)
    assert caught.value.exit_code == 128 + number
    usual = signal.signal(number, signal.SIG_IGN)
    try:
        with signals.on_signals() as stop:
            os.kill(os.getpid(), number)
        assert stop.asked is None
        assert signal.getsignal(number) is signal.SIG_IGN
    finally:
        signal.signal(number, usual)


def test_only_who_repeats_an_interrupt_wants_no_orderly_end() -> None:
    """A terminal that closes sends SIGHUP twice; a batch system warns, and then terminates."""
    with signals.on_signals() as stop:
        stop.patient = True
        for number in (signal.SIGHUP, signal.SIGHUP, signal.SIGUSR1, signal.SIGTERM):
            os.kill(os.getpid(), number)  # a second SIGTERM would end the tests here
        assert stop.asked == signal.SIGHUP


def test_a_block_within_another_hears_what_the_outer_one_heard() -> None:
    with signals.on_signals(patient=True) as outer:
        os.kill(os.getpid(), signal.SIGUSR1)
        with signals.on_signals(patient=True) as inner:
            os.kill(os.getpid(), signal.SIGTERM)
            with pytest.raises(Interrupted) as caught:
                inner.check()
        assert (caught.value.exit_code, inner) == (128 + signal.SIGUSR1, outer)
    with signals.on_signals() as another:
        assert another.asked is None


def test_after_the_first_signal_was_said_another_one_changes_nothing() -> None:
    with signals.on_signals():
        with pytest.raises(Interrupted) as caught, signals.on_signals():  # noqa: PT012
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1)
        os.kill(os.getpid(), signal.SIGHUP)  # on the way from the inner block to the outer one
        time.sleep(0.1)
    assert caught.value.exit_code == 130


# A finder that finds nothing, and at one import sends a signal to the process.
IN_AN_IMPORT = """
import os, signal, sys
name, number, *words = sys.argv[1:]
class Sends:
    @staticmethod
    def find_spec(found, path=None, target=None):
        if found == name:
            sys.meta_path.remove(Sends)
            signal.raise_signal(int(number))
            print("and the import goes on", flush=True)
sys.meta_path.insert(0, Sends)
sys.argv = ["minifw", *words]
from minifw.__main__ import main
main()
"""


@pytest.mark.parametrize(
    ("module", "number"),
    [
        ("typer", signal.SIGINT),  # before there is a command line
        pytest.param("numpy.linalg", signal.SIGTERM, marks=pytest.mark.slow),
        pytest.param("torch._C", signal.SIGHUP, marks=pytest.mark.slow),
        pytest.param("minifw.experiment.running", signal.SIGINT, marks=pytest.mark.slow),
        ("matplotlib.figure", signal.SIGTERM),  # a run is there by then
    ],
)
def test_a_signal_during_an_import_is_heard_after_it(
    tmp_path: Path, module: str, number: signal.Signals
) -> None:
    # Where torch is there already, no other process imports matplotlib.
    code = ("import torch\n" if module == "matplotlib.figure" else "") + IN_AN_IMPORT
    words = [sys.executable, "-c", code, module, str(int(number)), *QUICK, "--quiet"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (128 + number, "and the import goes on\n")
    if module == "matplotlib.figure":
        run = the_run(tmp_path)
        assert run.status() == "interrupted"
        end = f"to continue: minifw resume {run.path.relative_to(tmp_path)}"
    else:
        assert not (tmp_path / "runs").exists()
        end = "nothing was begun"
    assert done.stderr == f"minifw: interrupted; {end}\n"


def test_what_a_library_swallows_is_said_at_the_end(
    minifw: Minifw, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = schema.text

    def swallows() -> str:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(1)
        except BaseException:
            return usual()
        raise AssertionError

    monkeypatch.setattr(schema, "text", swallows)
    answer = minifw("schema")
    assert (answer.code, answer.err) == (143, "minifw: interrupted; the command was over\n")


@pytest.mark.parametrize("where", ["draw", "compile", "figures"])
def test_a_signal_is_heard_at_every_stage(
    minifw: Minifw, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, where: str
) -> None:
    def signals(*of: Any) -> None:
        os.kill(os.getpid(), signal.SIGHUP)
        time.sleep(1)

    owner, name = {
        "draw": (plan.Plan, "draw"),
        "compile": (compiled, "Program"),
        "figures": (plots, "write_plots"),
    }[where]
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, signals)
        if where == "compile":
            patch.setattr(Work, "saves_time", True)
        answer = minifw(*QUICK, "--quiet")
    assert (answer.code, answer.out) == (129, "")
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL
    if where == "draw":
        assert answer.err == "minifw: interrupted; nothing was begun\n"
        assert not (tmp_path / "runs").exists()
        return
    run = the_run(tmp_path)
    path = run.path.relative_to(tmp_path)
    assert answer.err == f"minifw: interrupted; to continue: minifw resume {path}\n"
    assert run.status() == "interrupted"
    if where == "figures":
        assert minifw("resume", path).code == 0
        assert (run.path / "plots/errors.svg").exists()


def test_a_terminal_that_closes_leaves_a_checkpoint(tmp_path: Path) -> None:
    pty = pytest.importorskip("pty", reason="pseudo-terminals exist on POSIX systems only")
    main, side = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "minifw", *LONG], cwd=tmp_path, stdout=side, stderr=side
    )
    os.close(side)

    def wait_for_another(known: list[Path]) -> list[Path]:
        while (kept := list(tmp_path.glob("runs/*/checkpoints/*.safetensors"))) in ([], known):
            assert process.poll() is None
            time.sleep(0.02)
        return kept

    assert os.read(main, 1)  # there is a bar
    kept = wait_for_another([])
    os.close(main)
    wait_for_another(kept)  # training goes on, and the bar with it
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGHUP)
    assert process.wait() == 129
    run = the_run(tmp_path)
    assert run.status() == "interrupted"
    assert run.manifest.parts["minifw-full-batch"].epoch > 0


# ------------------------------------------------------------------------------- a bare machine


def test_a_machine_without_home_folder_or_output(tmp_path: Path) -> None:
    """Not a word is said but what the user can do something about."""
    gone = tmp_path / "gone"
    gone.mkdir()
    unusable = str(tmp_path / "file")
    Path(unusable).touch()
    shell = f'rmdir {gone} && exec "$0" -m minifw "$@" <&- >&-'
    away = {"XDG_CONFIG_HOME", "XDG_CACHE_HOME", "MPLCONFIGDIR"}
    done = subprocess.run(
        ["sh", "-c", shell, sys.executable, *QUICK, "--runs-dir", str(tmp_path / "runs")],
        cwd=gone, stderr=subprocess.PIPE, text=True, check=False,
        env={key: value for key, value in os.environ.items() if key not in away}
        | {"HOME": unusable, "PYTHONIOENCODING": "ascii", "TMPDIR": str(tmp_path)},
    )  # fmt: skip
    first, progress = done.stderr.splitlines()
    assert first == ("minifw: the working directory was deleted; only absolute paths can be used")
    assert progress.startswith("minifw full-batch: 4 of 4")
    assert done.returncode == 0
    run = the_run(tmp_path)
    assert (run.status(), run.faults(), run.strangers()) == ("complete", [], [])
    assert {path.name for path in tmp_path.iterdir()} == {"file", "runs"}  # nothing is left


@pytest.mark.skipif(shutil.which("git") is None, reason="there is no git")
def test_git_tells_of_files_of_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert environment.environment()["git"] is None

    def git(*words: str) -> None:
        who = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", *who, *words], check=True, capture_output=True)

    git("init")
    git("config", "core.quotepath", "false")
    git("commit", "--allow-empty", "--no-gpg-sign", "-m", "a")
    found = environment.environment()["git"]
    assert (len(found["commit"]), found["dirty"]) == (40, False)
    with open(b"\xff\xfe\n", "wb"):  # noqa: PTH123, a path of bytes
        pass
    assert environment.environment()["git"] == found | {"dirty": True}


def fault(of: Exception) -> Any:
    def raises(*arguments: Any, **more: Any) -> None:
        raise of

    return raises


@pytest.mark.parametrize(
    "program",
    [None, "printf '\\377'", "exit 1", "sleep 20"],
    ids=["none", "no text", "fails", "takes too long"],
)
def test_without_a_git_that_answers_nothing_is_said_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str | None
) -> None:
    if program is not None:
        (tmp_path / "git").write_text(f"#!/bin/sh\n{program}\n")
        (tmp_path / "git").chmod(0o755)
        if "sleep" in program:
            timeout = subprocess.TimeoutExpired("git", 5)
            monkeypatch.setattr(subprocess.Popen, "communicate", fault(timeout))
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.defpath}" if program else str(tmp_path))
    assert environment.environment()["git"] is None


def test_a_machine_that_does_not_tell_of_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import psutil

    monkeypatch.setattr(Path, "read_text", fault(PermissionError(errno.EACCES, "denied")))
    monkeypatch.setattr("platform.platform", fault(FileNotFoundError(errno.ENOENT, "gone")))
    monkeypatch.setattr("socket.gethostname", fault(OSError(errno.EPERM, "not permitted")))
    monkeypatch.setattr(psutil, "virtual_memory", fault(FileNotFoundError(errno.ENOENT, "gone")))
    monkeypatch.setattr(psutil.Process, "create_time", fault(psutil.NoSuchProcess(1)))
    monkeypatch.setattr(metadata, "version", fault(metadata.PackageNotFoundError("x")))
    told = environment.environment()
    assert told["versions"]["minifw"] == sys.modules["minifw"].__version__
    assert told["platform"].startswith(sys.platform.capitalize())
    assert environment.installed_version("no-such-package") == "unknown"
    assert processor.features.__wrapped__()
    assert machine.available() > 2**20
    with lock.hold(tmp_path):
        assert json.loads((tmp_path / "lock").read_bytes())["pid"] == os.getpid()


FORKED = """
import os, signal, sys, time
from pathlib import Path
from minifw.system import lock
folder = Path(sys.argv[1])
with lock.hold(folder):
    child = os.fork()
    if not child:
        time.sleep(60)
        os._exit(0)
try:
    with lock.hold(folder):
        print("free")
finally:
    os.kill(child, signal.SIGKILL)
"""


def test_a_lock_is_free_although_a_process_being_started_has_its_handle(tmp_path: Path) -> None:
    """Between fork and exec, a worker that Dask begins again has all handles of its parent."""
    asked = [sys.executable, "-c", FORKED, str(tmp_path)]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "free\n"), done.stderr
