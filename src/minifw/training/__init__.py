"""Training: the loop over epochs, evaluation, history, checkpoints; without files or terminal."""

from minifw.training.checkpoint import Checkpoint
from minifw.training.division import Division, one_thread
from minifw.training.epochs import OnEpoch, Trainer, run_epochs, wait_for
from minifw.training.evaluation import (
    Evaluation,
    errors_of,
    evaluate,
    finite,
    fits_of,
    in_parts,
    may_be_divided,
)
from minifw.training.history import SERIES, STOPPING, VALIDATION, History
from minifw.training.learner import Learner, find_gradients
from minifw.training.stopping import EarlyStopping

__all__ = [
    "SERIES",
    "STOPPING",
    "VALIDATION",
    "Checkpoint",
    "Division",
    "EarlyStopping",
    "Evaluation",
    "History",
    "Learner",
    "OnEpoch",
    "Trainer",
    "arguments",
    "compiled",
    "cost",
    "errors_of",
    "evaluate",
    "find_gradients",
    "finite",
    "fit",
    "fits_of",
    "in_parts",
    "may_be_divided",
    "norms",
    "one_thread",
    "placement",
    "rates",
    "run_epochs",
    "wait_for",
]
