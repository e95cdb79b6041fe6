"""Fuzzed configs: each is a Config or an error whose lines all have a place, quickly.

    python -m campaigns.fuzz_configs [--configs 10000] [--seed 0]

A third are mutations of the shipped configs (bytes, tokens and lines deleted, doubled, replaced,
moved), a third values of any shape written as YAML in the place of a section, the rest text of
YAML's own characters, bytes, and files near the bounds of size, depth and number of values. Each
tenth gets a `--set` as well. Ends with 1 if one gave a traceback or a fault without its place, took
more than 0.2 s (the least of three tries, since other programs run beside), or if the whole process
ever held more than 200 MB.
"""

from __future__ import annotations

import argparse
import random
import re
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from minifw.config import loading
from minifw.errors import ConfigError

ROOT = Path(__file__).parents[2]
SHIPPED = [path.read_bytes() for path in sorted((ROOT / "src/minifw/examples").glob("*.yaml"))]

SECONDS, MEGABYTES, HANG = 0.2, 200, 10

WORDS = [
    "name", "data", "kind", "disk", "moons", "csv", "path", "network", "linear", "relu", "init",
    "normal", "loss", "mse", "train", "mode", "sgd", "eta", "epochs", "out_features", "compile",
    "true", "null", "~", ".nan", "-.inf", "1e-3", "0x_", "0o9", "2024-13-45", "1:30", "1_000", "on",
    "9" * 5000, "0", "-1", "1.0", "1e400", "''", '"0.1"', "[", "]", "{", "}", ": ", "- ", "? ", ",",
    "\n", "\n  ", "\t", "#", "&a ", "*a", "!!int ", "!x ", "<<: ", "---\n", "...\n", "%YAML 1.2\n",
    "%TAG ! x\n", "|\n", ">\n", "'", '"', "\\", "\0", "\x1b[31m", "\x85", "\u2028", "\ufeff", "é",
    "😀", "[/x]", "<b>", "../..", "/etc/passwd", "CON", "x" * 2000,
]  # fmt: skip


# ------------------------------------------------------------------------------------- making them


def mutated(rng: random.Random) -> bytes:
    """A shipped config with one to eight mistakes in it."""
    text = rng.choice(SHIPPED)
    for _ in range(rng.randint(1, 8)):
        unit = rng.choice([b"", b"\n", b" "])
        pieces = text.split(unit) if unit else [bytes([byte]) for byte in text]
        if not pieces:
            break
        at = rng.randrange(len(pieces))
        match rng.randrange(5):
            case 0:
                del pieces[at]
            case 1:
                pieces.insert(at, pieces[at])
            case 2:
                pieces[at] = rng.choice(WORDS).encode()
            case 3:
                other = rng.randrange(len(pieces))
                pieces[at], pieces[other] = pieces[other], pieces[at]
            case _:
                pieces.insert(at, rng.randbytes(rng.randint(1, 3)))
        text = unit.join(pieces)
    return text


def value(rng: random.Random, depth: int = 0) -> str:
    """Any value, in flow style."""
    match rng.randrange(4 if depth < 6 else 1):
        case 1:
            return "[" + ", ".join(value(rng, depth + 1) for _ in range(rng.randrange(4))) + "]"
        case 2 | 3:
            pairs = (
                f"{rng.choice(WORDS[:19])}: {value(rng, depth + 1)}"
                for _ in range(rng.randrange(4))
            )
            return "{" + ", ".join(pairs) + "}"
    return rng.choice(WORDS[:45])


def structured(rng: random.Random) -> bytes:
    """A sound config, in which one or two sections are anything at all."""
    sections = {
        "name": "a", "data": "disk", "network": "[linear: 2]", "loss": "mse",
        "train": "{eta: 1, epochs: 1}",
    }  # fmt: skip
    for _ in range(rng.randint(1, 2)):
        key = rng.choice([*sections, "init", "optimizer", "seed", "seeds", "dtype", "x"])
        sections[key] = value(rng)
    return "".join(f"{key}: {text}\n" for key, text in sections.items()).encode()


def noise(rng: random.Random) -> bytes:
    """Words and signs of YAML in any order, or bytes."""
    if rng.random() < 0.2:
        return rng.randbytes(rng.randrange(300))
    return "".join(rng.choice(WORDS) for _ in range(rng.randrange(60))).encode()


