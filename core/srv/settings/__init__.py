"""Settings: every key with its type and meaning, where each value came from, and what is wrong with one."""

from srv.settings.reading import read_server_settings
from srv.settings.server import CorsSettings, PluginSettings, ServerSettings, TlsSettings

__all__ = ["CorsSettings", "PluginSettings", "ServerSettings", "TlsSettings", "read_server_settings"]
