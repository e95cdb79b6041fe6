"""Where `minifw` and `python -m minifw` begin: signals first, since the rest takes a while."""

from __future__ import annotations

from minifw.system.signals import on_signals


def main() -> None:
    """Run the command line; a signal that comes while it is imported is heard after that."""
    with on_signals(patient=True):
        from minifw.cli import main as cli

        cli.main()


if __name__ == "__main__":
    main()
