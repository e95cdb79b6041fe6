"""The command that writes a network of a run for other programs: `minifw export RUN`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from minifw.cli.options import AllowCode, Json, OneMode, OneRun, RunsDir, print_json
from minifw.errors import UsageError, harmless


def register(app: typer.Typer) -> None:
    """Make `export` a command of the app."""
    app.command()(export)


def export(
    run: OneRun,
    kind: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="torch, torch-code, safetensors, npz, onnx or c. Default: by FILE, else torch.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed",
            metavar="K",
            help="The network of this seed. Default: that of median test error.",
            show_default=False,
        ),
    ] = None,
    all_seeds: Annotated[
        bool, typer.Option("--all-seeds", help="All networks in one file: safetensors, npz.")
    ] = False,
    mode: OneMode = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE",
            help="The file to write. Default: the run's name, in this folder.",
            show_default=False,
        ),
    ] = None,
    runs_dir: RunsDir = Path("runs"),
    allow_code: AllowCode = False,
    as_json: Json = False,
) -> None:
    """Write a trained network as one file for other programs.

    torch is a state dict, torch-code a module of PyTorch as source, onnx a graph, c one file of C
    that needs no library. Normalisation, what gaps are filled with, words, and the names of classes
    go with each; minifw predict reads them all.

    \b
    Examples:
      minifw export a1b2c3
      minifw export a1b2c3 --format onnx --out net.onnx
      minifw export a1b2c3 --format safetensors --all-seeds
    """
    if all_seeds and seed is not None:
        raise UsageError("--all-seeds: cannot be used with --seed, which selects one seed")
    from minifw import runs
    from minifw.export import export as write

    found = runs.load(runs.find(runs_dir, run))
    path, parcel = write(
        found, out, kind, seed=seed, all_seeds=all_seeds, mode=mode, allow_code=allow_code
    )
    about = parcel.about
    if as_json:
        print_json(
            {
                "file": str(path),
                "run_dir": str(found.path),
                "mode": about.mode,
                "seeds": about.seeds,
                "left_out": parcel.networks.left_out,
            }
        )
    else:
        print(harmless(path))
    if left_out := parcel.networks.left_out:
        which = ", ".join(map(str, left_out))
        print(f"minifw: left out, since diverged: seed {which}", file=sys.stderr)
    if seed is None and not all_seeds and len(found.manifest.seeds) > 1:
        which = f"seed {about.seeds[0]}, whose test error is nearest to the median of"
        print(f"minifw: {which} {len(found.manifest.seeds)} seeds", file=sys.stderr)
