"""Names that DNS and Kubernetes take."""

from __future__ import annotations

import re
import unicodedata

from srv_deploy.errors import BadNamespace, NoName

LONGEST = 63
#: KServe and Knative append to a name: -predictor-00001.
KSERVE_LONGEST = LONGEST - len("-predictor-00001")
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def label_of(name: str, longest: int = LONGEST) -> str:
    """Return the name nearest to this one that a Service may have: small letters, digits and hyphens, a letter first.

    Raises NoName where nothing is left.
    """
    plain = unicodedata.normalize("NFKD", name.casefold()).encode("ascii", "ignore").decode()
    label = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
    if not label:
        raise NoName(name)
    if not label[0].isalpha():
        label = f"srv-{label}"
    return label[:longest].rstrip("-")


def check_namespace(name: str) -> str:
    """Return the name of a namespace as it is. Raises BadNamespace."""
    if not _LABEL.fullmatch(name):
        raise BadNamespace(name)
    return name
