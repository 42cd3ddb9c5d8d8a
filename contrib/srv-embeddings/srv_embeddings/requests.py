"""What a request says: its texts, and the parameters that change their vectors."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from srv import InferenceRequest, Tensor
from srv.errors import nearest
from srv_embeddings.errors import MisspeltParameter, UnfitParameter, UnfitRow, UnfitTexts, UnknownPrompt

#: Content types of BYTES that are text as it is.
_PLAIN = frozenset({"np", "pd", "str"})


class Asked(NamedTuple):
    """The parameters of a request for vectors; None where the request does not say it."""

    prompt: str
    normalize: bool | None
    dimensions: int | None
    truncate: bool


def texts_of(request: InferenceRequest, tensor: Tensor, *, most: int) -> list[str]:
    """Return the texts of an input, `[n]` or `[n, 1]`. Raises UnfitTexts, or UnfitRow for one of more than `most` characters."""
    if tensor.datatype != "BYTES":
        raise UnfitTexts(tensor.name, f"is {tensor.datatype}; texts are BYTES")
    if len(tensor.shape) != 1 and tensor.shape[1:] != (1,):
        raise UnfitTexts(tensor.name, f"has the shape {list(tensor.shape)}; texts are [n] or [n,1]")
    content_type = tensor.parameters.get("content_type") or request.parameters.get("content_type")
    if content_type is not None and content_type not in _PLAIN:
        raise UnfitTexts(tensor.name, f"has the content type '{content_type}'; texts are str")
    elements = tensor.data.reshape(-1).tolist()
    try:
        texts = [element.decode() for element in elements]
    except UnicodeDecodeError:
        raise UnfitRow(tensor.name, _first_unreadable(elements), "the bytes are not UTF-8, which texts are") from None
    for row, text in enumerate(texts):
        if len(text) > most:
            why = (
                f"the text has {len(text)} characters, more than the {most} that parameters.extra.max_characters allows"
            )
            raise UnfitRow(tensor.name, row, why)
    return texts


def asked_of(
    request: InferenceRequest, *, prompts: Mapping[str, str], default: str | None, dimension: int, fixed: bool
) -> Asked:
    """Return the parameters of a request for vectors. `fixed` says that a graph normalises, so that it cannot be undone."""
    said = request.parameters
    check_names(said, (*Asked._fields, "prompt_name"))
    normalize = flag(said, "normalize")
    if fixed and normalize is False:
        raise UnfitParameter(
            "normalize", "false", "true or absent, because the ONNX graph makes the vectors as they are"
        )
    dimensions = said.get("dimensions")
    if dimensions is not None and (type(dimensions) is not int or not 1 <= dimensions <= dimension):
        raise UnfitParameter("dimensions", dimensions, f"an integer from 1 to {dimension}")
    return Asked(_prompt(said, prompts, default), normalize, dimensions, flag(said, "truncate") is not False)


def flag(said: Mapping[str, Any], name: str) -> bool | None:
    """Return a parameter that is true or false; None where it is absent."""
    value = said.get(name)
    if value is not None and not isinstance(value, bool):
        raise UnfitParameter(name, value, "true or false")
    return value


def check_names(said: Mapping[str, Any], known: Collection[str]) -> None:
    """Raise MisspeltParameter for a parameter that is nearly one of these, because without it the answer is another.

    Other unknown ones are left to plugins and to what clients send to every server.
    """
    for name in said:
        if name not in known and nearest(name, known):
            raise MisspeltParameter(name, known)


def _prompt(said: Mapping[str, Any], prompts: Mapping[str, str], default: str | None) -> str:
    prompt, name = said.get("prompt"), said.get("prompt_name")
    for key, value in (("prompt", prompt), ("prompt_name", name)):
        if value is not None and not isinstance(value, str):
            raise UnfitParameter(key, value, "a text")
    if prompt is not None and name is not None:
        raise UnfitParameter("prompt_name", name, "absent where there is a prompt")
    if prompt is not None:
        return str(prompt)
    if name is not None and name not in prompts:
        raise UnknownPrompt(name, prompts)
    chosen = name if name is not None else default
    return prompts[chosen] if chosen is not None else ""


def _first_unreadable(elements: list[bytes]) -> int:
    for row, element in enumerate(elements):
        try:
            element.decode()
        except UnicodeDecodeError:
            return row
    return 0
