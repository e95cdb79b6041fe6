"""What goes with weights, in every format: names, normalisation, fills, and the config itself.

It is one JSON object. With it `minifw predict` needs nothing of the run.
"""

from __future__ import annotations

import base64
import json
import re
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from minifw import runs
from minifw.config.model import Config
from minifw.data import Floats
from minifw.data.encoding import Prepared
from minifw.errors import ArtefactError, UsageError
from minifw.experiment import inputs, prediction
from minifw.experiment.decision import median_seed
from minifw.experiment.inputs import Inputs
from minifw.experiment.prediction import Networks
from minifw.runs import Run, records
from minifw.system.environment import installed_version

KEY = "minifw"
"""The name of the JSON in each format."""
LINE = 96
MARK = "minifw-export"

Numbers = list[list[Annotated[float, Field(allow_inf_nan=False)]]]


class About(BaseModel):
    """The JSON beside the weights. Lists of numbers are (seeds, features) or (seeds, targets)."""

    model_config = ConfigDict(strict=True, extra="forbid")

    format: Literal[1] = 1
    minifw: str
    name: str
    mode: str
    inputs: Inputs
    shift: Numbers
    scale: Numbers
    target_shift: Numbers = []
    target_scale: Numbers = []
    fill: Numbers | None = None
    known: list[list[bool]] | None = None
    data_checksum: str | None = None
    config: str
    code: dict[str, str] = {}

    @property
    def seeds(self) -> list[int]:
        """The seeds of the networks."""
        return self.inputs.seeds

    def moved(self, where: str) -> list[Floats]:
        """Return shift and scale of inputs and targets, `(seeds, …)`.

        Raises:
            ArtefactError: they do not fit the inputs.

        """
        found, about = [], self.inputs
        for name in inputs.MOVED:
            columns = about.targets if name.startswith("target") else about.features
            shape = (len(about.seeds), len(columns))
            values = _array(getattr(self, name), shape, f"{where}: {name}")
            if name.endswith("scale") and not (values > 0).all():
                raise ArtefactError(f"{where}: {name}: must be above 0")
            found.append(values)
        return found

    def prepared(self, where: str) -> Prepared | None:
        """Return with what gaps are filled, and which categories are known.

        Raises:
            ArtefactError: that is missing where columns are coded, or does not fit the inputs.

        """
        about = self.inputs
        if about.encoding is None:
            return None
        if self.fill is None or self.known is None:
            raise ArtefactError(f"{where}: fill, known: must be there, since columns are coded")
        shape = (len(about.seeds), len(about.features))
        fill = _array(self.fill, shape, f"{where}: fill")
        known = _array(self.known, shape, f"{where}: known")
        return Prepared(fill, known.astype(bool))

    def text(self) -> str:
        """Return the JSON, in ASCII."""
        return json.dumps(self.model_dump(mode="json"))  # ASCII, since comments hold it


def _array(
    values: list[list[float]] | list[list[bool]], shape: tuple[int, int], where: str
) -> Floats:
    if [*map(len, values)] != [shape[1]] * shape[0] and (shape[1] or values not in ([], [[]])):
        raise ArtefactError(f"{where}: must be {shape[0]} lists of {shape[1]} numbers")
    return np.array(values, float).reshape(shape)


@dataclass(frozen=True)
class Parcel:
    """Trained networks with all that goes with them. `networks.config` is there."""

    about: About
    networks: Networks

    @property
    def config(self) -> Config:
        """What made the networks."""
        assert self.networks.config is not None
        return self.networks.config

    @property
    def weights(self) -> dict[str, Tensor]:
        """Parameters and states by our names; of several seeds `(seeds, …)`."""
        found = self.networks.network.state_dict()
        return found if len(self.about.seeds) > 1 else {name: v[0] for name, v in found.items()}


def packed(
    run: Run, mode: str | None, seed: int | None, *, all_seeds: bool = False,
    allow_code: bool = False,
) -> Parcel:  # fmt: skip
    """Return the networks of a run with all that goes with them: of one seed, or of all.

    Without a seed it is the one whose test error is nearest to the median over the seeds.

    Raises:
        UsageError: the run is not over, has no such mode or seed, or the seed diverged.
        ArtefactError: a file of the run is missing, damaged, or does not fit the others.

    """
    if seed is None and not all_seeds:
        seed = median_of(run, mode)
    networks = prediction.load(run, mode, seed, allow_code=allow_code)
    prepared = networks.prepared
    files = sorted(name for name in run.known if name.endswith(".py"))
    about = About(
        minifw=installed_version("minifw"),
        name=run.manifest.name,
        mode=mode or run.manifest.modes[0],
        inputs=networks.about.model_copy(update={"seeds": networks.seeds}),
        shift=networks.shift.tolist(),
        scale=networks.scale.tolist(),
        target_shift=networks.target_shift.tolist() if networks.about.targets else [],
        target_scale=networks.target_scale.tolist() if networks.about.targets else [],
        fill=None if prepared is None else prepared.fill.tolist(),
        known=None if prepared is None else prepared.known.tolist(),
        data_checksum=run.manifest.data_checksum,
        config=run.read_text("config.yaml"),
        code={name: run.read_text(name) for name in files},
    )
    return Parcel(about, networks)


def median_of(run: Run, mode: str | None) -> int | None:
    """Return the seed whose final test error is nearest to the median, None if it is not known."""
    if run.status() not in runs.OVER or run.manifest.kind != "train":
        return None  # `prediction.load` says so
    modes = run.manifest.modes
    if mode not in (None, *modes) or (mode is None and len(modes) > 1):
        return None
    errors = run.results().modes[mode or modes[0]]["minifw"].test_error
    place = median_seed(np.array([np.nan if error is None else error for error in errors]))
    return None if place is None else run.manifest.seeds[place]


# -------------------------------------------------------------------- the JSON in a file of source


def comment(about: About) -> list[str]:
    """Return the lines of a comment with the JSON, in an alphabet that can end no comment."""
    text = base64.b64encode(about.text().encode()).decode()
    return [f"{MARK} 1", *textwrap.wrap(text, LINE)]


def commented(text: str) -> str | None:
    """Return the JSON in the comment of a source, None if there is none that can be read."""
    found = re.search(rf"^(?:# )?{MARK} 1\n((?:(?:# )?[A-Za-z0-9+/=]+\n)+)", text, re.MULTILINE)
    if found is None:
        return None
    try:
        return base64.b64decode(re.sub(r"[#\s]", "", found[1]), validate=True).decode()
    except ValueError:
        return None


def about_of(text: str | None, path: Path, how: str) -> About:
    """Return what goes with the weights of a file.

    Raises:
        ArtefactError: the file is of another program, or damaged.

    """
    if text is None:
        raise ArtefactError(
            f"{path}: was not written by minifw export: it has no {how}, which tells features, "
            "classes and normalisation; PyTorch's weights are loaded by minifw.reference.load"
        )
    about = records.checked(About, records.parse(text.encode(), str(path)), str(path))
    about.moved(str(path))
    about.prepared(str(path))
    return about


def only_seed(parcel: Parcel, kind: str) -> None:
    """Raise a UsageError if a format of one network is given several."""
    if len(parcel.about.seeds) > 1:
        raise UsageError(
            f"--all-seeds: a file of {kind} is one network; safetensors and npz hold all seeds"
        )


def first_line(fault: BaseException) -> str:
    """Return the first sentence of what another library says, or its kind if it says nothing.

    What comes after it is advice about that library, such as to load what may run code.
    """
    return next(iter(str(fault).splitlines()), type(fault).__name__).partition(". ")[0]
