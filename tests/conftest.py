"""What every test shares: few threads, since CI has two cores, and a seeded torch."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)
