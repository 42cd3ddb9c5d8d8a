"""Errors of model processes, each with its sentence."""

from __future__ import annotations

from srv.errors import SrvError, Unavailable, closed
from srv.models.load_errors import LoadedElsewhereFailed


class ProcessDied(Unavailable):
    """The process that had the request ended before it answered."""

    def __init__(self, model: str, how: str) -> None:
        super().__init__(f"The process of model '{model}' {how} before the answer was there. Try again in a moment.")


class NoAnswer(Unavailable):
    """The process of a model sent something else than an answer."""

    def __init__(self, model: str) -> None:
        super().__init__(f"The process of model '{model}' sent what is no answer; the request may be tried again.")


class NoProcess(Unavailable):
    """No process of the model runs at the moment."""

    def __init__(self, model: str, reason: str) -> None:
        super().__init__(closed(f"Model '{model}' is not ready: {reason}"))


class SupervisorDied(Unavailable):
    """The supervisor of the model processes ended while a model was loaded there."""

    def __init__(self) -> None:
        super().__init__("The supervisor of the model processes ended. Another one is started; try again in a moment.")


class NoSupervisor(LoadedElsewhereFailed):
    """Nothing in this server can start model processes."""

    def __init__(self) -> None:
        super().__init__(
            "process: model processes need srv's own master, and this gunicorn has other internals than it is made for. "
            "Install a version of gunicorn that srv's requirements admit, or leave 'process' out."
        )


class ProcessLoadFailed(LoadedElsewhereFailed):
    """A model could not be loaded in its process; the sentence is the index's reason, made there."""


class SrvMissing(ProcessLoadFailed):
    """The environment of a model process cannot run srv."""

    def __init__(self, python: str, why: str, version: str) -> None:
        super().__init__(
            f"process: {python} cannot run srv.modelprocess: {why}. Install srv there: "
            f"{python} -m pip install 'srv-inference=={version}'"
        )


class OtherVersion(ProcessLoadFailed):
    """The srv of the environment speaks another version of the protocol between workers and model processes."""

    def __init__(self, python: str, theirs: int, ours: int, version: str) -> None:
        super().__init__(
            f"process: the srv of {python} speaks version {theirs} of the protocol of model processes, and this server "
            f"speaks {ours}. Install the server's there: {python} -m pip install 'srv-inference=={version}'"
        )


class EndedWhileLoading(ProcessLoadFailed):
    """A model process ended before its model was loaded."""

    def __init__(self, how: str, memory: int | None = None) -> None:
        limit = "" if memory is None else f" It may ask for no more than {memory:,} bytes, which is process.memory."
        super().__init__(f"process: its process {how} while it loaded the model.{limit}")


class StartedTooSlowly(ProcessLoadFailed):
    """A model process was not ready within its start_timeout."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"process: its process was not ready within {seconds:g} s (start_timeout), and was killed.")


class AdoptedInProcess(SrvError):
    """The class of a model in a process of its own is no runtime, and the hooks that adopt such classes run in workers."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"'{name}' is no srv.Runtime. Classes of other libraries, such as MLServer's, are adopted by hooks of plugins, "
            "which do not run in a model's own process. Leave 'process' out of the model's settings, or extend srv.Runtime."
        )


class AsksFromProcess(Unavailable):
    """A model in a process of its own wants to ask the server."""

    def __init__(self, model: str, name: str) -> None:
        super().__init__(
            f"Model '{model}' used self.server.{name}, which a model in a process of its own cannot: ask the server over "
            "HTTP with srv.Client, or leave 'process' out of the model's settings."
        )
