"""Names of images that are run: those of registries, with a digest or without."""

from __future__ import annotations

import re

from srv_build.tags import check_tag

_DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")


def check_image(image: str) -> None:
    """Raise BadTag for a text that names no image."""
    check_tag(_DIGEST.sub("", image))
