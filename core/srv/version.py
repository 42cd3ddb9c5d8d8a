"""The version of srv, a literal that setup.cfg reads without importing anything."""

__version__ = "0.1.0"
