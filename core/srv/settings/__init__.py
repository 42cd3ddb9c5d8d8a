"""Settings: every key with its type and meaning, the origin of each value, and the errors."""

from srv.settings.reading import read_server_settings
from srv.settings.server import CorsSettings, PluginSettings, ServerSettings, TlsSettings

__all__ = ["CorsSettings", "PluginSettings", "ServerSettings", "TlsSettings", "read_server_settings"]
