"""The command `srv init`: a package or a folder of models that installs, passes its tests and serves at once."""

from srv_init.command import init

__all__ = ["init"]
