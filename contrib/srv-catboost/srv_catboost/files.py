"""Files of CatBoost: which formats they are in, told by how they begin, without importing CatBoost."""

from __future__ import annotations

import re
from pathlib import Path

from srv.errors import SrvError
from srv.file_formats import check_format

#: What a model's file may be called where the settings name none.
WELL_KNOWN = ("model.cbm", "model.json")
#: How a file in CatBoost's binary format begins.
_CBM = b"CBM1"
#: The keys of CatBoost's JSON, one of which comes first; those of XGBoost's are others.
_JSON = re.compile(rb'\s*\{\s*"(ctr_data|features_info|model_info|oblivious_trees|scale_and_bias|trees)"\s*:')
#: Enough of a file to know it.
_BEGINNING = 4096


class UnknownFile(SrvError):
    """The file is in neither format of CatBoost that can be served."""

    def __init__(self, file: Path) -> None:
        super().__init__(
            f"'{file.name}' holds no model of CatBoost, neither in its binary format (cbm) nor in its JSON. "
            "Save the model with save_model('model.cbm')."
        )


def format_of(file: Path) -> str | None:
    """Return `cbm` or `json`, by how the file begins; None where it is no model of CatBoost."""
    with file.open("rb") as stream:
        beginning = stream.read(_BEGINNING)
    if beginning.startswith(_CBM):
        return "cbm"
    return "json" if _JSON.match(beginning) else None


def checked_format(file: Path, said: str | None) -> str:
    """Return the file's format. Raises UnknownFile, or UnfitFormat where the settings said another one."""
    found = format_of(file)
    if found is None:
        raise UnknownFile(file)
    check_format(file, said, found)
    return found
