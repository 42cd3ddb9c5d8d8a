"""Discovery: what installed distributions bring, decided from metadata, before anything of it is imported."""

from srv.discovery.decision import COMMANDS_OF_CORE
from srv.discovery.errors import (
    PluginBroken,
    PluginContested,
    PluginDisabled,
    PluginError,
    PluginRefused,
    PluginsNotWhole,
    RuntimeContested,
    UnknownPlugin,
    UnknownRuntime,
)
from srv.discovery.plugin import Kind, Plugin, State, normalised
from srv.discovery.plugins import Plugins, discover

__all__ = [
    "COMMANDS_OF_CORE",
    "Kind",
    "Plugin",
    "PluginBroken",
    "PluginContested",
    "PluginDisabled",
    "PluginError",
    "PluginRefused",
    "Plugins",
    "PluginsNotWhole",
    "RuntimeContested",
    "State",
    "UnknownPlugin",
    "UnknownRuntime",
    "discover",
    "normalised",
]
