"""Trained networks in the forms of other programs, and back."""

from minifw.export.formats import FORMATS
from minifw.export.reading import load
from minifw.export.writing import export

__all__ = ["FORMATS", "export", "load"]
