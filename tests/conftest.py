"""What tests share: a seeded torch, and the command line as a user calls it."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from campaigns.enlarged import write_pair
from minifw.cli import main
from minifw.runs.records import Manifest

ROOT = Path(__file__).parent.parent
SMALL = ("--set", "data.train=40", "--set", "data.test=30", "--set", "train.batch_size=15")
# A run that is compiled, the same for all tests that need only some: its loop is then compiled
# once. Batches of one, and one step that is left after whole turns.
COMPILED = (
    "simplenet-sgd", "--set", "data.train=5", "--set", "data.test=30",
    "--set", "train.batch_size=1", "--set", "train.compile=true",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture(scope="session", autouse=True)
def _signals_are_heard() -> None:
    """Commands that tests start and interrupt must not inherit what a shell's `&` ignores."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
        if signal.getsignal(number) is signal.SIG_IGN:
            usual = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
            signal.signal(number, usual)


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where compiled loops are kept during the tests: never in the user's own cache."""
    folder = tmp_path_factory.mktemp("cache")
    os.environ["XDG_CACHE_HOME"] = str(folder)
    return folder / "minifw"


@pytest.fixture(scope="session")
def its_data(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], tuple[str, ...]]:
    """The words by which a packaged config finds data that do not come with it: those of lenet."""
    folder, rng = tmp_path_factory.mktemp("mnist"), np.random.default_rng(0)
    for part in ("train", "t10k"):
        images = rng.integers(0, 256, (64, 28, 28), np.uint8)
        write_pair(folder, part, images, np.arange(64) % 10)
    words = ("--set", f"data.path={folder}", "--set", "data.train=64")
    return lambda path: words if path.stem == "lenet" else ()


def a_manifest() -> Manifest:
    """That of a run which has just begun."""
    return Manifest.model_validate(
        {
            "format": 1, "status": "running", "name": "a", "seeds": [0], "modes": ["sgd"],
            "arms": ["minifw"], "threads": 1, "versions": {}, "data_checksum": None,
            "started": "2026-11-25T12:00:00+00:00", "parts": {}, "files": {},
        }
    )  # fmt: skip


@dataclass(frozen=True)
class Answer:
    """What a command printed, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Minifw = Callable[..., Answer]


@pytest.fixture
def minifw(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Minifw:
    """Call the command line in an empty folder: `minifw("train", path, "--seeds", 3)`."""
    monkeypatch.chdir(tmp_path)

    monkeypatch.setattr(main, "leave_process", sys.exit)  # its os._exit would end the tests too

    def call(*words: object) -> Answer:
        monkeypatch.setattr(sys, "argv", ["minifw", *map(str, words)])
        capfd.readouterr()
        threads = torch.get_num_threads()
        try:
            main.main()
        except SystemExit as end:
            code = end.code
        finally:
            torch.set_num_threads(threads)
        assert isinstance(code, int)
        return Answer(code, *capfd.readouterr())

    return call
