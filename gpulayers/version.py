"""The version of the package: the only place where it is written by hand is pyproject.toml."""

__version__ = "0.1.0"
