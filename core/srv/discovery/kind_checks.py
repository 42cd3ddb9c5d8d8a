"""Checks of what an entry point of each kind gives, made when it is first imported."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import ModuleType

from srv.discovery.plugin import PluginKind


def fault_of(kind: PluginKind, name: str, loaded: object) -> str:
    """Return what is wrong with an object that an entry point of this kind and name gave; empty if nothing is."""
    return _CHECKS[kind](name, loaded)


def _wrong_runtime(_: str, loaded: object) -> str:
    from srv.runtime import Runtime  # imports numpy, and most commands load no runtime

    if isinstance(loaded, type) and issubclass(loaded, Runtime):
        return ""
    return f"it gives {_shown(loaded)}, where a subclass of srv.Runtime is needed"


def has_recognise(loaded: object) -> bool:
    """Return whether a runtime has a `recognise` of its own."""
    from srv.runtime import Runtime  # as above

    method = next(
        (vars(each)["recognise"] for each in getattr(loaded, "__mro__", ()) if "recognise" in vars(each)), None
    )
    return method is not vars(Runtime)["recognise"]


def _wrong_codec(name: str, loaded: object) -> str:
    from srv.codec import InputCodec, RequestCodec  # imports numpy, and most commands load no codec

    if not (isinstance(loaded, type) and issubclass(loaded, (InputCodec, RequestCodec))):
        return f"it gives {_shown(loaded)}, where a subclass of srv.InputCodec or srv.RequestCodec is needed"
    content_type = getattr(loaded, "content_type", None)
    if not isinstance(content_type, str):
        return f"{loaded.__qualname__} has no content_type, which must be '{name}'"
    if content_type != name:
        return f"{loaded.__qualname__}.content_type is '{content_type}', but its entry point is named '{name}'"
    return ""


def _wrong_command(_: str, loaded: object) -> str:
    # By its methods, because importing click here would cost what only the command line needs.
    if not isinstance(loaded, type) and all(callable(getattr(loaded, part, None)) for part in ("make_context", "main")):
        return ""
    return f"it gives {_shown(loaded)}, where a click command is needed"


def _wrong_hooks(_: str, loaded: object) -> str:
    if isinstance(loaded, ModuleType) or not (isinstance(loaded, type) or callable(loaded)):
        return ""
    return f"it gives {_shown(loaded)}, where a module of hook implementations is needed"


def _wrong_route(_: str, loaded: object) -> str:
    if any(name.startswith("on_") for name in dir(loaded)) and not isinstance(loaded, type):
        return ""
    return f"it gives {_shown(loaded)}, where a Falcon resource with methods such as on_get is needed"


def _wrong_builder(name: str, loaded: object) -> str:
    from srv.images import Builder  # imports numpy, and only `srv build` asks for builders

    if not (isinstance(loaded, type) and issubclass(loaded, Builder)):
        return f"it gives {_shown(loaded)}, where a subclass of srv.images.Builder is needed"
    if getattr(loaded, "name", None) != name:
        return f"{loaded.__qualname__} has not '{name}' as its name"
    return ""


def _wrong_unknown(_: str, __: object) -> str:
    return "its metadata is unreadable"


def _shown(loaded: object) -> str:
    if isinstance(loaded, type):
        return f"the class {loaded.__qualname__}"
    if isinstance(loaded, ModuleType):
        return f"the module {loaded.__name__}"
    return f"a {type(loaded).__name__}"


_CHECKS: Mapping[PluginKind, Callable[[str, object], str]] = {
    PluginKind.RUNTIME: _wrong_runtime,
    PluginKind.CODEC: _wrong_codec,
    PluginKind.COMMAND: _wrong_command,
    PluginKind.HOOKS: _wrong_hooks,
    PluginKind.ROUTE: _wrong_route,
    PluginKind.BUILDER: _wrong_builder,
    PluginKind.UNKNOWN: _wrong_unknown,
}
