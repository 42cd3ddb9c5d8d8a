"""Codecs by content type, imported on first use; what clients import too, so it needs no server."""

from __future__ import annotations

import functools
import logging
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from srv.discovery import PluginBroken, PluginContested, PluginError, PluginKind, Plugins, UnknownPlugin, discover
from srv.errors import InvalidInput, listed, nearest, quoted

if TYPE_CHECKING:
    from srv.codec import InputCodec, RequestCodec

log = logging.getLogger("srv.plugins")

#: The order in which codecs are asked whether they take a value: most values are arrays, and json takes nearly all
#: lists. After these come the rest of ours, then those of strangers.
ORDER = ("np", "str", "base64", "datetime", "json")

Codec = TypeVar("Codec")


class UnknownContentType(InvalidInput):
    """No codec provides the content type that the request names."""

    def __init__(self, content_type: str, known: Iterable[str]) -> None:
        names = list(known)
        super().__init__(
            f"No codec provides the content type {quoted(content_type)}; installed: {listed(names)}."
            f"{nearest(content_type, names)}"
        )


class WrongCodec(InvalidInput):
    """The content type is known, but not for this: a table's for one tensor, or a tensor's for a whole request."""

    def __init__(self, content_type: str, wanted: str, known: Iterable[str]) -> None:
        super().__init__(f"The content type '{content_type}' is not one for {wanted}; these are: {listed(known)}.")


class ContestedContentType(InvalidInput):
    """Two distributions provide the content type, and nobody chose between them."""

    def __init__(self, error: PluginContested) -> None:
        super().__init__(str(error))


class UnusableContentType(InvalidInput):
    """The content type's codec is installed and disabled, refused or broken; the log says which."""

    def __init__(self, content_type: str) -> None:
        super().__init__(
            f"The codec of the content type '{content_type}' cannot be used here; the server's log says why."
        )


