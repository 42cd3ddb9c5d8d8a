"""Isolation of tests: discovery finds srv's own plugins and what the test gives, and nothing else."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from itertools import count
from types import MappingProxyType, ModuleType
from typing import Any
from unittest import mock

from srv import codecs as installed_codecs
from srv.codec import InputCodec, RequestCodec
from srv.codecs import Codecs
from srv.discovery import PluginKind, Plugins, discover, normalised
from srv.discovery import plugins as discovered
from srv.discovery.kind_checks import fault_of
from srv.discovery.metadata import Distribution, Entry, Metadata, read_metadata
from srv.discovery.plugin import OURS
from srv.runtime import Runtime

#: The distribution that everything given belongs to: `given-to-the-test:name` reaches it where a name is srv's own.
GIVEN = "given-to-the-test"
_GROUPS = {PluginKind.RUNTIME: "srv.runtimes", PluginKind.CODEC: "srv.codecs", PluginKind.HOOKS: "srv.plugins"}
_NOTHING: Mapping[str, Any] = MappingProxyType({})
_modules = count(1)


class NotAPlugin(TypeError):
    """What was given could not come from an entry point either."""

    def __init__(self, kind: PluginKind, name: str, fault: str) -> None:
        super().__init__(f"'{name}' cannot be given as one of {_GROUPS[kind]}: {fault}.")


@contextmanager
def isolated_plugins(
    *,
    runtimes: Mapping[str, type[Runtime]] = _NOTHING,
    codecs: Iterable[type[InputCodec | RequestCodec]] = (),
    hooks: Mapping[str, object] = _NOTHING,
    installed: Iterable[str] = (),
) -> Iterator[Plugins]:
    """Let discovery find srv's own plugins and the given ones, and nothing else that may be installed.

    Runtimes and hook modules are given by the names that their entry points would have, codecs have theirs as their
    content type; a hook module may be any object whose methods are marked with `hookimpl`. `installed` names
    distributions that are seen all the same. Gives what is found; whoever asks `discover` or `srv.codecs` in this
    process meanwhile finds the same. A server in a process of its own is not touched.
    """
    given: dict[tuple[PluginKind, str], object] = {}
    given.update({(PluginKind.RUNTIME, name): value for name, value in runtimes.items()})
    given.update({(PluginKind.CODEC, _content_type(codec)): codec for codec in codecs})
    given.update({(PluginKind.HOOKS, name): value for name, value in hooks.items()})
    for (kind, name), value in given.items():
        fault = fault_of(kind, name, value)
        if fault:
            raise NotAPlugin(kind, name, fault)
    seen = {normalised(OURS), *map(normalised, installed)}
    found = [each for each in read_metadata().distributions if normalised(each.name) in seen]
    missing = seen - {normalised(each.name) for each in found}
    if missing:
        raise LookupError(f"No installed distribution called {', '.join(sorted(missing))} brings anything to srv.")
    with _as_distribution(given) as distribution:
        metadata = Metadata((*found, distribution) if given else tuple(found))
        with (
            mock.patch.object(discovered, "read_metadata", return_value=metadata),
            mock.patch.object(installed_codecs, "_installed", cache(lambda: Codecs(discover()))),
        ):
            yield discover()


@contextmanager
def _as_distribution(given: Mapping[tuple[PluginKind, str], object]) -> Iterator[Distribution]:
    """Make a distribution whose entry points lead to these objects, through a module that is removed at the end."""
    module = ModuleType(f"srv_testing_given_{next(_modules)}")
    entries = []
    for place, ((kind, name), value) in enumerate(given.items()):
        setattr(module, f"object_{place}", value)
        entries.append(Entry(_GROUPS[kind], name, f"{module.__name__}:object_{place}", ()))
    sys.modules[module.__name__] = module
    try:
        yield Distribution(GIVEN, "0", "", tuple(entries), requires=("srv-inference",))
    finally:
        del sys.modules[module.__name__]


def _content_type(codec: type[InputCodec | RequestCodec]) -> str:
    return str(getattr(codec, "content_type", "its codec"))
