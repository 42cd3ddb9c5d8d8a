"""The commands `srv install` and `srv uninstall`: plugins, by the installer that the environment has."""

from srv_install.install_command import install
from srv_install.uninstall_command import uninstall

__all__ = ["install", "uninstall"]
