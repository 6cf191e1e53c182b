"""Programs that show what the library does: `python -m gpulayers.examples.digits`."""
