"""The machinery of a run: feeding, training, checkpoints, the command `run`."""
