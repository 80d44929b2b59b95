"""Probes: measurements of a trained network besides its loss."""
