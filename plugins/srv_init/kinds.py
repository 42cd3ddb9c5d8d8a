"""The kinds of `srv init`: each a few layers of templates, and facts that they need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from srv.discovery import PluginKind


@dataclass(frozen=True)
class Scaffold:
    """One kind: its layers of templates, later ones over earlier ones, and what it registers."""

    layers: tuple[str, ...]
    #: What it brings, as sentences say it.
    noun: str
    #: The model that its folder serves; where that is None, it is called as the scaffold.
    model: str | None = None
    #: What an entry point of its name registers, for those that are packages.
    brings: PluginKind | None = None
    group: str = ""
    #: The requirements of the package beside srv-inference.
    requires: tuple[str, ...] = ()


SCAFFOLDS: Mapping[str, Scaffold] = MappingProxyType(
    {
        "runtime": Scaffold(
            layers=("package", "runtime"),
            noun="runtime",
            model="flowers",
            brings=PluginKind.RUNTIME,
            group="srv.runtimes",
            requires=("marshmallow>=3.21", "numpy>=1.26"),
        ),
        "codec": Scaffold(
            layers=("package", "codec"),
            noun="content type",
            model="prices",
            brings=PluginKind.CODEC,
            group="srv.codecs",
        ),
        "plugin": Scaffold(
            layers=("package", "plugin"),
            noun="plugin",
            model="doubled",
            brings=PluginKind.HOOKS,
            group="srv.plugins",
            requires=("falcon>=4.0", "marshmallow>=3.21"),
        ),
        "model": Scaffold(layers=("models",), noun="model"),
    }
)
