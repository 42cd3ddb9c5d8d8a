"""Builders of plugins: an error that is no SrvError becomes a sentence with the plugin's name."""

from __future__ import annotations

from srv.discovery.plugin import Plugin
from srv.discovery.plugins import failure
from srv.errors import SrvError, closed
from srv.images import Builder, BuildFailed, BuildOrder, BuiltImage, Progress


class NamedBuilder(Builder):
    """A plugin's builder, or the reason why its class made none."""

    def __init__(self, row: Plugin, made: type[Builder]) -> None:
        self._plugin = str(row)
        self._broken = ""
        self.name = row.name  # type: ignore[misc]  # a class variable of Builder
        try:
            self._builder: Builder | None = made()
        except Exception as error:  # noqa: BLE001 - whatever a plugin raises, other builders can build
            self._builder, self._broken = None, self._raised("its __init__", error)
        self.heeds = made.heeds  # type: ignore[misc]  # as above
        self.reproducible = made.reproducible  # type: ignore[misc]  # as above

    def unavailable(self) -> str | None:
        """Return the builder's own reason, or how it failed to give one."""
        if self._builder is None:
            return self._broken
        try:
            return self._builder.unavailable()
        except SrvError as error:
            return str(error)
        except Exception as error:  # noqa: BLE001 - as above
            return self._raised("unavailable", error)

    def refusal(self, order: BuildOrder) -> str | None:
        """Return the builder's own reason, or how it failed to give one."""
        try:
            return None if self._builder is None else self._builder.refusal(order)
        except SrvError as error:
            return str(error)
        except Exception as error:  # noqa: BLE001 - as above
            return self._raised("refusal", error)

    def command(self, order: BuildOrder) -> str | None:
        """Return what the builder would run, or how it failed to say."""
        try:
            return None if self._builder is None else self._builder.command(order)
        except Exception as error:  # noqa: BLE001 - as above
            return self._raised("command", error)

    def build(self, order: BuildOrder, progress: Progress) -> BuiltImage:
        """Build with the plugin's builder. Raises BuildFailed with the plugin's name for an error that is no SrvError."""
        assert self._builder is not None
        try:
            return self._builder.build(order, progress)
        except SrvError:
            raise
        except Exception as error:
            sentence = f"{self._raised('build', error)} Mend it, or choose another builder with --builder."
            raise BuildFailed(sentence) from error

    def _raised(self, where: str, error: Exception) -> str:
        return f"The {self._plugin} raised in {where}: {closed(failure(error))}"
