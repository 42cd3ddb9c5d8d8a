"""Several workers that start together: none takes a request before it can, as soon as one of them can."""

import struct

import grpc
import pytest
from servers import eventually, launched, numbers, write_model
from tritonclient.grpc import service_pb2, service_pb2_grpc

pytestmark = pytest.mark.e2e

#: A load that ends when the test says so to its process.
WAITS = "os.write(1, f'loads {os.getpid()}\\n'.encode())\nwhile not os.path.exists(f'%s/{os.getpid()}'):\n    time.sleep(0.01)"
ASKED = 100


class Started:
    """A server of three workers, all of which are loading; `front` is the one that was forked first."""

    def __init__(self, server, gates):
        self.server = server
        self._gates = gates
        server.wait_for("^loads ", times=3)
        self.front, *self.others = server.workers()

    def let_load(self, *pids):
        for pid in pids:
            (self._gates / str(pid)).touch()

    def statuses(self, times=ASKED):
        """The statuses of that many inferences, each on a connection of its own."""
        return {self.server.post("/v2/models/double/infer", numbers(1)).status for _ in range(times)}

    def codes(self, times=ASKED // 4):
        """The same over gRPC."""
        address = self.server.wait_for(r"listening on (\S+) for gRPC").group(1)
        request = service_pb2.ModelInferRequest(model_name="double")
        request.inputs.add(name="x", datatype="FP64", shape=[1])
        request.raw_input_contents.append(struct.pack("<d", 1))
        return {self._code(address, request) for _ in range(times)}

    def _code(self, address, request):
        with grpc.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
            try:
                service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer(request, timeout=30)
            except grpc.RpcError as error:
                return error.code().name
            return "OK"

    def is_ready(self):
        return self.server.get("/v2/health/ready").status == 200


@pytest.fixture(params=["srv", "gthread"])
def started(tmp_path, request):
    gates = tmp_path / "gates"
    gates.mkdir()
    write_model(tmp_path / "models", load=WAITS % gates)
    with launched(tmp_path / "models", "--workers", "3", environ={"SRV_WORKER_CLASS": request.param}) as server:
        yield Started(server, gates)


def test_once_the_server_is_ready_no_worker_that_still_loads_takes_a_request(started):
    assert started.statuses(5) == {503}
    assert started.server.get("/v2/health/live").status == 200
    started.let_load(started.front)
    eventually(started.is_ready)
    assert started.statuses() == {200}
    assert started.codes() == {"OK"}
    started.let_load(*started.others)
    started.server.wait_ready()
    assert started.statuses() == {200}


def test_workers_that_are_loaded_first_wait_for_the_one_that_takes_the_clients(started):
    started.let_load(*started.others)
    started.server.wait_for("Model 'double' loaded", times=2)
    assert started.statuses(20) == {503}
    assert not started.is_ready()
    started.let_load(started.front)
    eventually(started.is_ready)
    assert started.statuses() == {200}
    assert started.codes() == {"OK"}
    started.server.wait_ready()
