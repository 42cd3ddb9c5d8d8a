"""The keys in OpenAPI documents: how one is sent, and what needs none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from srv_keys.http import OPEN

SCHEMES: Mapping[str, Mapping[str, str]] = {
    "BearerKey": {"type": "http", "scheme": "bearer"},
    "HeaderKey": {"type": "apiKey", "in": "header", "name": "X-Api-Key"},
}


def describe_keys(document: dict[str, Any]) -> None:
    """Add to a document that one of the schemes is needed, but for what everybody may ask."""
    document["components"].setdefault("securitySchemes", {}).update(SCHEMES)
    document["security"] = [{name: []} for name in SCHEMES]
    for path in OPEN & document["paths"].keys():
        for operation in document["paths"][path].values():
            operation["security"] = []
    if "/v2/whoami" in document["paths"]:
        named = {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}}
        answer = document["paths"]["/v2/whoami"]["get"]["responses"]["200"]
        answer["content"] = {"application/json": {"schema": named}}
