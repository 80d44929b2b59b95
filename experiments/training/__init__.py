"""Training: the loop, tasks, optimisers, evaluation and checkpoints."""
