"""Errors of repositories."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from srv.errors import listed, quoted
from srv.settings.errors import SettingError


class ModelTwice(SettingError):
    """Two places bring the same version of the same model."""

    def __init__(
        self, title: str, places: Iterable[str], inside: Iterable[str], *, beside_unversioned: bool = False
    ) -> None:
        why = " A model without a version is version 1 for clients." if beside_unversioned else ""
        super().__init__(
            f"{title} is there twice: in {' and in '.join(places)}.{why} Rename one, or give it another version.",
            public=f"{title} is there twice: in {' and in '.join(inside)}.{why}",
        )


class ForeignImplementation(SettingError):
    """A model's implementation is a runtime of MLServer, which has another name in srv, and nothing here runs it as it is."""

    def __init__(self, place: str, implementation: str, runtime: str | None, *, adopts: bool = False) -> None:
        instead = (
            f'Write "runtime": "{runtime}" in its place, and install a package that brings that runtime; `srv plugins` '
            "lists what is installed."
            if runtime is not None
            else "Write a class of your own that extends srv.Runtime, or name a registered 'runtime'."
        )
        package = implementation.partition(".")[0].replace("_", "-")
        unchanged = package if adopts else "srv-mlserver" if package == "mlserver" else f"srv-mlserver {package}"
        super().__init__(
            f"{place}: 'implementation': {quoted(implementation)} is MLServer's. {instead} Or serve it as it is: `pip install "
            f"{unchanged}`."
        )


class NoModelName(SettingError):
    """A model is called as its folder, and the folder's name is no model's name."""

    def __init__(self, place: str, name: str) -> None:
        super().__init__(
            f"{place}: no model can be called as this folder, {quoted(name)}. Give the model a 'name' in its "
            "model-settings.json: letters, digits and ._- that begin with a letter, a digit or _."
        )


class NoVersionName(SettingError):
    """A version is called as its folder, and the folder's name is no version's name."""

    def __init__(self, place: str, name: str) -> None:
        super().__init__(
            f"{place}: no version can be called as this folder, {quoted(name)}. Rename the folder, or give "
            "'parameters.version' in its model-settings.json."
        )


class NoRuntimeGiven(SettingError):
    """Settings name no runtime and no implementation, and nothing tells which one is meant."""

    def __init__(self, place: str, well_known: Iterable[str]) -> None:
        super().__init__(
            f"{place}: neither 'runtime' nor 'implementation' is given, and there is no file that an installed "
            f"runtime recognises ({listed(well_known)}). Give one of the two."
        )


class CodeNotAllowed(SettingError):
    """The only file that a runtime recognises is code, and nobody has said that it may run."""

    def __init__(self, place: str, file: str) -> None:
        super().__init__(
            f"{place}: {file} is code that runs when it is loaded, and is not served just because it is there. Say "
            '"allow_pickle": true in the model\'s settings if you trust it.'
        )


class FileContested(SettingError):
    """Several runtimes can serve what is in a model's folder."""

    def __init__(self, place: str, candidates: Iterable[tuple[str, str]]) -> None:
        files, runtimes = map(set, zip(*candidates, strict=True))
        super().__init__(
            f"{place}: {listed(files)} can be served by {listed(runtimes)}. Say which is meant in the model's settings: "
            f"{_keys(runtimes)}."
        )


class FileRefused(SettingError):
    """Several runtimes recognise a file by its name, and each of them says that it cannot serve it."""

    def __init__(self, place: str, refusals: Mapping[tuple[str, str], str]) -> None:
        files = {file for file, _ in refusals}
        said = "; ".join(f"{runtime} refuses {file}: {how}" for (file, runtime), how in refusals.items())
        super().__init__(
            f"{place}: {listed(files)} can be served by no installed runtime. {said}. If one of them can serve it all the "
            f"same, say so in the model's settings: {_keys({runtime for _, runtime in refusals})}."
        )


def _keys(runtimes: Iterable[str]) -> str:
    return " or ".join(f'"runtime": "{runtime}"' for runtime in sorted(runtimes))
