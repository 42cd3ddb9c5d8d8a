"""The page of metrics: text, in the form that the client likes best."""

from __future__ import annotations

import falcon

from srv.hookspecs import Running


class Metrics:
    """Made anew for each request, from what the workers have counted."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The metrics of all workers, whichever answers."""
        # Costs 60 ms, and the first request can wait for it better than each worker's start.
        from prometheus_client.exposition import choose_encoder
        from prometheus_client.registry import CollectorRegistry

        from srv_metrics.collecting import Collector

        server: Running = req.context.server
        registry = CollectorRegistry(auto_describe=False)
        registry.register(Collector(server))
        encode, resp.content_type = choose_encoder(req.get_header("Accept") or "")
        resp.data = encode(registry)

    on_head = on_get
