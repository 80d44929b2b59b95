"""Which runs a study asks for, and at which learning rates."""
