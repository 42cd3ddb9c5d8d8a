"""The page for browsers: a server's models at /v2/docs, and a form that asks each of them. On by default."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from srv.hookspecs import Model, hookimpl
from srv_docs.examples import Examples
from srv_docs.resources import About, Example, Files, Page

PAGE = "/v2/docs"
FILES = "/v2/docs/page/{file}"
ABOUT = "/v2/docs/server.json"
#: Below a model, and below a version of it.
OF_MODELS = ("/v2/models/{model}", "/v2/models/{model}/versions/{version}")


class Docs:
    """The hooks. What examples are made from is kept as models are loaded, because only the hooks are told of it."""

    def __init__(self) -> None:
        self._examples = Examples()

    @hookimpl
    def srv_http_routes(self) -> Sequence[tuple[str, object]]:
        """Bring the page, the files that it is made of, and what it asks beside the protocol."""
        self._examples = Examples()
        page, example = Page(), Example(self._examples)
        return [
            (PAGE, page),
            (FILES, Files()),
            (ABOUT, About()),
            *((f"{model}/docs", page) for model in OF_MODELS),
            *((f"{model}/docs/example.json", example) for model in OF_MODELS),
        ]

    @hookimpl
    def srv_model_loaded(self, model: Model) -> None:
        """Keep where the model's example is found."""
        self._examples.add(model)

    @hookimpl
    def srv_openapi(self, document: dict[str, Any]) -> None:
        """Say which of the routes are pages."""
        for path, item in document["paths"].items():
            if path.endswith("/docs"):
                _answers_with(item, "text/html", {"type": "string"})
            elif path == FILES:
                _answers_with(item, "*/*", {"type": "string"})
            elif path == ABOUT or path.endswith("/docs/example.json"):
                _answers_with(item, "application/json", {"type": "object"})


def _answers_with(item: dict[str, Any], content_type: str, schema: dict[str, Any]) -> None:
    item["get"]["responses"]["200"]["content"] = {content_type: {"schema": schema}}


docs = Docs()
