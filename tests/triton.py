"""Triton's four clients, to be asked in the same words: HTTP and gRPC, waiting and asyncio."""

import asyncio
from types import SimpleNamespace

import tritonclient.grpc
import tritonclient.grpc.aio
import tritonclient.http
import tritonclient.http.aio

#: A connection of its own for each client, so that several clients reach several workers.
OWN_CHANNEL = {"channel_args": [("grpc.use_local_subchannel_pool", 1)]}


class Awaited:
    """An asyncio client whose methods are waited for."""

    def __init__(self, make, address, **options):
        self._runner = asyncio.Runner()
        self._client = self.wait(self._made(make, address, options))

    async def _made(self, make, address, options):
        return make(address, **options)

    def __getattr__(self, name):
        method = getattr(self._client, name)
        return lambda *given, **named: self.wait(method(*given, **named))

    def wait(self, awaitable):
        """What it gives in the end."""
        return self._runner.run(awaitable)

    def together(self, name, calls):
        """What a method gives for each of these arguments, asked at once."""

        async def gathered():
            return await asyncio.gather(*(getattr(self._client, name)(*given) for given in calls))

        return self.wait(gathered())

    def streamed(self, items):
        """All that `stream_infer` gives for these requests."""

        async def asked():
            for item in items:
                yield item

        async def listened():
            return [answer async for answer in self._client.stream_infer(asked())]

        return self.wait(listened())

    def close(self):
        """Close the client, and the loop that it ran on."""
        self.wait(self._client.close())
        self._runner.close()


def kind(package, make, options):
    """One of the clients: what makes one, and the classes of inputs and outputs that it takes."""
    return SimpleNamespace(make=make, options=options, Input=package.InferInput, Output=package.InferRequestedOutput)


HTTP = {
    "http": kind(tritonclient.http, tritonclient.http.InferenceServerClient, {}),
    "http.aio": kind(
        tritonclient.http, lambda *given: Awaited(tritonclient.http.aio.InferenceServerClient, *given), {}
    ),
}
GRPC = {
    "grpc": kind(tritonclient.grpc, tritonclient.grpc.InferenceServerClient, OWN_CHANNEL),
    "grpc.aio": kind(
        tritonclient.grpc,
        lambda *given, **named: Awaited(tritonclient.grpc.aio.InferenceServerClient, *given, **named),
        OWN_CHANNEL,
    ),
}
KINDS = {**HTTP, **GRPC}
