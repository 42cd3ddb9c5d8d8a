"""Codecs of a model's own folder, which count for that model alone and come before those that are installed."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np

from srv.codec import InputCodec, RequestCodec
from srv.codecs import Codecs, UnknownContentType
from srv.errors import SrvError
from srv.model_settings import ModelSettings
from srv.models.code_folders import Codes, codes_of
from srv.models.runtime_classes import as_runtime_class

Codec: TypeAlias = InputCodec | RequestCodec
_NP = "np"
#: What stands before a module's name where it is a model's own.
_PRIVATE = re.compile(r"srv\.model\.[^.]+\.")


class NoCodec(SrvError):
    """What is named as a codec is none."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(
            f"'{name}' is no codec: {why}. A codec is a class that extends srv.InputCodec or srv.RequestCodec, and has "
            "its content type as the text content_type."
        )


class CodecNotMade(SrvError):
    """A codec's class cannot be called without arguments."""

    def __init__(self, name: str, error: Exception) -> None:
        super().__init__(
            f"Making the codec '{name}' raised {type(error).__name__}: {error}. srv makes one of its class, without "
            "arguments, when the model is loaded."
        )


class ContentTypeTwice(SrvError):
    """Two codecs of a model's folder have one content type."""

    def __init__(self, first: str, second: str, content_type: str) -> None:
        super().__init__(
            f"The codecs '{first}' and '{second}' have one content type, '{content_type}'. Give one of them another "
            "content_type, or name the one that is meant under 'codecs' in the model's settings."
        )


class FolderCodecs(Codecs):
    """The codecs of one model: those of its folder, then the installed ones of other content types.

    Hints for arrays stay with `np`, because they say which datatype the tensor itself has.
    """

    def __init__(self, own: Mapping[str, Codec], installed: Codecs) -> None:
        self._own = own
        self._installed = installed

    def names(self) -> list[str]:
        """Return the content types that work for this model."""
        return [*self._own, *(name for name in self._installed.names() if name not in self._own)]

    def each(self) -> Iterator[tuple[str, Codec]]:
        """Yield every codec of this model that works, in the order in which codecs are asked."""
        yield from self._own.items()
        for name, codec in self._installed.each():
            if name not in self._own:
                yield name, codec

    def input_for_hint(self, hint: Any) -> InputCodec | None:
        """Return the codec for one tensor whose Python type a hint names, or None."""
        if hint is np.ndarray and _NP not in self._own:
            return self._installed.input_for_hint(hint)
        return super().input_for_hint(hint)

    def _codec(self, content_type: str) -> Codec:
        own = self._own.get(content_type)
        if own is not None:
            return own
        try:
            return self._installed.codec(content_type)
        except UnknownContentType:
            raise UnknownContentType(content_type, self.names()) from None


def folder_codecs(
    named: Iterable[str], find: Callable[[str], object], beside: Iterable[tuple[str, type]]
) -> dict[str, Codec]:
    """Return a model's own codecs by content type: those that its settings name, and those beside its runtime's class.

    `find` returns what 'module.Class' names; `beside` are the classes in the runtime's module, each with such a name. Of
    two with one content type the one that settings name counts.

    Raises NoCodec, CodecNotMade or ContentTypeTwice, and whatever `find` raises.
    """
    chosen = _by_content_type((name, _codec_class(name, find(name))) for name in named)
    others = ((name, each) for name, each in beside if _is_meant_as_codec(each))
    found = _by_content_type((name, each) for name, each in others if _content_type(name, each) not in chosen)
    return {content_type: _made(name, each) for content_type, (name, each) in {**chosen, **found}.items()}


def codecs_of(settings: ModelSettings, codes: Codes) -> dict[str, Codec]:
    """Import a model's own codecs, and return them by content type. Raises what `folder_codecs` raises."""
    beside: list[tuple[str, type]] = []
    if settings.implementation is not None:
        with codes.implementation.plain_names():
            beside = codes.implementation.own_classes(settings.implementation)
    with codes.codecs.plain_names():
        return folder_codecs(settings.codecs, codes.codecs.attribute, beside)


def default_codecs_of(defaults: ModelSettings) -> dict[str, Codec] | None:
    """Import the class and the codecs that defaults give, as a model of theirs would; None where they give no class.

    Also None where their folder lacks its module, because each model's own folder may have one. Raises what a load would.
    """
    codes = codes_of(defaults)
    implementation = defaults.implementation
    try:
        if implementation is None or not codes.implementation.has(implementation):
            return None
        with codes.implementation.plain_names():
            as_runtime_class(codes.implementation.attribute(implementation), implementation)
        return codecs_of(defaults, codes)
    finally:
        codes.forget()


def name_of(codec: Codec) -> str:
    """Return a codec's class as settings name it: 'models.ImageCodec'."""
    return f"{_PRIVATE.sub('', type(codec).__module__)}.{type(codec).__qualname__}"


def _by_content_type(codecs: Iterable[tuple[str, type]]) -> dict[str, tuple[str, type]]:
    found: dict[str, tuple[str, type]] = {}
    for name, each in codecs:
        content_type = _content_type(name, each)
        first, other = found.setdefault(content_type, (name, each))
        if other is not each:
            raise ContentTypeTwice(first, name, content_type)
    return found


def _is_meant_as_codec(each: type) -> bool:
    """Return whether a class is a codec, and not one that others extend."""
    is_codec = issubclass(each, InputCodec | RequestCodec) and not inspect.isabstract(each)
    return is_codec and getattr(each, "content_type", None) is not None


def _codec_class(name: str, given: object) -> type:
    if not isinstance(given, type):
        raise NoCodec(name, f"it is of type {type(given).__name__}")
    if not issubclass(given, InputCodec | RequestCodec):
        raise NoCodec(name, "it does not extend a class for codecs")
    return given


def _content_type(name: str, codec: type) -> str:
    content_type: object = getattr(codec, "content_type", None)
    if not isinstance(content_type, str) or not content_type:
        raise NoCodec(name, "it has no content_type" if content_type is None else "its content_type is no text")
    return content_type


def _made(name: str, codec: type) -> Codec:
    try:
        made: Codec = codec()
    except Exception as error:
        raise CodecNotMade(name, error) from error
    return made
