"""One file per ablation; a new file here is a new ablation. None imports torch."""
