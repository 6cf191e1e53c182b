"""gpulayers."""
