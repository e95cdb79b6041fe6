"""Training: the loop over epochs, evaluation, history, checkpoints; no files, no terminal."""
