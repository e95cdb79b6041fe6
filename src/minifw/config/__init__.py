"""What a config may say, and how a YAML file becomes one that is checked."""

from minifw.config.model import (
    Activation,
    Config,
    Csv,
    Disk,
    FromFile,
    Generated,
    HalfPlane,
    LinearLayer,
    LossConfig,
    Moons,
    NormalInit,
    Npz,
    PlainInit,
    Spirals,
    Train,
)

__all__ = [
    "Activation",
    "Config",
    "Csv",
    "Disk",
    "FromFile",
    "Generated",
    "HalfPlane",
    "LinearLayer",
    "LossConfig",
    "Moons",
    "NormalInit",
    "Npz",
    "PlainInit",
    "Spirals",
    "Train",
]
