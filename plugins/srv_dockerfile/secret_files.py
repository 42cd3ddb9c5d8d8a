"""Secrets that would travel in an image: found by name and by content, and refused unless somebody allows them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence

from srv.images import ImagePlan
from srv_dockerfile.dockerignore import Ignore, cleaned
from srv_dockerfile.errors import SecretFiles
from srv_dockerfile.files import Entry
from srv_dockerfile.ignore_lines import own_lines
from srv_dockerfile.secret_shapes import kind_by_name, kinds_in

#: The longest file that is looked into, how many files, and how many bytes in all: what people write is far below.
LONGEST, MOST_FILES, MOST_BYTES = 1 << 20, 20_000, 256 << 20

#: What is looked into first, because a secret is in these if it is anywhere.
_LIKELY = re.compile(r".*\.(pem|key|crt|p8|asc|cfg|conf|config|env|ini|json|py|sh|toml|txt|ya?ml|properties)")
#: What holds tensors, pictures and archives.
_NEVER = re.compile(
    r".*\.(arrow|bin|bmp|bz2|ckpt|feather|gif|gz|h5|ico|jpe?g|joblib|mp[34]|msgpack|np[yz]|onnx|parquet|pb|pdf|pickle|pkl|png"
    r"|pth?|pyc|safetensors|skops|so|tar|tflite|tiff?|ttf|wav|webp|whl|woff2?|xz|zip|zst)"
)


def secret_files(entries: Iterable[Entry], notes: list[str]) -> dict[str, str]:
    """Return the files and folders that hold secrets, each with what these are; appends a note if not all was read."""
    found: dict[str, str] = {}
    likely: list[tuple[Entry, int]] = []
    others: list[tuple[Entry, int]] = []
    for entry in entries:
        if entry.is_folder or entry.target is not None:
            continue
        size = _size_of(entry)
        by_name = kind_by_name(entry.name) if size else None
        if by_name is not None:
            found.setdefault(*by_name)
            continue
        last = entry.name.rpartition("/")[2].lower()
        if 0 < size <= LONGEST and not _NEVER.fullmatch(last):
            (likely if "." not in last[1:] or _LIKELY.fullmatch(last) else others).append((entry, size))
    found |= _by_content([*likely, *others], notes)
    return dict(sorted(found.items()))


def _by_content(candidates: Sequence[tuple[Entry, int]], notes: list[str]) -> Iterator[tuple[str, str]]:
    left = MOST_BYTES
    for count, (entry, size) in enumerate(candidates):
        left -= size
        if count == MOST_FILES or left < 0:
            notes.append(
                f"{len(candidates) - count} of {len(candidates)} small files were not looked into for secrets, because "
                "there are so many. What no image needs can be left out in .dockerignore."
            )
            return
        kind = next(kinds_in(entry.name, _text_of(entry)), None)
        if kind is not None:
            yield entry.name, kind


def _size_of(entry: Entry) -> int:
    try:
        return os.stat(entry.place).st_size  # noqa: PTH116 - folders may have 100,000 files, and paths are slow to make
    except OSError:  # gone since the folder was read
        return 0


def _text_of(entry: Entry) -> bytes:
    """Return what a file holds; nothing for what is no text, or is not there any more."""
    try:
        with open(entry.place, "rb") as file:  # noqa: PTH123 - as above
            text = file.read(4096)
            return b"" if b"\0" in text else text + file.read(LONGEST)
    except OSError:
        return b""


def check_secrets(plan: ImagePlan, allowed: Sequence[str]) -> None:
    """Raise SecretFiles for those of the plan that travel and that nobody allowed.

    A file is allowed by a pattern, as .dockerignore has them, or by a line of .dockerignore that brings it back by name.
    A pattern that allows nothing is told in the plan's notes.
    """
    travels = Ignore(plan.ignore)
    said = [Ignore([pattern]) for pattern in allowed]
    plan.notes += [
        f"--allow {pattern} allows nothing: no file of that name was found to hold a secret."
        for pattern, ignore in zip(allowed, said, strict=True)
        if not any(map(ignore.leaves_out, plan.secret_files))
    ]
    brought_back = [rule for rule in filter(None, map(cleaned, own_lines(plan.folder))) if rule.brings_back]
    refused = {
        name: kind
        for name, kind in plan.secret_files.items()
        if not travels.leaves_out_all_of(name)
        and not any(ignore.leaves_out(name) for ignore in said)
        and not any(rule.names(name) for rule in brought_back)
    }
    if refused:
        raise SecretFiles(refused)
