"""The entry point of `minifw` and `python -m minifw`: handles signals before the slow imports."""

from __future__ import annotations

from minifw.system.signals import on_signals


def main() -> None:
    """Run the command line; a signal that comes during its import is handled after it."""
    with on_signals(patient=True):
        from minifw.cli import main as cli

        cli.main()


if __name__ == "__main__":
    main()
