"""Errors of signatures and type hints."""

from __future__ import annotations

from srv.errors import SrvError


class BadSignature(SrvError):
    """predict's arguments cannot be made from a request."""


class BadHint(Exception):
    """A type hint that cannot be read, as the end of a sentence that says where it stands: `X, which …`."""
