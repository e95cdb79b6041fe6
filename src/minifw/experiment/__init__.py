"""Experiments: planned, trained arm by arm with checkpoints, and turned into results."""

from minifw.experiment.arms import Progress, ShowProgress, train_minifw, train_pytorch
from minifw.experiment.plan import Experiment, Plan
from minifw.experiment.running import Outcome, WritePlots, check_converged, resume, start

__all__ = [
    "Experiment",
    "Outcome",
    "Plan",
    "Progress",
    "ShowProgress",
    "WritePlots",
    "asking",
    "build",
    "check_converged",
    "checkpointer",
    "decision",
    "drawing",
    "estimates",
    "gradcheck",
    "inputs",
    "looking",
    "memory",
    "plan",
    "prediction",
    "replay",
    "results",
    "resume",
    "scoring",
    "start",
    "starting",
    "train_minifw",
    "train_pytorch",
]
