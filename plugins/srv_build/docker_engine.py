"""The builder `docker`: an engine's API through the Docker SDK for Python. Podman's service answers to it as well."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from srv.images import Builder, BuildOrder, Progress
from srv_build.errors import NotPushed
from srv_build.steps import Steps

#: Seconds of silence: a step may be silent for long, and an engine that is not there is known at once.
SILENT_STEP = 3600
SILENT_ENGINE = 5


class EngineError(Exception):
    """What the engine, or the way to it, has to say against a request."""


class DockerEngine(Builder):
    """Builds in the engine that DOCKER_HOST names, or at the default socket."""

    name = "docker"

    def unavailable(self) -> str | None:
        """Why the engine does not answer."""
        try:
            with _client(SILENT_ENGINE) as client:
                client.ping()
        except EngineError as error:
            return str(error)
        return None

    def build(self, order: BuildOrder, progress: Progress) -> str:
        """Send the context and build; closing the connection, as Ctrl-C does, ends the build."""
        steps = Steps()
        try:
            with _client(SILENT_STEP) as client:
                image = self._build(client, order, steps, progress)
                for tag in order.tags[1:]:
                    client.tag(image, tag)
        except EngineError as error:
            raise steps.failure(order.tags[0], str(error)) from error
        if order.push:
            for tag in order.tags:
                self._push(tag, progress)
        return image

    def _build(self, client: Any, order: BuildOrder, steps: Steps, progress: Progress) -> str:
        image = ""
        messages = client.build(
            path=str(order.context),
            dockerfile=str(order.dockerfile.relative_to(order.context)),
            tag=order.tags[0],
            buildargs=dict(order.build_args),
            labels=dict(order.labels),
            platform=order.platform,
            nocache=order.no_cache,
            rm=True,
            forcerm=True,
            decode=True,
        )
        for message in _checked(messages):
            image = message.get("aux", {}).get("ID", image)
            for line in message.get("stream", "").splitlines():
                progress(steps.read(line))
        if not image:
            raise EngineError("the engine ended the build without an image")
        return image

    def _push(self, tag: str, progress: Progress) -> None:
        steps = Steps()
        try:
            with _client(SILENT_STEP) as client:
                for message in _checked(client.push(tag, stream=True, decode=True)):
                    progress(steps.read(message.get("status", "")))
        except EngineError as error:
            raise NotPushed(tag, str(error)) from error


def _checked(messages: Iterator[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for message in messages:
        if "error" in message:
            for _ in messages:  # to the end, because the SDK closes its connection only there
                pass
            raise EngineError(str(message["error"]).strip())
        yield message


@contextmanager
def _client(timeout: int) -> Iterator[Any]:
    """The engine's client; whatever the SDK raises becomes an EngineError."""
    import docker  # takes 130 ms, which `srv build --help` need not

    client = None
    try:
        client = docker.from_env(timeout=timeout).api
        yield client
    except docker.errors.APIError as error:
        raise EngineError(str(error.explanation or error).strip()) from error
    except (docker.errors.DockerException, OSError) as error:
        raise EngineError(_unreachable(error)) from error
    finally:
        if client is not None:
            client.close()


def _unreachable(error: Exception) -> str:
    """The innermost reason, which says more than those around it."""
    cause: BaseException = error
    while (inner := cause.__cause__ or cause.__context__) is not None:
        cause = inner
    place = os.environ.get("DOCKER_HOST") or "the default socket"
    reason = cause.strerror if isinstance(cause, OSError) and cause.strerror else str(cause)
    return f"no engine answers at {place} ({reason})"
