"""Theory: what is checked or measured without training a run."""
