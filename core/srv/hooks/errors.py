"""What can be wrong with a hook module, and with a hook while it is called."""

from __future__ import annotations

from collections.abc import Iterable

from srv.errors import ModelError, SrvError, closed, nearest


class BadHooks(SrvError):
    """A hook module that cannot be registered; the sentence becomes the reason of its quarantine."""


class UnknownHook(BadHooks):
    """A hook module implements a hook that srv does not have."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        super().__init__(f"srv has no hook called '{name}'.{nearest(name, known)}")


class UnmarkedHook(BadHooks):
    """A function has a hook's name and would never be called."""

    def __init__(self, name: str) -> None:
        super().__init__(f"'{name}' has the name of a hook and is not marked with @hookimpl, so it would not be called")


class UnknownArgument(BadHooks):
    """An implementation asks for an argument that its hook is not called with."""

    def __init__(self, hook: str, argument: str, known: Iterable[str]) -> None:
        names = list(known)
        called = f"called with {', '.join(names) or 'no arguments'}"
        near = nearest(argument, names)
        super().__init__(f"'{hook}' asks for '{argument}', and is {called}{near and '.'}{near}")


class WrongForm(BadHooks):
    """An implementation is something that srv does not call: a coroutine, a wrapper."""

    def __init__(self, hook: str, form: str) -> None:
        super().__init__(f"'{hook}' is {form}, and hooks are plain functions")


class WrongAnswer(BadHooks):
    """A hook returned something else than it promises."""

    def __init__(self, hook: str, answer: object, promised: str) -> None:
        super().__init__(f"'{hook}' returned a {type(answer).__name__}, not {promised}")


class BroughtTwice(BadHooks):
    """A hook brings what its distribution brings already."""

    def __init__(self, hook: str, name: str, distribution: str) -> None:
        super().__init__(f"'{hook}' brings '{name}', which {distribution} brings already")


class RegisteredTwice(BadHooks):
    """One module under two entry points, whose hooks would be called twice."""

    def __init__(self, first: str) -> None:
        super().__init__(f"its module is registered already, as '{first}'")


class BadSection(BadHooks):
    """The plugin's schema does not take its section of the settings."""

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


class HookFailed(ModelError):
    """A plugin's hook raised while a request was answered; the log names the plugin."""

    def __init__(self, plugin: str, hook: str, error: BaseException) -> None:
        super().__init__(f"A plugin raised {type(error).__name__} in {hook}; the server's log says which and why.")
        self.plugin = plugin
        self.hook = hook
