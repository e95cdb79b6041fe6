"""The machine: atomic files, locks, signals, output streams, processors and memory, versions."""
