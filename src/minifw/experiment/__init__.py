"""An experiment: planned, trained arm for arm, kept as it goes, and made into results."""

from minifw.experiment.runner import (
    ARMS,
    MODES,
    Progress,
    resume,
    run,
    run_minifw,
    run_pytorch,
)

__all__ = [
    "ARMS",
    "MODES",
    "Progress",
    "resume",
    "run",
    "run_minifw",
    "run_pytorch",
]
