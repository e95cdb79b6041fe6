"""A run's network as a file of another program."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from minifw.export import c_file, onnx_file, source, weights
from minifw.export.formats import FORMATS, format_of
from minifw.export.parcel import Parcel, packed
from minifw.runs import Run, refuse_inside
from minifw.system.files import write_output

WRITERS: dict[str, Callable[[Parcel], bytes]] = {
    "torch": weights.torch_file,
    "torch-code": source.torch_code,
    "safetensors": weights.safetensors_file,
    "npz": weights.npz_file,
    "onnx": onnx_file.onnx_file,
    "c": c_file.c_file,
}


def export(
    run: Run,
    out: Path | None = None,
    kind: str | None = None,
    *,
    seed: int | None = None,
    all_seeds: bool = False,
    mode: str | None = None,
    allow_code: bool = False,
) -> tuple[Path, Parcel]:
    """Write a network of a run in a format of `FORMATS`; return the file, and what is in it.

    Args:
        run: a finished run.
        out: the file; by default the run's name with the format's ending, in this folder.
        kind: the format; by default that of the file's ending, or torch.
        seed: by default the one whose test error is nearest to the median over the seeds.
        all_seeds: all of them in one file, `(seeds, …)`; of safetensors and npz.
        mode: the mode, if the run has several.
        allow_code: whether the run's own Python files may be executed.

    Raises:
        UsageError: there is no such format, seed or mode; the seed diverged; the format cannot hold
            the network.
        ArtefactError: the run is damaged, or of a minifw that kept too little.
        CheckError: the file does not predict what minifw does.
        StorageError: the file cannot be written.

    """
    kind = format_of(kind, out)
    if out is None:
        out = Path(f"{run.manifest.name}{FORMATS[kind].suffix}")
    refuse_inside(out, "--out")
    parcel = packed(run, mode, seed, all_seeds=all_seeds, allow_code=allow_code)
    write_output(out, WRITERS[kind](parcel))
    return out, parcel
