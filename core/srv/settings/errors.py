"""Errors of settings, each with its sentence.

Settings errors are for the terminal, where the value may be shown. What a client may see of them is `public`, which
never shows one.
"""

from __future__ import annotations

import json
from pathlib import Path

from srv.errors import SettingsError, quoted


class SettingError(SettingsError):
    """A settings error, which also has a shorter sentence without the value, for clients."""

    def __init__(self, sentence: str, *, public: str | None = None) -> None:
        super().__init__(sentence)
        self.public = sentence if public is None else public


class FolderMissing(SettingError):
    """A folder that was asked for is not there, or is no folder."""

    def __init__(self, folder: Path, subject: str) -> None:
        what = "is not a folder" if folder.exists() else "is not there"
        super().__init__(
            f"{subject} {quoted(folder)} {what}. Name a folder that exists.",
            public=f"{subject} {what}.",
        )


class UnreadableSettings(SettingError):
    """A settings file is not one JSON object."""

    def __init__(self, place: str, why: str, remedy: str) -> None:
        super().__init__(f"{place}: {why}. {remedy}")


class UnknownSetting(SettingError):
    """A key is none of srv's."""

    def __init__(self, subject: str, advice: str) -> None:
        super().__init__(f"{subject} is not a setting of srv.{advice}")


class WrongSetting(SettingError):
    """A setting whose value has a wrong type or is out of range."""

    def __init__(self, subject: str, phrase: str, value: object) -> None:
        super().__init__(f"{subject} {phrase}, not {shown(value)}.", public=f"{subject} {phrase}.")


class MissingSetting(SettingError):
    """A setting is missing without which another makes no sense."""

    def __init__(self, subject: str, phrase: str) -> None:
        super().__init__(f"{subject} {phrase}.")


class ContradictorySettings(SettingError):
    """Settings that are right one by one contradict each other."""


def shown(value: object) -> str:
    """Return a setting's value as an error on the terminal shows it: short, and texts told from numbers."""
    if isinstance(value, str):
        return f"the text {quoted(value, most=60)}"
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else f"{text[:59]}…"
