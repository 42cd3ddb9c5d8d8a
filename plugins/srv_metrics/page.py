"""The page of metrics: text, in the format that the client prefers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import falcon

from srv.hookspecs import Server
from srv_metrics.registering_again import allow_registering_again

if TYPE_CHECKING:
    from srv_metrics.collecting import Collector

#: The forms that prometheus_client writes, the one that clients get where it does not matter first.
FORMS = ("text/plain", "application/openmetrics-text")


class Metrics:
    """The route of the metrics, made anew for each request from what the workers have counted."""

    def __init__(self, names: str) -> None:
        self._names = names
        #: Makes the families; kept, because it logs some things once.
        self._collector: Collector | None = None

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer with the metrics of all workers, whichever worker answers."""
        # Costs 60 ms, and the first request can wait for it better than each worker's start.
        from prometheus_client.exposition import choose_encoder
        from prometheus_client.registry import CollectorRegistry

        from srv_metrics.collecting import Collector

        server: Server = req.context.server
        registry = CollectorRegistry(auto_describe=False)
        if self._collector is None:
            self._collector = Collector(server, names=self._names)
            allow_registering_again()
        registry.register(self._collector)
        encode, resp.content_type = choose_encoder(wanted(req.get_header("Accept") or "*/*"))
        resp.data = encode(registry)

    on_head = on_get


def wanted(accepted: str) -> str:
    """Return the members of an Accept header that name the form which the client prefers; empty for the usual form.

    Of several forms prometheus_client takes one whatever the weights are, so it is asked for one only.
    """
    members = [member.strip() for member in accepted.split(",")]
    try:
        form = falcon.mediatypes.best_match([_given(form, members) for form in FORMS], accepted)
    except falcon.InvalidMediaType:
        return ""
    kind = form.partition(";")[0]
    return ", ".join(member for member in members if kind and member.lower().startswith(kind))


def _given(form: str, members: Iterable[str]) -> str:
    """Return the form with the parameters of the first member that names it, because other versions do not match."""
    named = (member for member in members if member.lower().startswith(form))
    return next((member.partition(";q=")[0] for member in named), form)
