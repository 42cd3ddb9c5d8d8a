"""Discovery: what installed distributions bring, decided from metadata, before anything of it is imported."""

from srv.discovery.errors import (
    ExtraMissing,
    PluginBroken,
    PluginContested,
    PluginDisabled,
    PluginError,
    PluginRefused,
    PluginsNotWhole,
    RequiredPluginMissing,
    RequiredPluginUnusable,
    RuntimeContested,
    UnknownPlugin,
    UnknownRuntime,
)
from srv.discovery.plugin import Plugin, PluginKind, PluginState, normalised
from srv.discovery.plugin_states import COMMANDS_OF_CORE
from srv.discovery.plugins import Plugins, discover

__all__ = [
    "COMMANDS_OF_CORE",
    "ExtraMissing",
    "Plugin",
    "PluginBroken",
    "PluginContested",
    "PluginDisabled",
    "PluginError",
    "PluginKind",
    "PluginRefused",
    "PluginState",
    "Plugins",
    "PluginsNotWhole",
    "RequiredPluginMissing",
    "RequiredPluginUnusable",
    "RuntimeContested",
    "UnknownPlugin",
    "UnknownRuntime",
    "discover",
    "normalised",
]
