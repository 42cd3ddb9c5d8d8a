"""How connections spread over two workers, over HTTP and over gRPC."""

import http.client
import json
from collections import Counter
from contextlib import ExitStack

from benching.processes import CORES, PATIENCE, Server
from benching.results import Column, Result
from benching.turns import Bench, noted
from benching.wire import METHOD, in_contents, in_json, tensor

COUNTS = (2, 8, 32, 128)


def measure(bench: Bench) -> Result:
    """The share of connections that the busier worker holds; a half would be even."""
    columns = tuple(Column(f"of {count}", f"of {count} connections") for count in COUNTS)
    how = "What is told is the share of connections that the busier of two workers got: 0.5 is even, 1 is all."
    result = Result("spread", "How connections spread over two workers", columns, how, ratios=False)
    with noted(result, "srv"), bench.srv(settings={"workers": 2}, cores=CORES).serve("who") as server:
        for face, who in (("HTTP", over_http), ("gRPC", over_grpc)):
            for _ in range(bench.rounds):
                sample = {f"of {count}": max(who(server, count).values()) / count for count in COUNTS}
                result.samples.setdefault(face, []).append(sample)
    return result


def over_http(server: Server, count: int) -> Counter[int]:
    """The processes that answer on so many connections, opened one after the other, all kept."""
    request = in_json("who", tensor("FP32", [1], [1.0]))
    with ExitStack() as stack:
        found: Counter[int] = Counter()
        for _ in range(count):
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
            stack.callback(connection.close)
            connection.request("POST", request.path, request.body, dict(request.headers))
            found[json.loads(connection.getresponse().read())["outputs"][0]["data"][0]] += 1
        return found


def over_grpc(server: Server, count: int) -> Counter[int]:
    """Likewise over so many channels, each with a connection of its own."""
    import grpc
    from tritonclient.grpc import service_pb2

    call = in_contents("who", [1.0])
    options = [("grpc.use_local_subchannel_pool", 1)]
    with ExitStack() as stack:
        found: Counter[int] = Counter()
        for _ in range(count):
            channel = stack.enter_context(grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}", options=options))
            answer = service_pb2.ModelInferResponse.FromString(
                channel.unary_unary(METHOD)(call.message, timeout=PATIENCE)
            )
            found[answer.outputs[0].contents.int64_contents[0]] += 1
        return found
