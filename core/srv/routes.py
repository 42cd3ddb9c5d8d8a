"""What travels between a face and a route of a runtime: the request, and a response that says more than a value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

import orjson

from srv.cancellation import NOBODY, Caller
from srv.errors import InvalidInput, said_by
from srv.tensors import EMPTY


class BodyNotJson(InvalidInput):
    """A route reads its body as JSON, and the body is none."""

    def __init__(self, why: str) -> None:
        super().__init__(f"The body is not JSON: {why}.")


class BodyNotText(InvalidInput):
    """A route reads its body as text, and the body is none."""

    def __init__(self) -> None:
        super().__init__("The body is not UTF-8 text.")


class RouteRequest:
    """One request to a runtime's own route. `path` is as the route has it, with its fields filled in.

    `path_parameters` are the values of these fields. `headers` are by lower-case name, without those that `pass_headers`
    keeps back. `body` is whole and unpacked.
    """

    __slots__ = ("_queries", "body", "caller", "headers", "method", "path", "path_parameters", "query_string")

    def __init__(
        self,
        method: str = "POST",
        path: str = "",
        body: bytes = b"",
        *,
        path_parameters: Mapping[str, str] = EMPTY,
        query_string: str = "",
        headers: Mapping[str, str] = EMPTY,
    ) -> None:
        self.method = method
        self.path = path
        self.body = body
        self.path_parameters = path_parameters
        self.query_string = query_string
        self.headers = headers
        self.caller: Caller = NOBODY
        self._queries: Mapping[str, list[str]] | None = None

    def is_abandoned(self) -> bool:
        """Return whether nobody waits for the answer any more: the client has left, or the deadline has passed.

        For the method where it takes long, between its steps; from any thread. False for a request that no client waits for, such
        as a warm-up; of requests that run as one batch, True when all are abandoned.
        """
        return self.caller.is_abandoned()

    def raise_if_abandoned(self) -> None:
        """Raise srv.errors.DeadlinePassed or srv.errors.ClientLeft where `is_abandoned` is True; let it pass through."""
        self.caller.raise_if_abandoned()

    @property
    def queries(self) -> Mapping[str, list[str]]:
        """All values of each field of the query string, in the client's order."""
        if self._queries is None:
            self._queries = parse_qs(self.query_string, keep_blank_values=True)
        return self._queries

    @property
    def query(self) -> Mapping[str, str]:
        """The value of each field of the query string; the last one of a field that is given twice."""
        return {name: values[-1] for name, values in self.queries.items()}

    def json(self) -> Any:
        """Return the body as JSON. Raises InvalidInput where it is none."""
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError as error:
            raise BodyNotJson(said_by(error)) from None

    def text(self) -> str:
        """Return the body as text. Raises InvalidInput where it is not UTF-8."""
        try:
            return self.body.decode()
        except UnicodeDecodeError:
            raise BodyNotText from None


class RouteResponse:
    """A route's response with a status, a content type or headers of its own.

    `body` is bytes, text, or a dict or list that becomes JSON; without a `content_type` it has that of its kind. A stream
    may yield one first, which is the head of the response.
    """

    __slots__ = ("body", "content_type", "headers", "status")

    def __init__(
        self,
        body: Any = b"",
        status: int = 200,
        content_type: str | None = None,
        headers: Mapping[str, str] = EMPTY,
    ) -> None:
        self.body = body
        self.status = status
        self.content_type = content_type
        self.headers = headers
