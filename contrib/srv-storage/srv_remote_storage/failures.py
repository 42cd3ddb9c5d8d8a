"""Failures of obstore as sentences: what happened and what to do, without what the storage or the library printed.

Their own texts hold signed URLs, request bodies and settings, so that no part of them is passed on, but for the HTTP
status and the storage's word for the error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from obstore.exceptions import (
    BaseError,
    InvalidPathError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)

from srv.storage import ContentChanged, FetchFailed, NoAccess, NotStored, Unreachable

#: Scheme → where its credentials come from.
CREDENTIALS = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_SKIP_SIGNATURE=true for a public bucket",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS, or GOOGLE_SKIP_SIGNATURE=true for a public bucket",
    "az": "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY, AZURE_STORAGE_SAS_TOKEN or "
    "AZURE_STORAGE_SKIP_SIGNATURE=true",
    "hf": "HF_TOKEN, or run `hf auth login`",
}
_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>(\w{1,60})</Code>")
#: Where machines of a cloud ask for their own credentials.
_METADATA_SERVERS = ("169.254.169.254", "169.254.170.2", "metadata.google.internal")
_NO_BUCKET = {"NoSuchBucket", "ContainerNotFound", "FilesystemNotFound"}
_REFUSED = {"AccessDenied", "AuthorizationHeaderMalformed", "ExpiredToken", "InvalidToken", "InvalidAuthenticationInfo"}
_BUSY = {408, 429, 500, 502, 503, 504}
#: Text of obstore → why nothing was answered.
_UNREACHED = {
    "dns error": "its host's name is not known",
    "Connection refused": "the connection is refused",
    "TimedOut": "it does not answer in time",
    "kind: Timeout": "it does not answer in time",
    "ertificate": "its certificate is not trusted",
    "IncompleteMessage": "the connection broke",
    "ConnectionReset": "the connection broke",
}


@contextmanager
def told(uri: str, scheme: str) -> Iterator[None]:
    """Raise obstore's errors as those of `srv.storage`; `uri` as it may be shown."""
    try:
        yield
    except (BaseError, FileNotFoundError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # of this machine, not of obstore
        raise failure_of(error, uri, scheme) from None  # because a traceback would print the original
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # a class of obstore's that cannot be imported, no Exception
            raise
        raise FetchFailed(
            f"{uri} cannot be asked for with this environment: a variable has a character that does not belong there, "
            f"such as a line break at its end. Check the endpoint, and {CREDENTIALS[scheme]}"
        ) from None


def failure_of(error: Exception, uri: str, scheme: str) -> FetchFailed:
    """Return what an error of obstore means."""
    text = str(error)
    status, code = _found(_STATUS, text), _found(_CODE, text)
    answered = " ".join(filter(None, [f"HTTP {status}" if status else "", code]))
    if any(server in text for server in _METADATA_SERVERS):
        return NoAccess(f"There are no credentials for {uri}. Set {CREDENTIALS[scheme]}")
    if code in _NO_BUCKET:
        return NotStored(f"There is no bucket or container of {uri} ({answered}). Correct its name")
    if isinstance(error, FileNotFoundError) or status == "404":
        return NotStored(f"Nothing is stored at {uri}. Correct parameters.uri, or store it there")
    if isinstance(error, PermissionDeniedError | UnauthenticatedError) or status in ("401", "403") or code in _REFUSED:
        return NoAccess(f"The storage refuses access to {uri} ({answered}). Check {CREDENTIALS[scheme]}")
    if isinstance(error, PreconditionError):
        return ContentChanged(f"{uri} changed while it was downloaded")
    if isinstance(error, InvalidPathError):
        return FetchFailed(f"{uri} holds an object whose name is no name of a file in a folder: rename it")
    return _without_answer(text, status, answered, uri, scheme)


def _without_answer(text: str, status: str, answered: str, uri: str, scheme: str) -> FetchFailed:
    if status in ("301", "307") or "redirect without LOCATION" in text:
        return FetchFailed(f"The bucket of {uri} is in another region. Set AWS_REGION to it")
    if status and int(status) not in _BUSY:
        return FetchFailed(f"The storage answers {answered} for {uri}")
    if status:
        return Unreachable(f"The storage of {uri} is not able to answer ({answered})")
    if why := next((said for word, said in _UNREACHED.items() if word in text), None):
        return Unreachable(f"The storage of {uri} cannot be reached: {why}")
    if "HTTP error" in text or "Error performing" in text:
        return Unreachable(f"The storage of {uri} cannot be reached")
    if "Account must be specified" in text:
        return NoAccess(f"{uri} does not say which account is meant. Set AZURE_STORAGE_ACCOUNT_NAME")
    if "Received non-partial response" in text:
        return FetchFailed(f"The storage of {uri} does not answer requests for ranges, which large objects need")
    if "Got invalid" in text:
        return FetchFailed(f"What answers for {uri} is no storage of this kind. Check its endpoint in the environment")
    return FetchFailed(
        f"The storage of {uri} cannot be used as it is configured in the environment. Check {CREDENTIALS[scheme]}"
    )


def _found(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.search(text)
    return found[1] if found else ""
