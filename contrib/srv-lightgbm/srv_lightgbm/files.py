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


class NotLightGBM(SrvError):
    """The file holds something else than a model of LightGBM."""

    def __init__(self, file: Path) -> None:
        super().__init__(
            f"'{file.name}' holds no model of LightGBM. Save the model with booster.save_model('model.txt'), or name another "
            "runtime in the settings."
        )


class CutOff(SrvError):
    """The file ends within its trees, or was changed there."""

    def __init__(self, file: Path) -> None:
        super().__init__(
            f"'{file.name}' does not hold all trees that its first lines tell of: it was cut off, or its text was changed. "
            "Save or copy it again, as it is."
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

    Raises CutOff for a file whose trees are not all there: LightGBM reads some of such files without a word, and crashes the
    process at others.
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
            raise CutOff(path)
    return found


def _has_all_trees(stream: BinaryIO, begin: int, header: Mapping[str, str]) -> bool:
    """Whether the trees end where the header says; `begin` is where the first one begins."""
    sizes = header.get("tree_sizes")
    if sizes is None:  # a file of an old release, which LightGBM reads tree by tree
        stream.seek(begin)
        return _END in stream.read()
    try:
        stream.seek(begin + sum(int(size) for size in sizes.split()))
    except (ValueError, OverflowError):  # because a size is no number, or none that a file can have
        return False
    return stream.read(len(_END)) == _END
