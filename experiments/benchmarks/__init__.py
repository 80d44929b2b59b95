"""Benchmarks: costs, throughput and calibration on this machine."""
