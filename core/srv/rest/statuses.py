"""The HTTP status of each stable name, for servers and for clients."""

from __future__ import annotations

from collections.abc import Mapping

#: The HTTP status of each stable name; 499 is nginx's, because HTTP has no status for a client that has left.
STATUSES: Mapping[str, int] = {
    "INVALID_INPUT": 400,
    "LOAD_FAILED": 400,
    "UNAUTHENTICATED": 401,
    "FORBIDDEN": 403,
    "NOT_FOUND": 404,
    "TOO_LARGE": 413,
    "UNSUPPORTED_MEDIA": 415,
    "QUEUE_FULL": 429,
    "CANCELLED": 499,
    "INTERNAL": 500,
    "LOAD_INCOMPLETE": 500,
    "MODEL_ERROR": 500,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "DEADLINE": 504,
}
