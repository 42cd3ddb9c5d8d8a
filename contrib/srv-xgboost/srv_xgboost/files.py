"""Files of XGBoost, told from others of the same name by their first bytes."""

from __future__ import annotations

import re
from pathlib import Path

from srv.errors import SrvError

#: What a model's file may be called where the settings name none.
WELL_KNOWN = ("model.ubj", "model.json", "model.bst")
#: How much of a file is read to recognise it.
_HEAD = 256
#: A JSON file begins with one of its two keys.
_JSON = re.compile(rb'\s*\{\s*"(learner|version)"\s*:')
#: So begins a UBJSON file: an object whose first key, with its length before it, is one of the two.
_UBJSON = re.compile(rb"\{[Lli\x00-\x20]*(learner|version)", re.DOTALL)


class FilesGone(SrvError):
    """Neither build of XGBoost can be imported; where both were installed, who uninstalls one takes the other's files too."""

    def __init__(self) -> None:
        super().__init__(
            "xgboost cannot be imported. Where xgboost and xgboost-cpu were both installed and one was uninstalled, the files of "
            "the other went with it: pip install --force-reinstall --no-deps xgboost-cpu"
        )


class OldFormat(SrvError):
    """The file is in the binary format that XGBoost wrote before UBJSON."""

    def __init__(self, file: Path, version: str) -> None:
        super().__init__(
            f"'{file.name}' is in the old binary format of XGBoost, which xgboost {version} does not read. Convert it where "
            f"an xgboost older than 3.1 is installed: xgboost.Booster(model_file='{file.name}').save_model('model.ubj')."
        )


class NotXGBoost(SrvError):
    """The file holds something else than a model of XGBoost."""

    def __init__(self, file: Path) -> None:
        super().__init__(
            f"'{file.name}' holds no model of XGBoost. Save the model with save_model('model.ubj'), or name another runtime "
            "in the settings."
        )


class Unreadable(SrvError):
    """XGBoost refuses the file."""

    def __init__(self, file: Path, version: str, why: str) -> None:
        super().__init__(
            f"xgboost {version} cannot read '{file.name}': {why.rstrip('.')}. Save or copy it again, or install the release "
            "that saved it."
        )


def is_xgboost(path: Path) -> bool:
    """Whether a file looks like one of XGBoost: its JSON, its UBJSON, or the old binary format."""
    head = _head_of(path)
    return bool(_JSON.match(head) or _UBJSON.match(head)) or is_old(path)


def format_of(path: Path) -> str:
    """Return the format of a file of XGBoost as `save_model` calls it: json, ubj, or deprecated. Raises NotXGBoost."""
    head = _head_of(path)
    if _JSON.match(head):
        return "json"
    if _UBJSON.match(head):
        return "ubj"
    if is_old(path):
        return "deprecated"
    raise NotXGBoost(path)


def is_old(path: Path) -> bool:
    """Whether a file is of the old binary format, which begins with its name or with numbers, and is no text."""
    head = _head_of(path)
    return head.startswith((b"binf", b"bs64")) or (not head.startswith(b"{") and b"\0" in head)


def _head_of(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(_HEAD)
