"""Files of LightGBM: told from others of the same name by their first line, and what stands before their trees."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from srv.errors import SrvError

#: What a model's file may be called where the settings name none.
WELL_KNOWN = ("model.txt", "model.lgb", "model.bst")
#: How much of a file is read to recognise it.
_HEAD = 64
#: What stands after the last tree.
_END = b"end of trees"
_PARAMETERS, _END_OF_PARAMETERS = b"\nparameters:", b"\nend of parameters"
_CATEGORIES = b"pandas_categorical:"


class NotLightGBM(SrvError):
    """The file holds something else than a model of LightGBM."""

    def __init__(self, file: Path) -> None:
        super().__init__(
            f"'{file.name}' holds no model of LightGBM. Save the model with booster.save_model('model.txt'), or name another "
            "runtime in the settings."
        )


class CutOff(SrvError):
    """The file ends too early, or was changed."""

    def __init__(self, file: Path, lacks: str) -> None:
        super().__init__(
            f"'{file.name}' does not hold {lacks}: it was cut off, or its text was changed. Save or copy it again, as it is."
        )


class Unreadable(SrvError):
    """LightGBM refuses the file."""

    def __init__(self, file: Path, version: str, why: str) -> None:
        super().__init__(
            f"lightgbm {version} cannot read '{file.name}': {why.rstrip('.')}. Save or copy it again, or install the release "
            "that saved it."
        )


def is_lightgbm(path: Path) -> bool:
    """Whether a file begins as LightGBM's text format does."""
    with path.open("rb") as stream:
        lines = stream.read(_HEAD).replace(b"\r\n", b"\n").split(b"\n")
    return len(lines) > 1 and lines[0] == b"tree" and lines[1].startswith(b"version=")


def header_of(path: Path) -> dict[str, str]:
    """Return the entries of a file before its trees, such as `objective` and `feature_infos`.

    Raises CutOff for a file whose trees, or what stands behind them, are not all there: LightGBM reads some of such files
    without a word, taking categories for numbers, and crashes the process at others.
    """
    found: dict[str, str] = {}
    with path.open("rb") as stream:
        next(stream, None)
        begin = stream.tell()
        for line in iter(stream.readline, b""):
            name, equals, value = line.decode(errors="replace").rstrip("\r\n").partition("=")
            if name == "Tree":
                break
            if equals:
                found[name] = value
            begin = stream.tell()
        if not _has_all_trees(stream, begin, found):
            raise CutOff(path, "all trees that its first lines tell of")
        if not _is_whole_behind_trees(stream.read(), found.get("version", "")):
            raise CutOff(path, "all that stands behind its trees, such as categories")
    return found


def _has_all_trees(stream: BinaryIO, begin: int, header: Mapping[str, str]) -> bool:
    """Whether the trees end where the header says; `begin` is where the first one begins."""
    sizes = header.get("tree_sizes")
    if sizes is None:  # a file of an old release, which LightGBM reads tree by tree
        stream.seek(begin)
        return any(line.startswith(_END) for line in iter(stream.readline, b""))
    try:
        stream.seek(begin + sum(int(size) for size in sizes.split()))
    except (ValueError, OverflowError):  # because a size is no number, or none that a file can have
        return False
    return stream.read(len(_END)) == _END


def _is_whole_behind_trees(rest: bytes, version: str) -> bool:
    """Whether a file has all that LightGBM wrote after the last tree, as far as that can be told.

    Parameters come first, and from Python the categories of pandas. A booster that was read from a file without parameters and
    saved again has none; one of a release before the version v3 may have neither. Other languages write no categories.
    """
    if _PARAMETERS in rest and _END_OF_PARAMETERS not in rest:
        return False
    behind = rest.rpartition(_END_OF_PARAMETERS)[2].strip()
    if _END_OF_PARAMETERS in rest:
        return not behind or behind.startswith(_CATEGORIES)
    return _CATEGORIES in behind or version in ("", "v2")
