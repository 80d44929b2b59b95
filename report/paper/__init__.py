"""The paper: a write-up of a study, as HTML and as LaTeX."""
