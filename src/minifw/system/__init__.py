"""The machine: whole files or none, signals, processors and memory, prints that never fail."""
