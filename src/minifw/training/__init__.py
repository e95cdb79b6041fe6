"""Training: the loop over epochs, evaluation, history, checkpoints; without files or terminal."""
