"""`python -m minifw` is `minifw`."""

from minifw.cli import main

main()
