"""minifw from Python: train a config, load a run, fit a network to arrays, show progress."""
