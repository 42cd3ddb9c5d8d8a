"""Errors of `srv deploy`: what cannot be deployed as the settings have it, each with what to do."""

from __future__ import annotations

from pathlib import Path

from srv.errors import SrvError, quoted


class NotReachable(SrvError):
    """The server would listen where nobody outside of its container can reach it."""

    def __init__(self, host: str, origin: str) -> None:
        super().__init__(
            f"'host' is {quoted(host)} ({origin}), which nobody reaches from outside of the container. Give --env "
            "SRV_HOST=0.0.0.0, or take 'host' out of the settings."
        )


class FreePort(SrvError):
    """A port is 0, so that nobody can know it before the server runs."""

    def __init__(self, key: str, origin: str) -> None:
        super().__init__(
            f"'{key}' is 0 ({origin}), a port that is free at each start, so nothing can be told where the server is. "
            f"Give it a number, with --env SRV_{key.upper()}=… for instance."
        )


class NoModels(SrvError):
    """The image holds no model, and nothing was named that does."""

    def __init__(self, folder: Path, place: str) -> None:
        super().__init__(
            f"{folder} holds no model, so its image serves what is mounted at {place}. Say with --models where that "
            "comes from."
        )


class NowhereForModels(SrvError):
    """Models are to be mounted, and the server looks for none."""

    def __init__(self, origin: str) -> None:
        super().__init__(
            f"'models_dir' is null ({origin}), so the server looks for no mounted models. Leave --models out, or give "
            "--env SRV_MODELS_DIR=/mnt/models."
        )


class BadVariable(SrvError):
    """What was given as a variable names none."""

    def __init__(self, word: str) -> None:
        super().__init__(f"{quoted(word)} is no variable. Write NAME=VALUE, or NAME alone for what is kept secret.")


class SecretInText(SrvError):
    """A key was given with its value, which would stand in what is printed."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"The value of {name} is a key, and would stand in what is written here. Give --env {name} alone: its "
            "value then comes from where secrets are kept."
        )


class ValueNeeded(SrvError):
    """A variable was named without its value, and its value decides what is printed."""

    def __init__(self, name: str) -> None:
        super().__init__(f"What is written here follows from the value of {name}. Give --env {name}=VALUE.")


class BadQuantity(SrvError):
    """An amount of memory or of processors that is none."""

    def __init__(self, option: str, text: str, form: str) -> None:
        super().__init__(f"{option}: {quoted(text)} is no amount. Write {form}.")


class BadNamespace(SrvError):
    """The namespace's name is none that Kubernetes has."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{quoted(name)} is no name of a namespace. It has up to 63 small letters, digits and hyphens, and begins "
            "and ends with a letter or a digit."
        )


class NoName(SrvError):
    """Nothing of a name is left that Kubernetes would take."""

    def __init__(self, name: str) -> None:
        super().__init__(f"Nothing can be called as {quoted(name)} there. Give --name, in letters, digits and hyphens.")


class SectionInConfigMap(SrvError):
    """settings.json has a plugin's section, which may hold a secret, and is to be copied into a ConfigMap."""

    def __init__(self, file: Path, section: str) -> None:
        super().__init__(
            f"{file} has the section {quoted(section)} of a plugin, whose values may be secret, and a ConfigMap hides "
            "nothing. Leave --settings out, or take the section out and give its values by --env."
        )


class NoSettingsFile(SrvError):
    """settings.json is to be mounted, and there is none."""

    def __init__(self, file: Path) -> None:
        super().__init__(f"There is no {file} to mount. Leave --settings out, or write the file; it may be {{}}.")


class CannotScale(SrvError):
    """A number of replicas follows from a share of the processors, of which nothing was said."""

    def __init__(self) -> None:
        super().__init__(
            "--max-replicas adds servers by how much of their processors they use. Say with --cpu how much one may use."
        )


class FewerAtMost(SrvError):
    """The most replicas are fewer than the least."""

    def __init__(self, least: int, most: int) -> None:
        super().__init__(f"--max-replicas is {most}, fewer than the {least} of --replicas. Give a larger number.")


class OnSocket(SrvError):
    """The server is on a Unix socket, and what is asked for reaches it by a port only."""

    def __init__(self, who: str, host: str, origin: str) -> None:
        super().__init__(
            f"'host' is {quoted(host)} ({origin}), and {who} reaches a server by a port. Give --env SRV_HOST=0.0.0.0."
        )


class TlsOfItsOwn(SrvError):
    """The server speaks TLS, and what is asked for speaks plain HTTP to it."""

    def __init__(self, who: str, origin: str) -> None:
        super().__init__(
            f"The server speaks TLS ('tls', {origin}), and {who} speaks plain HTTP to a server and TLS to its clients. "
            "Give --env SRV_TLS=null."
        )


class ModelsElsewhere(SrvError):
    """The server looks for models in another place than the one where they will be."""

    def __init__(self, who: str, there: str, place: str, origin: str) -> None:
        super().__init__(
            f"'models_dir' is {place} ({origin}), and {who} puts models into {there}. Give --env SRV_MODELS_DIR={there}."
        )


class FileThere(SrvError):
    """A file of that name exists."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} is there already. Give --force to replace it, or another name with -o.")


class CannotWriteFile(SrvError):
    """The file cannot be written."""

    def __init__(self, path: Path, error: OSError) -> None:
        super().__init__(f"{path} cannot be written: {error.strerror or error}.")
