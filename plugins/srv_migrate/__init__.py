"""The command `srv migrate`: a folder of MLServer's in srv's own settings."""

from srv_migrate.command import migrate

__all__ = ["migrate"]
