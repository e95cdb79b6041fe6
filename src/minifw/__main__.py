"""The entry point of `minifw` and `python -m minifw`: handles signals before the slow imports."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

from minifw.system.signals import on_signals


def main() -> None:
    """Run the command line; a signal that comes during its import is handled after it."""
    with on_signals(patient=True):
        from minifw.cli import main as cli

        cli.main()


if __name__ == "__main__":
    # `python -m` looks for modules in the current folder first, where a config's own torch.py or
    # json.py may stand: it would run without permission, in place of the real one.
    with suppress(OSError):  # the folder may be gone
        if not sys.flags.safe_path and Path(sys.path[0]) == Path.cwd():
            del sys.path[0]
    main()
