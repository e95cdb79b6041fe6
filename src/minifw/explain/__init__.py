"""One step of training, layer by layer: what each line of code makes, and what came back."""

from minifw.explain.model import (
    Cost,
    Dead,
    Explained,
    Gradient,
    Layer,
    Moment,
    Numbers,
    Trained,
)
from minifw.explain.sketch import Node, Sketch
from minifw.explain.step import explain

__all__ = [
    "Cost",
    "Dead",
    "Explained",
    "Gradient",
    "Layer",
    "Moment",
    "Node",
    "Numbers",
    "Sketch",
    "Trained",
    "drawing",
    "explain",
    "model",
    "numeric",
    "sketch",
    "step",
    "text",
    "trace",
    "watch",
]
