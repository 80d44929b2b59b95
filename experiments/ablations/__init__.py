"""The ablations, one per file: adding a file adds an ablation. No file imports torch."""
