"""Request ids in the log of a model process: each record says for which request it was written."""

from __future__ import annotations

import logging
from contextvars import ContextVar

from srv.printable import escaped
from srv.safe_logging import StderrHandler

#: The id of the request that code runs for; tasks of the event loop have it as well.
REQUEST_ID: ContextVar[str | None] = ContextVar("srv.request_id", default=None)


class RequestIds(logging.Filter):
    """Gives records the id of their request: as a field of their own in JSON, at the end of their text otherwise."""

    def __init__(self, *, in_text: bool) -> None:
        super().__init__()
        self._in_text = in_text

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the id, where there is one and the record does not have it."""
        identity = REQUEST_ID.get()
        if identity is not None and not hasattr(record, "request_id"):
            record.request_id = identity
            if self._in_text:
                record.msg, record.args = f"{record.getMessage()} id={escaped(identity)}", None
        return True


def tell_requests(form: str) -> None:
    """Have the log of this process tell the ids of requests from now on."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, StderrHandler):
            handler.addFilter(RequestIds(in_text=form != "json"))
