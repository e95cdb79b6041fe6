"""Cut a checkpoint at every length and flip single bits of it: every damage must be noticed.

    python -m campaigns.damage --flips 3000 --cuts 0

A checkpoint of a run is damaged and read again as `resume` and `runs verify` do. `--cuts N` tries N
lengths only, 0 all of them. The manifest is treated in the same way.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from pathlib import Path

from campaigns._processes import run_of, start, wait
from minifw import runs
from minifw.errors import ArtefactError

TRAIN = (
    "train",
    "simplenet-sgd",
    "-q",
    "--seeds",
    2,
    "--set",
    "train.epochs=4",
    "--set",
    "data.train=80",
)


def noticed(path: Path, name: str) -> bool:
    """Whether the damage of this file is seen: an ArtefactError, and nothing else."""
    try:
        run = runs.load(path)
        if name != runs.MANIFEST:
            run.read(name)
    except ArtefactError:
        return True
    return False


def main() -> int:
    """Run the campaign; 0 if all damage was noticed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--flips", type=int, default=3000)
    parser.add_argument("--cuts", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    chance = random.Random(given.seed)
    missed = 0
    with tempfile.TemporaryDirectory(prefix="minifw-damage-") as folder:
        code = wait(start(Path(folder), *TRAIN))
        if code:
            sys.exit(f"train ended with {code}: {(Path(folder) / 'output').read_text()}")
        path = run_of(Path(folder))
        for name in ("checkpoints/minifw-sgd.safetensors", runs.MANIFEST):
            file = path / name
            whole = file.read_bytes()
            assert not noticed(path, name)
            lengths = range(len(whole))
            cuts = [*lengths] if not given.cuts else chance.sample(lengths, given.cuts)
            # Of the manifest the last byte is a line break, which says nothing.
            cuts = [cut for cut in cuts if whole[:cut].strip() != whole.strip()]
            unseen = 0
            for cut in cuts:
                file.write_bytes(whole[:cut])
                unseen += not noticed(path, name)
            print(f"{name}: {len(cuts)} truncations, {len(cuts) - unseen} noticed")
            missed += unseen
            unseen = 0
            for _ in range(given.flips):
                bit = chance.randrange(8 * len(whole))
                damaged = bytearray(whole)
                damaged[bit // 8] ^= 1 << bit % 8
                file.write_bytes(damaged)
                unseen += not noticed(path, name) and not _says_the_same(bytes(damaged), whole)
            print(f"{name}: {given.flips} flipped bits, {given.flips - unseen} noticed")
            missed += unseen
            file.write_bytes(whole)
    return bool(missed)


def _says_the_same(damaged: bytes, whole: bytes) -> bool:
    """Whether these are manifests of equal content: a space may become a line break, say."""
    import json

    try:
        return bool(json.loads(damaged) == json.loads(whole))
    except ValueError:
        return False


if __name__ == "__main__":
    sys.exit(main())
