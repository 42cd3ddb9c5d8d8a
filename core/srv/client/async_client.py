"""The client for event loops: each call runs in a thread of its own, and a cancelled one ends its request."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from types import TracebackType
from typing import Any, Self, TypeVar
from weakref import WeakKeyDictionary

from srv.client.abandoning import CALL, Abandonable
from srv.client.client import DEFAULT_URL, Client
from srv.client.inputs import Given
from srv.client.result import Result
from srv.messages import ModelMetadata

Answer = TypeVar("Answer")
_END = object()


class AsyncClient:
    """`Client` for an event loop: the same arguments and methods, to be awaited or iterated with `async for`.

        async with AsyncClient("http://localhost:8080") as client:
            results = await asyncio.gather(*(client.infer("iris", row) for row in rows))

    At most `connections` calls and streams run at once, each in a thread; others wait. Cancelling a call closes its
    connection, so that the server notices that the client left.
    """

    def __init__(self, url: str = DEFAULT_URL, *, connections: int = 32, **options: Any) -> None:
        self._client = Client(url, connections=connections, **options)
        self._threads = ThreadPoolExecutor(connections, thread_name_prefix="srv-client")
        # A stream holds its connection between two responses, when it has no thread: a call that waits for a connection in a
        # thread would keep the thread from the stream that would free one.
        self._connections = connections
        self._rooms: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()

    async def infer(self, model: str, inputs: Given = None, /, **options: Any) -> Result:
        """Return the outputs of a model, as `Client.infer`."""
        return await self._run(lambda: self._client.infer(model, inputs, **options))

    async def generate(self, model: str, text: str, **options: Any) -> str:
        """Return the text that a model makes of a text, as `Client.generate`."""
        return await self._run(lambda: self._client.generate(model, text, **options))

    def stream(self, model: str, inputs: Given = None, /, **options: Any) -> AsyncIterator[Result]:
        """Yield the outputs of a model as it gives them, as `Client.stream`."""
        return self._iterate(lambda: self._client.stream(model, inputs, **options))

    def generate_stream(self, model: str, text: str, **options: Any) -> AsyncIterator[str]:
        """Yield the pieces of a text as they come, as `Client.generate_stream`."""
        return self._iterate(lambda: self._client.generate_stream(model, text, **options))

    async def metadata(self, model: str, version: str | None = None, *, fresh: bool = False) -> ModelMetadata:
        """Return inputs, outputs and parameters of a model."""
        return await self._run(lambda: self._client.metadata(model, version, fresh=fresh))

    async def models(self) -> list[Mapping[str, Any]]:
        """Return a row for each version of a model."""
        return await self._run(self._client.models)

    async def load(self, model: str, *, timeout: float | None = None) -> None:
        """Have a model loaded, or loaded anew."""
        await self._run(lambda: self._client.load(model, timeout=timeout))

    async def unload(self, model: str, *, timeout: float | None = None) -> None:
        """Have a model unloaded."""
        await self._run(lambda: self._client.unload(model, timeout=timeout))

    async def is_live(self) -> bool:
        """Whether the server is alive."""
        return await self._run(self._client.is_live)

    async def is_ready(self, model: str | None = None, version: str | None = None) -> bool:
        """Whether the server, or a model, is ready."""
        return await self._run(lambda: self._client.is_ready(model, version))

    async def server(self) -> Mapping[str, Any]:
        """Return name, version and extensions of the server."""
        return await self._run(self._client.server)

    async def statistics(self, model: str | None = None, version: str | None = None) -> list[Mapping[str, Any]]:
        """Return the statistics of a model, or of all."""
        return await self._run(lambda: self._client.statistics(model, version))

    async def config(self, model: str, version: str | None = None) -> Mapping[str, Any]:
        """Return the configuration of a model as Triton has it."""
        return await self._run(lambda: self._client.config(model, version))

    async def call(self, method: str, path: str, document: Any = None, **options: Any) -> Any:
        """Ask any path, as `Client.call`."""
        return await self._run(lambda: self._client.call(method, path, document, **options))

    async def close(self) -> None:
        """Close all connections, when the calls that run have ended."""
        await asyncio.get_running_loop().run_in_executor(None, self._threads.shutdown)
        self._client.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    def _room(self) -> asyncio.Semaphore:
        """Return what lets calls in; one for each event loop, because a client may outlive `asyncio.run`."""
        return self._rooms.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(self._connections))

    async def _run(self, ask: Callable[[], Answer]) -> Answer:
        async with self._room():
            return await self._in_thread(ask, Abandonable())

    async def _in_thread(self, ask: Callable[[], Answer], call: Abandonable) -> Answer:
        context = copy_context()
        context.run(CALL.set, call)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, context.run, ask)
        except asyncio.CancelledError:
            call.abandon()
            raise

    async def _iterate(self, begin: Callable[[], Iterator[Answer]]) -> AsyncIterator[Answer]:
        call, turn = Abandonable(), threading.Lock()
        iterator: Any = begin()

        def following() -> Any:
            with turn:
                return next(iterator, _END)

        def close() -> None:
            with turn:  # because a generator that runs in another thread cannot be closed
                iterator.close()

        async with self._room():
            try:
                while (answer := await self._in_thread(following, call)) is not _END:
                    yield answer
            finally:
                call.abandon()
                await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._threads, close))
