"""What a file of PyTorch holds, told by the names in its zip archive; nothing of it is run, and torch is not imported."""

from __future__ import annotations

import zipfile
from pathlib import Path

from srv.errors import SrvError

#: The kinds of files that are served, as metadata calls them.
EXPORT, SCRIPT = "torch.export", "TorchScript"

_INSTEAD = "Export the model instead: torch.export.save(torch.export.export(model.eval(), args), 'model.pt2')."


class NotServed(SrvError):
    """The file is PyTorch's, or nearly, and holds nothing that can be served."""

    def __init__(self, file: Path, holds: str) -> None:
        super().__init__(f"'{file.name}' holds {holds}. {_INSTEAD}")


def kind_of(file: Path) -> str:
    """Return EXPORT or SCRIPT. Raises NotServed, which says what the file holds instead."""
    try:
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
    except zipfile.BadZipFile:
        raise NotServed(file, "no archive of PyTorch; it is a pickle of an old torch.save, or damaged") from None
    inside = {name.partition("/")[2] for name in names}
    if "serialized_exported_program.json" in names or any(name.startswith("models/") for name in inside):
        return EXPORT
    if "constants.pkl" in inside:
        return SCRIPT
    if any(name.startswith("data/aotinductor/") for name in inside):
        raise NotServed(file, "a library that AOTInductor has compiled for one kind of machine, which is not served")
    if "data.pkl" in inside:
        raise NotServed(file, "a pickle of torch.save: weights without their program, or a module that needs its code")
    raise NotServed(file, "an archive that is neither of torch.export nor of TorchScript")
