"""Specs, corpora, the training loop, the runner and the command line."""