class Codecs:
    """All codecs that discovery found. Each is imported and made once, and serves all threads."""

    def __init__(self, plugins: Plugins) -> None:
        self._plugins = plugins
        self._made: dict[str, InputCodec | RequestCodec] = {}
        self._broken: set[str] = set()
        self._told: set[str] = set()

    def input(self, content_type: str) -> InputCodec:
        """The codec for one tensor of that content type. Raises an InvalidInput where there is none."""
        from srv.codec import InputCodec

        codec = self._codec(content_type)
        if isinstance(codec, InputCodec):
            return codec
        raise WrongCodec(
            content_type, "one tensor", (name for name, each in self.each() if isinstance(each, InputCodec))
        )

    def request(self, content_type: str) -> RequestCodec:
        """The codec for a whole request of that content type. Raises an InvalidInput where there is none."""
        from srv.codec import RequestCodec

        codec = self._codec(content_type)
        if isinstance(codec, RequestCodec):
            return codec
        known = (name for name, each in self.each() if isinstance(each, RequestCodec))
        raise WrongCodec(content_type, "a whole request", known)

    def check(self, content_type: str) -> None:
        """Raise an InvalidInput where no codec of either form provides the content type."""
        self._codec(content_type)

    def check_tensor(self, content_type: str) -> None:
        """The same for what a tensor calls itself, which may mean something in a whole request only."""
        from srv.codec import RequestCodec

        try:
            self._codec(content_type)
        except UnknownContentType:
            if not any(content_type in codec.tensor_content_types for codec in self._instances(RequestCodec)):
                raise

    def has_input(self, content_type: str) -> bool:
        """Whether there is a codec for one tensor. Raises an InvalidInput where nobody provides the content type."""
        from srv.codec import InputCodec

        return isinstance(self._codec(content_type), InputCodec)

    def is_for_one(self, content_type: object) -> bool:
        """Whether the content type has a codec for one tensor; False for an unknown content type."""
        from srv.codec import InputCodec

        try:
            return isinstance(content_type, str) and isinstance(self._codec(content_type), InputCodec)
        except InvalidInput:
            return False

    def is_binary(self, content_type: object) -> bool:
        """Whether bytes are the natural form of a content type; False for an unknown one."""
        return self.is_for_one(content_type) and self.input(str(content_type)).binary

    def codec(self, content_type: str) -> InputCodec | RequestCodec:
        """The codec of that content type, of either form. Raises an InvalidInput where there is none."""
        return self._codec(content_type)

    def inputs(self) -> Iterator[InputCodec]:
        """Every codec for one tensor that works, in the order in which codecs are asked."""
        from srv.codec import InputCodec

        return self._instances(InputCodec)

    def requests(self) -> Iterator[RequestCodec]:
        """Every codec for a whole request that works, in the order in which codecs are asked."""
        from srv.codec import RequestCodec

        return self._instances(RequestCodec)

    def input_for_hint(self, hint: Any) -> InputCodec | None:
        """The codec for one tensor whose Python type a hint names, or None."""
        from srv.codec import InputCodec

        return next((codec for codec in self._for_hint(hint) if isinstance(codec, InputCodec)), None)

    def request_for_hint(self, hint: Any) -> RequestCodec | None:
        """The codec for a whole request whose Python type a hint names, or None."""
        from srv.codec import RequestCodec

        return next((codec for codec in self._for_hint(hint) if isinstance(codec, RequestCodec)), None)

    def for_value(self, value: Any) -> InputCodec | None:
        """The first codec in the order of `ORDER` that can make a tensor of a value; None where none can."""
        from srv.codec import InputCodec

        return next((codec for codec in self._instances(InputCodec) if codec.can_encode(value)), None)

    def request_for_value(self, value: Any) -> RequestCodec | None:
        """The first codec that can make a whole response of a value, or None."""
        from srv.codec import RequestCodec

        return next((codec for codec in self._instances(RequestCodec) if codec.can_encode(value)), None)

    def hints(self) -> list[str]:
        """The names of the Python types that a predict's arguments may be hinted with, for sentences."""
        return sorted({_shown(getattr(codec, "type_hint", None)) for _, codec in self.each()})

    def names(self) -> list[str]:
        """The content types that work."""
        return self._plugins.names(PluginKind.CODEC)

    def _codec(self, content_type: str) -> InputCodec | RequestCodec:
        made = self._made.get(content_type)
        return made if made is not None else self._make(content_type)

    def _make(self, content_type: str) -> InputCodec | RequestCodec:
        try:
            row = self._plugins.find(PluginKind.CODEC, content_type)
            factory: Any = self._plugins.load_row(row)
        except UnknownPlugin:
            raise UnknownContentType(content_type, self.names()) from None
        except PluginContested as error:
            raise ContestedContentType(error) from None
        except PluginBroken:  # the log has it since its import failed
            raise UnusableContentType(content_type) from None
        except PluginError as error:
            self._tell(content_type, error)
            raise UnusableContentType(content_type) from None
        try:
            codec: InputCodec | RequestCodec = factory()
        except Exception as error:  # noqa: BLE001 - a plugin's constructor may raise anything
            self._plugins.quarantine(row, f"making {factory.__qualname__} raised {type(error).__name__}", error)
            raise UnusableContentType(content_type) from None
        # Another thread may have made one too; all use the one that came first.
        return self._made.setdefault(content_type, codec)

    def _tell(self, content_type: str, error: PluginError) -> None:
        """Say in the log, once, why an installed codec is not used; only installed names come here."""
        if content_type not in self._told:
            self._told.add(content_type)
            log.warning("The content type '%s' is not to be had: %s", content_type, error)

    @functools.cached_property
    def _order(self) -> list[str]:
        """The content types in the order in which codecs are asked."""
        found = self._plugins
        ours = {name: found.find(PluginKind.CODEC, name).ours for name in found.names(PluginKind.CODEC)}
        rank = {name: place for place, name in enumerate(ORDER) if ours.get(name)}
        return sorted(ours, key=lambda name: (rank.get(name, len(ORDER)), not ours[name], name))

    def each(self) -> Iterator[tuple[str, InputCodec | RequestCodec]]:
        """Every codec that works, imported as the caller gets to it; one that turns out broken is left out."""
        for name in self._order:
            if name in self._broken:
                continue
            try:
                codec = self._codec(name)
            except InvalidInput:
                self._broken.add(name)
                continue
            yield name, codec

    def _instances(self, form: type[Codec]) -> Iterator[Codec]:
        return (codec for _, codec in self.each() if isinstance(codec, form))

    def _for_hint(self, hint: Any) -> Iterator[InputCodec | RequestCodec]:
        return (codec for _, codec in self.each() if hint == type_given_by(codec))


def input_codec(content_type: str) -> InputCodec:
    """The installed codec for one tensor of a content type, for clients."""
    return _installed().input(content_type)


def request_codec(content_type: str) -> RequestCodec:
    """The installed codec for a whole request of a content type, for clients."""
    return _installed().request(content_type)


def is_binary(content_type: object) -> bool:
    """Whether tensors of a content type are base64 in JSON and plain bytes elsewhere, for clients."""
    return _installed().is_binary(content_type)


@functools.cache
def _installed() -> Codecs:
    return Codecs(discover())


def type_given_by(codec: InputCodec | RequestCodec) -> Any:
    """The Python type that a codec gives; its dotted name where the codec names it so and its module is not imported yet."""
    hint = getattr(codec, "type_hint", None)
    if not isinstance(hint, str):
        return hint
    module, _, name = hint.rpartition(".")
    return getattr(sys.modules.get(module), name, None) or hint


def _shown(hint: Any) -> str:
    if isinstance(hint, str):
        return hint
    return hint.__name__ if isinstance(hint, type) and not hasattr(hint, "__args__") else str(hint)
