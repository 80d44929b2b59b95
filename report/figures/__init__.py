"""Figures: charts and tables as HTML fragments."""