def large(rng: random.Random) -> bytes:
    """One thing again and again, up to the bound of a file's size and beyond."""
    piece = "".join(rng.choice(WORDS[:80]) for _ in range(rng.randint(1, 3)))
    size = rng.choice([1_000, 30_000, 100_000, (1 << 20) - 2000, 1 << 20])
    head = rng.choice(["", "x: ", "network: [", "data: {", "name: a\n", "network:\n", "train:\n  "])
    start = rng.choice([b"", rng.choice(SHIPPED)])
    if rng.random() < 0.3:  # many keys, all different
        lines = (f"{piece[:20]}{number}: {number}\n" for number in range(size // 12))
        return start + head.encode() + "".join(lines).encode()[:size]
    return start + (head + piece * (size // len(piece.encode()))).encode()


def override(rng: random.Random) -> str:
    """Something after `--set`."""
    path = ".".join(rng.choice([*WORDS[:20], "0", "1", ""]) for _ in range(rng.randint(1, 4)))
    return f"{path}={rng.choice([value(rng), rng.choice(WORDS)])}"


def one(rng: random.Random) -> tuple[bytes, list[str]]:
    """Return the bytes of a config, and what comes after `--set`."""
    kinds: list[Callable[[random.Random], bytes]] = [mutated, structured, noise, large]
    (make,) = rng.choices(kinds, weights=[35, 35, 20, 10])
    overrides = [override(rng) for _ in range(rng.randint(1, 3))] if rng.random() < 0.1 else []
    return make(rng), overrides


# ------------------------------------------------------------------------------------ judging them


@dataclass
class Report:
    """What came of the configs so far. `wrong` and `slow` hold what must not be, and its config."""

    outcomes: Counter[str] = field(default_factory=Counter)
    faults: int = 0
    wrong: list[tuple[str, bytes, list[str]]] = field(default_factory=list)
    slow: list[tuple[str, bytes, list[str]]] = field(default_factory=list)
    slowest: float = 0.0


def judge(path: Path, text: bytes, overrides: list[str], report: Report) -> None:
    """Load one config and note what came of it."""
    path.write_bytes(text)
    seconds, lines, trouble = _load(path, overrides)
    for _ in range(2):
        if SECONDS / 2 < seconds < HANG:
            seconds = min(seconds, _load(path, overrides)[0])
    report.slowest = max(report.slowest, seconds)
    for line in lines:
        if not has_place(line, path, overrides):
            trouble = trouble or f"a fault without its place: {line[:200]!r}"
    if trouble:
        report.wrong.append((trouble, text, overrides))
    elif seconds > SECONDS:
        report.slow.append((f"{seconds:.2f} s", text, overrides))
    report.faults += len(lines)
    report.outcomes["trouble" if trouble else "refused" if lines else "accepted"] += 1


def _load(path: Path, overrides: list[str]) -> tuple[float, tuple[str, ...], str]:
    """Return the seconds, the lines of the error, and what must not have happened."""
    lines: tuple[str, ...] = ()
    trouble = ""
    started = time.perf_counter()
    try:
        loading.load(path, overrides)
    except ConfigError as fault:
        lines = tuple(str(fault).split("\n"))
    except Hang:
        trouble = "hang"
    except Exception:  # exactly what a user must never see
        trouble = "traceback: " + traceback.format_exc(limit=-2)
    return time.perf_counter() - started, lines, trouble


def has_place(line: str, path: Path, overrides: list[str]) -> bool:
    """Whether a line of an error tells where: file:line:column, the file, or `--set …`."""
    of_file = re.match(re.escape(str(path)) + r"(:\d+:\d+)?: \S", line)
    return line.isprintable() and bool(of_file or (overrides and line.startswith("--set ")))


def _megabytes() -> float:
    """Return the most memory that this process has held so far: no config took more."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


class Hang(BaseException):
    """Raised by the alarm; no `except Exception` on the way may keep it."""


def _alarm(number: int, frame: FrameType | None) -> None:
    raise Hang


def run(count: int, seed: int, path: Path, hang: int = 0) -> Report:
    """Judge so many configs, each written to `path`; an alarm after `hang` seconds, 0 for none."""
    report = Report()
    for number in range(count):
        text, overrides = one(random.Random(f"{seed}:{number}"))
        signal.alarm(hang)
        try:
            judge(path, text, overrides, report)
        finally:
            signal.alarm(0)
    return report


def main(arguments: Any = None) -> int:
    """Run the campaign and print what came of it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--configs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGALRM, _alarm)
    with tempfile.TemporaryDirectory() as folder:
        report = run(options.configs, options.seed, Path(folder) / "a.yaml", HANG)
    kinds = Counter(trouble.partition(":")[0] for trouble, _, _ in report.wrong)
    megabytes = _megabytes()
    print(
        f"{options.configs} configs (seed {options.seed}): {report.outcomes['accepted']} accepted, "
        f"{report.outcomes['refused']} refused with {report.faults} faults\n"
        f"{kinds['traceback']} tracebacks, {kinds['hang']} hangs, "
        f"{kinds['a fault without its place']} faults without their place\n"
        f"slowest {report.slowest:.3f} s; the process, torch left out, held {megabytes:.0f} MB "
        "at most"
    )
    for trouble, text, overrides in [*report.wrong, *report.slow][:10]:
        print(f"\n{trouble}\n  {text[:300]!r} --set {overrides}", file=sys.stderr)
    return 1 if report.wrong or report.slow or megabytes > MEGABYTES else 0


if __name__ == "__main__":
    sys.exit(main())
