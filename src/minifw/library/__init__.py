"""minifw from Python: train a config, read a run, fit a network to arrays, show progress."""
