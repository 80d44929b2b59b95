"""Statistics, verdicts, figures, notebooks and the page. Never torch: tables are all it reads."""
