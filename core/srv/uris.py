"""URIs of artifacts: their schemes, and how a URI or an error's text is shown without the secrets in it."""

from __future__ import annotations

import re
from urllib.parse import unquote

#: MLflow writes its two with one slash.
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://|(models|runs):/", re.IGNORECASE)
_OF_MLFLOW = frozenset({"models", "runs"})
#: A URI in a text, up to what cannot be a part of it, without the sentence's own mark after it.
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s'\"<>]*[^\s'\"<>.,:;)]")
_USER = re.compile(r"(://)[^/?#]*@")
_QUERY = re.compile(r"\?[^#]*")
#: Shorter ones are not searched for in texts, because they may be parts of words.
_SHORTEST_PASSWORD, _SHORTEST_VALUE = 3, 8
_HIDDEN = "***"


def scheme_of(uri: str | None) -> str | None:
    """Return the scheme of a URI such as `s3://bucket/key` or `models:/wine/1`, in lower case; None for a path."""
    found = _SCHEME.match(uri or "")
    return None if found is None else (found[1] or found[2]).lower()


def start_of(scheme: str) -> str:
    """Return how the URIs of a scheme begin: `s3://`, `models:/`."""
    return f"{scheme}:/" if scheme in _OF_MLFLOW else f"{scheme}://"


def name_of(uri: str) -> str:
    """Return the last part of a URI's path, which mostly is a file's name."""
    return unquote(uri.partition("#")[0].partition("?")[0].rstrip("/").rpartition("/")[2])


def shown_uri(uri: str) -> str:
    """Return a URI as logs and errors show it: without user, password and query, any of which may be a secret."""
    return _QUERY.sub(f"?{_HIDDEN}", _USER.sub(rf"\1{_HIDDEN}@", uri)) if scheme_of(uri) else uri


def without_secrets(text: str, uri: str | None = None) -> str:
    """Return a text whose URIs are shown without their secrets, and in which those of `uri` stand nowhere else."""
    text = _URI.sub(lambda found: shown_uri(found[0]), text)
    for secret in sorted(_secrets(uri or ""), key=len, reverse=True):
        text = text.replace(secret, _HIDDEN)
    return text


def _secrets(uri: str) -> set[str]:
    """Return what a URI has as user and password and as values of its query, as written and decoded."""
    secrets: set[str] = set()
    if scheme_of(uri) and (user := _USER.search(uri)):
        said = user[0].removeprefix("://").removesuffix("@")
        secrets |= {each for each in (said, said.partition(":")[2]) if len(each) >= _SHORTEST_PASSWORD}
    if query := _QUERY.search(uri):
        values = (pair.partition("=")[2] or pair for pair in query[0][1:].split("&"))
        secrets |= {value for value in values if len(value) >= _SHORTEST_VALUE}
    return {form for secret in secrets for form in (secret, unquote(secret))}
