"""Running: processes, devices and executors that carry out runs."""
