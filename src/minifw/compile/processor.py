"""What this processor can do: compiled code depends on it."""

from __future__ import annotations

import platform
from functools import cache

from minifw.system.environment import cpu_info


@cache
def features() -> str:
    """Return the kind of this processor, for which alone code is compiled."""
    known = cpu_info()
    features = known.get("flags") or known.get("Features")  # of x86, of ARM
    if features is None:  # not Linux, where Python would start a process to ask
        features = platform.processor()
    return f"{platform.system()} {platform.machine()} {features}"


def is_arm() -> bool:
    """Whether this is a 64-bit ARM."""
    return platform.machine().lower() in ("aarch64", "arm64")


def is_x86() -> bool:
    """Whether this is a 64-bit x86."""
    return platform.machine().lower() in ("x86_64", "amd64")


def vector_bytes() -> int:
    """Return how many bytes a vector of this processor holds: 64, 32 or 16.

    16 is right everywhere, if not the fastest: all 64-bit x86 and ARM processors have such vectors.
    Only Linux says more.
    """
    known = features().split()
    if not is_x86():
        return 16
    # AVX alone calculates with integers, which masks are, in halves.
    return 64 if "avx512f" in known else 32 if "avx2" in known else 16
