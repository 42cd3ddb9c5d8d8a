"""Errors of hook modules, and of hooks while they are called."""

from __future__ import annotations

from collections.abc import Iterable

from srv.discovery.plugin import OURS, Plugin
from srv.errors import PluginFailed, SrvError, closed, nearest
from srv.uris import start_of

#: What pip installs for each scheme that srv itself does not fetch, as far as srv knows.
STORAGE_PACKAGES = dict.fromkeys(("s3", "gs", "az", "abfs", "abfss"), "srv-storage") | {
    "hf": "'srv-storage[hf]'",
    "models": "srv-mlflow",
    "runs": "srv-mlflow",
}
#: The plugins that fetch what srv knows of, by distribution, and the schemes of srv's own.
STORAGE_PLUGINS = {OURS: "storage", "srv-storage": "remote_storage", "srv-mlflow": "mlflow"}
OWN_SCHEMES = frozenset({"file", "http", "https"})


class BadHooks(SrvError):
    """A hook module that cannot be registered; the sentence becomes the reason of its quarantine."""


class UnknownHook(BadHooks):
    """A hook module implements a hook that srv does not have."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        super().__init__(f"srv has no hook called '{name}'.{nearest(name, known)}")


class UnmarkedHook(BadHooks):
    """A function has a hook's name without the mark, so it would never be called."""

    def __init__(self, name: str) -> None:
        super().__init__(f"'{name}' has the name of a hook and is not marked with @hookimpl, so it would not be called")


class UnknownArgument(BadHooks):
    """An implementation takes an argument that its hook is not called with."""

    def __init__(self, hook: str, argument: str, known: Iterable[str]) -> None:
        names = list(known)
        called = f"called with {', '.join(names) or 'no arguments'}"
        near = nearest(argument, names)
        super().__init__(f"'{hook}' asks for '{argument}', and is {called}{near and '.'}{near}")


class WrongForm(BadHooks):
    """An implementation is of a form that srv does not call: a coroutine, a wrapper."""

    def __init__(self, hook: str, form: str) -> None:
        super().__init__(f"'{hook}' is {form}, and hooks are plain functions")


class NeverAwaited(BadHooks):
    """A method that a plugin brought is a coroutine, which srv would call and never await."""

    def __init__(self, owner: object, method: str) -> None:
        super().__init__(f"'{type(owner).__name__}.{method}' is async, and srv does not await it")


class BadPlacement(SrvError):
    """A plugin answered `srv_placement` with what places no process."""

    def __init__(self, plugin: Plugin, what: str) -> None:
        super().__init__(f"The {plugin} answered srv_placement with {what}. Mend the plugin, or disable it.")


class SectionNeeded(BadHooks):
    """A hook module says that it is required and that it needs settings, and settings.json has no section for it."""

    def __init__(self, section: str) -> None:
        super().__init__(f"it waits for its settings, and there is no section '{section}'")


class WrongAnswer(BadHooks):
    """A hook returned something else than the manual promises."""

    def __init__(self, hook: str, answer: object, promised: str) -> None:
        given = f"the class {answer.__name__}" if isinstance(answer, type) else f"a {type(answer).__name__}"
        super().__init__(f"'{hook}' returned {given}, not {promised}")


class BroughtTwice(BadHooks):
    """A hook brings what its distribution brings already by an entry point."""

    def __init__(self, hook: str, name: str, distribution: str) -> None:
        super().__init__(f"'{hook}' brings '{name}', which {distribution} brings already")


class RegisteredTwice(BadHooks):
    """One module stands under two entry points, so its hooks would be called twice."""

    def __init__(self, first: str) -> None:
        super().__init__(f"its module is registered already, as '{first}'")


class BadSection(BadHooks):
    """The plugin's schema refuses the plugin's section of the settings."""

    def __init__(self, section: str, key: str, message: str) -> None:
        super().__init__(f"its settings are wrong: {'.'.join(filter(None, (section, key)))}: {message}")
        self.key = key
        self.message = message


class PlanFailed(SrvError):
    """A plugin's hook raised while an image was planned."""

    def __init__(self, plugin: str, error: BaseException) -> None:
        super().__init__(
            f"The {plugin} raised {type(error).__name__} in srv_image_plan: {closed(str(error) or 'no reason given')} "
            "Mend it, or leave it out with --no-plugin."
        )


class NoStorage(SrvError):
    """A model's URI has a scheme that no installed plugin fetches."""

    def __init__(self, scheme: str, uri: str) -> None:
        package = STORAGE_PACKAGES.get(scheme)
        brings = f"Run `pip install {package}`" if package else "Install a package that brings it"
        super().__init__(
            f"No installed plugin fetches '{start_of(scheme)}', which parameters.uri asks for ({uri}). {brings}, or put the "
            "artifact into the model's folder."
        )


class StorageUnused(SrvError):
    """A model's URI has a scheme that an installed plugin would fetch, were it not disabled or refused."""

    def __init__(self, scheme: str, uri: str, plugin: Plugin) -> None:
        super().__init__(
            f"The {plugin} fetches '{start_of(scheme)}', which parameters.uri asks for ({uri}), and is {plugin.state}: "
            f"{closed(plugin.reason or '`srv plugins` says why')}".rstrip()
        )


class StorageContested(SrvError):
    """Several distributions fetch the scheme of a model's URI."""

    def __init__(self, scheme: str, distributions: Iterable[str]) -> None:
        rivals = sorted(distributions)
        super().__init__(
            f"{' and '.join(rivals)} both fetch '{start_of(scheme)}'. Choose one with plugins.prefer: "
            f'{{"storage:{scheme}": "{rivals[0]}"}}.'
        )


class AdoptionContested(SrvError):
    """Several distributions make a runtime of the class that a model's settings name."""

    def __init__(self, implementation: str, distributions: Iterable[str]) -> None:
        rivals = sorted(distributions)
        super().__init__(
            f"{' and '.join(rivals)} both make a runtime of '{implementation}'. Choose one with plugins.prefer: "
            f'{{"adopt:{implementation}": "{rivals[0]}"}}.'
        )


class AdoptedByNoRuntime(SrvError):
    """A plugin answered srv_adopt with what is no class of a runtime."""

    def __init__(self, plugin: object, answer: object) -> None:
        what = f"the class {answer.__name__}" if isinstance(answer, type) else f"an object of {type(answer).__name__}"
        super().__init__(
            f"The {plugin} answered srv_adopt with {what}, and not with a class that extends srv.Runtime. srv makes the "
            "instance itself, anew for each load."
        )


class HookFailed(PluginFailed):
    """A plugin's hook raised while a request was answered; the log names the plugin."""
