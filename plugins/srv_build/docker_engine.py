"""The builder `docker`: an engine's API through the Docker SDK for Python. Podman's service answers it too."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from srv.images import Builder, BuildOrder, BuiltImage, Progress
from srv_build.build_output import BuildOutput
from srv_build.errors import NotPushed, NotWritten, denied
from srv_build.exports import output_of

#: Seconds of silence: a step may be silent for long, and an engine that is not there is known at once.
SILENT_STEP = 3600
SILENT_ENGINE = 5
#: Whose errors the SDK lets through where an engine ends in the middle of an answer: its own, and those that it rests on.
LOST = {"docker", "urllib3", "http", "json"}


class EngineError(Exception):
    """The engine refused a request, or could not be reached."""


class DockerEngine(Builder):
    """A builder that uses the engine of DOCKER_HOST, or at the default socket."""

    name = "docker"
    heeds = frozenset({"--pull", "--load", "--output"})

    def unavailable(self) -> str | None:
        """Return why the engine does not answer; None if it does."""
        try:
            with _client(SILENT_ENGINE) as client:
                client.ping()
        except EngineError as error:
            return str(error)
        return None

    def refusal(self, order: BuildOrder) -> str | None:
        """Return why it cannot: the API writes an image in one form only."""
        if order.output is not None and (kind := output_of(order.output).kind) != "docker":
            return f"it writes type=docker,dest=FILE, and --output has type={kind}; the other builders can"
        return None

    def command(self, order: BuildOrder) -> str | None:  # noqa: ARG002 - it is the same for all
        """Return which engine is asked."""
        return f"the API of the engine at {_place()}"

    def build(self, order: BuildOrder, progress: Progress) -> BuiltImage:
        """Send the context and build. Closing the connection, as Ctrl-C does, ends the build."""
        output = BuildOutput()
        try:
            with _client(SILENT_STEP) as client:
                image = self._build(client, order, output, progress)
                for tag in order.tags[1:]:
                    client.tag(image, tag)
                size = client.inspect_image(image).get("Size")
        except EngineError as error:
            raise output.failure(order.tags[0], str(error)) from error
        digests = [self._push(tag, progress) for tag in order.tags] if order.push else []
        if order.output is not None:
            self._write(order, image)
        return BuiltImage(image, next((digest for digest in digests if digest), None), size)

    def _build(self, client: Any, order: BuildOrder, output: BuildOutput, progress: Progress) -> str:
        image = ""
        messages = client.build(
            path=str(order.context),
            dockerfile=str(order.dockerfile.relative_to(order.context)),
            tag=order.tags[0],
            buildargs=dict(order.build_args),
            labels=dict(order.labels),
            platform=order.platforms[0] if order.platforms else None,
            nocache=order.no_cache,
            pull=order.pull,
            rm=True,
            forcerm=True,
            decode=True,
        )
        for message in _checked(messages):
            image = message.get("aux", {}).get("ID", image)
            for line in message.get("stream", "").splitlines():
                progress(output.read(line))
        if not image:
            raise EngineError("the engine ended the build without an image, as it does when it is stopped")
        return image

    def _push(self, tag: str, progress: Progress) -> str | None:
        """Push under one name; return the digest that the registry has it under."""
        output, digest = BuildOutput(), None
        try:
            with _client(SILENT_STEP) as client:
                for message in _checked(client.push(tag, stream=True, decode=True)):
                    digest = message.get("aux", {}).get("Digest", digest)
                    progress(output.read(message.get("status", "")))
        except EngineError as error:
            raise NotPushed(tag, str(error)) from error
        return digest

    def _write(self, order: BuildOrder, image: str) -> None:
        """Write the image to a file, which appears when it is whole."""
        place = Path(output_of(str(order.output)).values["dest"])
        try:
            with (
                _client(SILENT_STEP) as client,
                tempfile.NamedTemporaryFile(dir=place.parent, prefix=f".{place.name}-", delete=False) as file,
            ):
                try:
                    for part in client.get_image(order.tags[0] if len(order.tags) == 1 else image):
                        file.write(part)
                    file.flush()
                    Path(file.name).chmod(0o644)
                    Path(file.name).replace(place)
                except BaseException:
                    Path(file.name).unlink(missing_ok=True)
                    raise
        except OSError as error:
            raise NotWritten(order.tags[0], str(order.output), error.strerror or str(error)) from error
        except EngineError as error:
            raise NotWritten(order.tags[0], str(order.output), str(error)) from error


def _checked(messages: Iterator[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for message in messages:
        if "error" in message:
            for _ in messages:  # to the end, because the SDK closes its connection only there
                pass
            raise EngineError(str(message["error"]).strip())
        yield message


@contextmanager
def _client(timeout: int) -> Iterator[Any]:
    """Return the engine's client; whatever the SDK and what it rests on raise becomes an EngineError."""
    import docker  # takes 130 ms, which `srv build --help` need not

    client = None
    try:
        client = docker.from_env(timeout=timeout).api
        yield client
    except docker.errors.APIError as error:
        raise EngineError(str(error.explanation or error).strip()) from error
    except docker.errors.DockerException as error:
        raise EngineError(_unreachable(error)) from error
    except OSError as error:
        if error.filename is not None:
            raise  # a file of ours, and nothing of the engine's
        raise EngineError(_unreachable(error)) from error
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in LOST:
            raise
        raise EngineError("the connection to the engine was lost") from error
    finally:
        if client is not None:
            client.close()


def _place() -> str:
    return os.environ.get("DOCKER_HOST") or "the default socket"


def _unreachable(error: Exception) -> str:
    """Return the innermost reason, which says more than those around it."""
    cause: BaseException = error
    while (inner := cause.__cause__ or cause.__context__) is not None:
        cause = inner
    if isinstance(cause, PermissionError):
        return denied(_place())
    reason = cause.strerror if isinstance(cause, OSError) and cause.strerror else str(cause)
    return f"no engine answers at {_place()} ({reason})"
