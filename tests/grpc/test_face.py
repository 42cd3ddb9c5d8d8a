"""The face as a client sees it: methods, errors, headers, deadlines, interceptors, health, reflection."""

import re
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import grpc
import numpy as np
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from tritonclient.grpc import InferenceServerClient, InferInput, InferRequestedOutput, service_pb2

from srv.errors import (
    CODES,
    Forbidden,
    LoadFailed,
    SettingsError,
    SrvError,
    Unauthenticated,
    UnsupportedMedia,
)
from srv.grpc import errors
from srv.grpc.descriptors import message
from srv.hookspecs import hookimpl
from srv.rest import errors as rest
from srv.settings import ServerSettings, TlsSettings

INFER = "/inference.GRPCInferenceService/ModelInfer"
Code = grpc.StatusCode


def request(model="echo", *, values=(), **fields):
    asked = service_pb2.ModelInferRequest(model_name=model, **fields)
    if len(values):
        array = np.asarray(values, np.float64)
        asked.inputs.add(name="x", datatype="FP64", shape=array.shape)
        asked.raw_input_contents.append(array.tobytes())
    return asked


def refused(call, *arguments, **options):
    with pytest.raises(grpc.RpcError) as caught:
        call(*arguments, **options)
    error = caught.value
    return error.code(), error.details(), dict(error.trailing_metadata() or ()).get("srv-code")


# -- methods -----------------------------------------------------------------------------------------------------------


def test_health_and_metadata(face, stub):
    ask = stub(face(server_name="mine"))
    assert ask.ServerLive(service_pb2.ServerLiveRequest()).live
    assert ask.ServerReady(service_pb2.ServerReadyRequest()).ready
    assert ask.ModelReady(service_pb2.ModelReadyRequest(name="echo")).ready
    assert ask.ServerMetadata(service_pb2.ServerMetadataRequest()).name == "mine"
    metadata = ask.ModelMetadata(service_pb2.ModelMetadataRequest(name="double"))
    assert (metadata.name, metadata.platform, metadata.outputs) == ("double", "python", [])


def test_a_draining_worker_is_not_ready_and_answers(face, stub):
    made = face()
    ask = stub(made)
    made.assembled.drain()
    assert not ask.ServerReady(service_pb2.ServerReadyRequest()).ready
    assert ask.ModelInfer(request()).model_name == "echo"


def test_inference_by_raw_and_by_typed_contents(face, stub):
    ask = stub(face())
    answer = ask.ModelInfer(request("double", values=[1, 2], id="q"))
    assert (answer.model_name, answer.id, len(answer.outputs)) == ("double", "q", 1)
    assert np.frombuffer(answer.raw_output_contents[0]).tolist() == [2, 4]
    typed = request("double")
    typed.inputs.add(name="x", datatype="INT8", shape=[2]).contents.int_contents.extend([3, 4])
    answer = ask.ModelInfer(typed)
    assert (list(answer.outputs[0].contents.int_contents), list(answer.raw_output_contents)) == ([6, 8], [])


def test_outputs_are_chosen_and_ordered(face, channel):
    made = face()
    client = InferenceServerClient(made.address)
    inputs = []
    for name in "abc":
        inputs.append(InferInput(name, [1], "INT32"))
        inputs[-1].set_data_from_numpy(np.array([ord(name)], np.int32))
    answer = client.infer("echo", inputs, outputs=[InferRequestedOutput("c"), InferRequestedOutput("a")])
    assert [output.name for output in answer.get_response().outputs] == ["c", "a"]
    assert (answer.as_numpy("c"), answer.as_numpy("a")) == (99, 97)
    client.close()


def test_parameters_come_back(face, stub):
    asked = request()
    asked.parameters["u"].uint64_param = 2**64 - 1
    asked.parameters["f"].double_param = 0.5
    answer = stub(face()).ModelInfer(asked)
    assert (answer.parameters["u"].uint64_param, answer.parameters["f"].double_param) == (2**64 - 1, 0.5)


def test_a_method_that_is_not_there_is_unimplemented_with_a_sentence(face, stub):
    ask = stub(face())
    code, sentence, stable = refused(ask.LogSettings, service_pb2.LogSettingsRequest())
    assert (code, stable) == (Code.UNIMPLEMENTED, "UNIMPLEMENTED")
    assert sentence == "srv has no gRPC method '/inference.GRPCInferenceService/LogSettings'."


# -- errors ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "asked, code, stable, sentence",
    [
        (request("ehco"), Code.NOT_FOUND, "NOT_FOUND", "No model is called 'ehco'. Did you mean 'echo'?"),
        (request(model_version="7"), Code.NOT_FOUND, "NOT_FOUND", "Model 'echo' has no version '7'; it has 1."),
        (request("double"), Code.INVALID_ARGUMENT, "INVALID_INPUT", "Input 'x' is missing; the request brings none."),
        (request("fails", id="input"), Code.INVALID_ARGUMENT, "INVALID_INPUT", "not this"),
        (
            request("fails"),
            Code.INTERNAL,
            "MODEL_ERROR",
            "Model 'fails' raised ValueError; the server's log says more.",
        ),
        (
            request("fails", id="parameter"),
            Code.INTERNAL,
            "MODEL_ERROR",
            "The response's parameter 'p' is a list, which the protocol cannot carry.",
        ),
        (
            request("stream", values=[1]),
            Code.UNIMPLEMENTED,
            "UNIMPLEMENTED",
            "Model 'stream' answers with streams only.",
        ),
    ],
)
def test_an_error_is_a_status_a_sentence_and_a_stable_code(face, stub, asked, code, stable, sentence):
    assert refused(stub(face()).ModelInfer, asked) == (code, sentence, stable)


def test_garbage_is_the_clients_error_on_every_method(face, channel):
    connection = channel(face())
    unary = (INFER, "/inference.GRPCInferenceService/ModelReady", "/grpc.health.v1.Health/Check")
    reflection = connection.stream_stream("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo")
    calls = [*map(connection.unary_unary, unary), lambda sent: list(reflection(iter([sent])))]
    for call in calls:
        code, sentence, stable = refused(call, b"\xff\xff garbage")
        assert (code, stable) == (Code.INVALID_ARGUMENT, "INVALID_INPUT")
        assert sentence.startswith("The message is no ")


def test_both_faces_have_a_status_for_every_stable_name():
    assert rest.STATUSES.keys() == CODES
    assert rest.STATUSES.keys() - errors.STATUSES.keys() == {UnsupportedMedia.code}  # which gRPC has no way to say
    raised = {
        kind: errors.told(kind.__new__(kind))[0] for kind in (Unauthenticated, Forbidden, SettingsError, LoadFailed)
    }
    assert raised == {kind: kind.code for kind in raised}
    assert errors.told(UnsupportedMedia("x")) == errors.told(SrvError("a path")) == errors.told(OSError("a path"))
    assert "path" not in errors.told(OSError("a path"))[2]


def test_a_message_larger_than_max_body_size_is_refused_both_ways(face, channel):
    made = face(max_body_size=100_000)
    infer = channel(made).unary_unary(INFER)
    code, _, _ = refused(infer, request(values=np.zeros(20_000)).SerializeToString())
    assert code is Code.RESOURCE_EXHAUSTED
    fitting = request(values=np.zeros(12_000)).SerializeToString()
    assert len(infer(fitting)) > 90_000
    wide = request("double", values=np.zeros(12_000))
    wide.inputs[0].datatype = "INT8"
    wide.inputs[0].shape[:] = [96_000]
    assert len(infer(wide.SerializeToString())) > 90_000


def test_an_answer_larger_than_max_body_size_is_told_with_the_setting(face, channel):
    infer = channel(face(max_body_size=1000)).unary_unary(INFER)
    asked = request("headers")
    code, sentence, stable = refused(infer, asked.SerializeToString(), metadata=[("big", 1500 * "x")])
    assert (code, stable) == (Code.RESOURCE_EXHAUSTED, "TOO_LARGE")
    assert sentence.startswith("The response has ")
    assert sentence.endswith(" bytes, more than the 1000 that max_body_size allows.")


@pytest.mark.parametrize("settings, fits", [({}, 60_000), ({"max_header_size": 2000}, 1000)], ids=["default", "set"])
def test_metadata_larger_than_max_header_size_is_refused_and_smaller_is_taken(face, channel, settings, fits):
    infer = channel(face(**settings)).unary_unary(INFER)
    asked = request().SerializeToString()

    for _ in range(20):  # grpc's own limit refuses by chance
        assert infer(asked, metadata=[("x-mine", "x" * fits)])
    code, _, _ = refused(infer, asked, metadata=[("x-mine", "x" * settings.get("max_header_size", 65536))])

    assert code is Code.RESOURCE_EXHAUSTED
    assert infer(asked)


# -- headers -----------------------------------------------------------------------------------------------------------


def test_runtimes_see_metadata_without_credentials_and_send_trailing_metadata(face, channel):
    infer = channel(face()).unary_unary(INFER)
    given = [
        ("x-mine", "1"),
        ("x-mine", "2"),
        ("authorization", "secret"),
        ("proxy-authorization", "secret"),
        ("cookie", "secret"),
        ("x-api-key", "secret"),
        ("x-request-id", "abc"),
        ("data-bin", b"\0"),
    ]
    response, call = infer.with_call(request("headers").SerializeToString(), metadata=given)
    seen = {
        name: each.string_param for name, each in service_pb2.ModelInferResponse.FromString(response).parameters.items()
    }
    assert seen.pop("user-agent").startswith("grpc-python")
    assert seen == {"x-mine": "1, 2", "x-request-id": "abc"}
    assert dict(call.trailing_metadata()) == {"x-request-id": "abc", "x-own": "mine"}


def test_pass_headers_lets_runtimes_see_what_it_names(face, channel):
    infer = channel(face(pass_headers=("Authorization",))).unary_unary(INFER)
    response = infer(request("headers").SerializeToString(), metadata=[("authorization", "a"), ("cookie", "b")])
    seen = service_pb2.ModelInferResponse.FromString(response).parameters
    assert (seen["authorization"].string_param, "cookie" in seen) == ("a", False)


@pytest.mark.parametrize("given", [None, "mine", "not one id"])
def test_a_hook_sees_the_id_of_every_call(face, channel, isolated_plugins, given):
    seen = []
    look = hookimpl(lambda request: seen.append(request.headers["x-request-id"]), specname="srv_before_infer")
    isolated_plugins(hooks={"look": SimpleNamespace(srv_before_infer=look)})

    metadata = [] if given is None else [("x-request-id", given)]
    _, call = channel(face()).unary_unary(INFER).with_call(request("echo").SerializeToString(), metadata=metadata)

    assert seen == [dict(call.trailing_metadata())["x-request-id"]]
    assert seen != ["not one id"]


def test_a_hook_sees_the_id_of_a_streams_call_with_each_request(face, channel, isolated_plugins):
    seen = []
    look = hookimpl(lambda request: seen.append(request.headers["x-request-id"]), specname="srv_before_infer")
    isolated_plugins(hooks={"look": SimpleNamespace(srv_before_infer=look)})

    stream = channel(face()).stream_stream("/inference.GRPCInferenceService/ModelStreamInfer")
    asked = [request("stream", values=[value]).SerializeToString() for value in (1.0, 2.0)]
    answers = list(stream(iter(asked), metadata=[("x-request-id", "mine")]))

    assert (len(answers), seen) == (2, ["mine", "mine"])


def test_a_call_has_an_id_also_when_it_fails(face, channel):
    with pytest.raises(grpc.RpcError) as caught:
        channel(face()).unary_unary(INFER)(request("no").SerializeToString(), metadata=[("x-request-id", "a b")])
    assert len(dict(caught.value.trailing_metadata())["x-request-id"]) == 32


# -- queues, deadlines, cancellation -----------------------------------------------------------------------------------


def hang(face, infer, count):
    """Calls that hold so many threads until the gate opens."""
    calls = [infer.future(request("gate", id=f"hang{place}").SerializeToString()) for place in range(count)]
    running = face.module("gate").running
    end = time.monotonic() + 10
    while len(running) < count:
        assert time.monotonic() < end
        time.sleep(0.005)
    return calls


def test_while_all_threads_hang_liveness_answers_at_once_and_the_queues_bound_holds(face, channel, until):
    made = face(grpc_threads=4, max_queue=3)
    connection = channel(made)
    infer = connection.unary_unary(INFER)
    calls = hang(made, infer, 4)
    queued = [infer.future(request("gate").SerializeToString()) for _ in range(3)]
    until(lambda: made.server._inference.waiting() == 3)

    assert refused(infer, request().SerializeToString()) == (
        Code.RESOURCE_EXHAUSTED,
        "3 gRPC requests wait for a thread already. Try again later.",
        "QUEUE_FULL",
    )
    for method in ("/inference.GRPCInferenceService/ServerLive", "/grpc.health.v1.Health/Check"):
        connection.unary_unary(method)(b"", timeout=10)
    assert not any(call.done() for call in calls + queued)  # they hang until the gate opens, 20 s at most

    made.module("gate").gate.set()
    for call in calls + queued:
        call.result(10)
    assert infer(request().SerializeToString())


def test_beside_as_many_idle_streams_too_probes_are_answered_under_100_ms(face, channel, until, capsys):
    made = face(max_queue=40)
    connection = channel(made)
    infer = connection.unary_unary(INFER)
    over = threading.Event()
    streams = connection.stream_stream("/inference.GRPCInferenceService/ModelStreamInfer")
    idle = [streams(iter(over.wait, True)) for _ in range(8)]  # as many as max_streams allows
    calls = hang(made, infer, 8)
    pool = made.server._inference
    idle += [streams(iter(over.wait, True)) for _ in range(16)]
    calls += [infer.future(request("gate").SerializeToString()) for _ in range(24)]
    until(lambda: pool.waiting() == 40)

    took = []
    for _ in range(50):
        for method in ("/inference.GRPCInferenceService/ServerLive", "/grpc.health.v1.Health/Check"):
            began = time.monotonic()
            connection.unary_unary(method)(b"")
            took.append(time.monotonic() - began)
    code, sentence, _ = refused(infer, request().SerializeToString())

    with capsys.disabled():
        print(
            f"\n100 probes beside 8 hanging predicts, 24 idle streams and a full queue: {max(took) * 1000:.1f} ms at most"
        )
    # Nothing ends the predicts before the gate opens, so every probe that is answered waited for none of them. The
    # slower half may have waited for a core, because other tests run beside this one.
    assert sorted(took)[49] < 0.1
    assert (code, sentence) == (Code.RESOURCE_EXHAUSTED, "40 gRPC requests wait for a thread already. Try again later.")
    made.module("gate").gate.set()
    over.set()
    for stream in idle:
        stream.cancel()
    for call in calls:
        call.result(10)


def test_a_call_that_is_cancelled_or_expires_in_the_queue_frees_its_place_and_never_runs(face, channel, until):
    made = face(grpc_threads=1, max_queue=2)
    infer = channel(made).unary_unary(INFER)
    calls = hang(made, infer, 1)
    pool = made.server._inference
    for _ in range(20):
        cancelled = infer.future(request("gate", id="cancelled").SerializeToString())
        expiring = infer.future(request("gate", id="expired").SerializeToString(), timeout=0.05)
        until(lambda call=expiring: pool.waiting() == 2 or call.done())
        cancelled.cancel()
        assert expiring.exception(10).code() is Code.DEADLINE_EXCEEDED
        until(lambda: pool.waiting() == 0)
    last = infer.future(request("gate", id="last").SerializeToString())
    made.module("gate").gate.set()
    for call in (*calls, last):
        call.result(10)
    assert made.module("gate").running == ["hang0", "last"]


def test_a_request_that_waited_longer_than_request_timeout_never_runs(face, channel, until):
    made = face(grpc_threads=1, request_timeout=1)
    infer = channel(made).unary_unary(INFER)
    assert infer(request().SerializeToString())  # so that it is connected, and what hangs begins in time
    calls = hang(made, infer, 1)
    late = infer.future(request("gate", id="late").SerializeToString())
    until(lambda: made.server._inference.waiting() == 1)
    with pytest.raises(grpc.FutureTimeoutError):
        late.result(1.1)
    made.module("gate").gate.set()
    assert late.exception(10).code() is Code.DEADLINE_EXCEEDED
    assert calls[0].exception(10).details() == "The request was not answered within its 1 seconds."
    assert made.module("gate").running == ["hang0"]


def test_the_clients_own_deadline_ends_the_call_at_once(face, channel):
    made = face()
    began = time.monotonic()
    code, _, _ = refused(channel(made).unary_unary(INFER), request("gate").SerializeToString(), timeout=0.1)
    assert code is Code.DEADLINE_EXCEEDED
    assert time.monotonic() - began < 15  # the gate stays closed for 20


def test_a_hook_learns_whose_deadline_has_passed(face, channel, isolated_plugins, until):
    heard = []
    look = hookimpl(lambda error: heard.append(str(error)), specname="srv_after_infer")
    isolated_plugins(hooks={"look": SimpleNamespace(srv_after_infer=look)})
    made = face()
    call = channel(made).unary_unary(INFER).future(request("gate").SerializeToString(), timeout=2)
    until(lambda: made.module("gate").running)
    due = time.monotonic() + 2.05  # for the server too: it counts from when the call came in, in steps of up to 10 ms
    assert call.exception(10).code() is Code.DEADLINE_EXCEEDED
    until(lambda: time.monotonic() > due)  # until then the server knows of a client that has left, and not why
    made.module("gate").gate.set()
    until(lambda: heard)
    assert re.fullmatch(r"The request was not answered within the [\d.]+ seconds that its client gave\.", heard[0])


def test_every_call_is_counted(face, stub, until):
    made = face()
    ask = stub(made)
    ask.ModelInfer(request())
    ask.ServerLive(service_pb2.ServerLiveRequest())
    refused(ask.ModelInfer, request("no"))
    until(lambda: len(made.counted) == 3)


def test_calls_in_flight_are_answered_when_the_server_stops(face, channel):
    made = face()
    infer = channel(made).unary_unary(INFER)
    calls = hang(made, infer, 3)
    made.server.stop(10)
    assert not made.server.stopped(0.2)
    made.module("gate").gate.set()
    assert all(call.result(10) for call in calls)
    assert made.server.stopped(10)


def test_calls_that_outlast_their_time_are_cancelled_when_the_server_stops(face, channel):
    made = face()
    calls = hang(made, channel(made).unary_unary(INFER), 1)
    made.server.stop(0.1)
    assert made.server.stopped(15)  # the gate stays closed for 20
    assert calls[0].exception(10).code() in (Code.CANCELLED, Code.UNAVAILABLE)


# -- streams -----------------------------------------------------------------------------------------------------------


def answers(ask, *requests, **options):
    return list(ask.ModelStreamInfer(iter(requests), **options))


def values_of(answer):
    return np.frombuffer(answer.infer_response.raw_output_contents[0]).tolist()


def test_a_stream_answers_each_request_with_all_its_responses_in_order(face, stub):
    ask = stub(face())
    heard = answers(ask, request("stream", values=[1, 2], id="a"), request("double", values=[3], id="b"))
    assert [(each.infer_response.id, values_of(each)) for each in heard] == [("a", [1]), ("a", [2]), ("b", [6])]


def test_an_error_ends_its_request_and_not_the_stream(face, stub):
    heard = answers(
        stub(face()),
        request("no", id="a"),
        request("stream", values=[1, -1, 2], id="b"),
        request("fails", id="c"),
        request("double", values=[3], id="d"),
    )
    assert [(each.infer_response.id, each.error_message) for each in heard] == [
        ("a", "No model is called 'no'."),
        ("b", ""),
        ("b", "negative"),
        ("c", "Model 'fails' raised ValueError; the server's log says more."),
        ("d", ""),
    ]


def test_a_client_may_ask_for_an_empty_last_response(face, stub):
    asked = request("stream", values=[1], id="a")
    asked.parameters["triton_enable_empty_final_response"].bool_param = True
    *_, last = answers(stub(face()), asked)
    assert (last.infer_response.id, last.infer_response.model_name, last.infer_response.outputs) == ("a", "stream", [])
    assert last.infer_response.parameters["triton_final_response"].bool_param


def test_no_more_streams_are_open_than_max_streams_and_one_that_ends_makes_room(face, stub, until):
    made = face(max_streams=2)
    ask = stub(made)
    leave = threading.Event()

    def idle():
        yield request("double", values=[1])
        leave.wait(10)

    streams = [ask.ModelStreamInfer(idle()) for _ in range(2)]
    assert all(next(stream) for stream in streams)
    with pytest.raises(grpc.RpcError) as caught:
        answers(ask, request())
    assert caught.value.code() is Code.RESOURCE_EXHAUSTED
    assert "2 streams are open already, as many as max_streams allows." in caught.value.details()
    streams[0].cancel()

    def again():
        try:
            return answers(ask, request("double", values=[1]))
        except grpc.RpcError:
            return None

    until(again)
    leave.set()


# -- health and reflection ---------------------------------------------------------------------------------------------

Check = message("grpc.health.v1.HealthCheckRequest")
Checked = message("grpc.health.v1.HealthCheckResponse")


def status(check, service):
    answer = Checked.FromString(check(Check(service=service).SerializeToString()))
    return Checked.ServingStatus.Name(answer.status)


def test_health_is_the_workers_under_the_empty_name_and_a_models_under_its_own(face, channel):
    made = face()
    check = channel(made).unary_unary("/grpc.health.v1.Health/Check")
    assert [status(check, name) for name in ("", "inference.GRPCInferenceService", "echo")] == 3 * ["SERVING"]
    code, sentence, _ = refused(check, Check(service="nobody").SerializeToString())
    assert (code, sentence) == (Code.NOT_FOUND, "No model is called 'nobody'.")
    made.assembled.drain()
    assert [status(check, name) for name in ("", "echo")] == ["NOT_SERVING", "SERVING"]


def test_watched_health_tells_changes_and_ends_with_the_server(face, channel):
    made = face()
    watch = channel(made).unary_stream("/grpc.health.v1.Health/Watch")
    told = watch(Check().SerializeToString())
    unknown = watch(Check(service="nobody").SerializeToString())
    assert Checked.FromString(next(told)).status == Checked.SERVING
    assert Checked.FromString(next(unknown)).status == Checked.SERVICE_UNKNOWN
    made.assembled.drain()
    assert Checked.FromString(next(told)).status == Checked.NOT_SERVING
    made.server.stop(5)
    assert list(told) == []


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_reflection_tells_services_and_the_files_that_describe_them(face, channel, version):
    ask = message(f"grpc.reflection.{version}.ServerReflectionRequest")
    told = message(f"grpc.reflection.{version}.ServerReflectionResponse")
    info = channel(face()).stream_stream(f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo")
    asked = [
        ask(list_services=""),
        ask(file_containing_symbol="inference.GRPCInferenceService"),
        ask(file_containing_symbol="inference.GRPCInferenceService.ModelInfer"),
        ask(file_by_filename="grpc/health/v1/health.proto"),
        ask(file_containing_symbol="nobody"),
        ask(file_by_filename="nobody.proto"),
        ask(all_extension_numbers_of_type="inference.ModelInferRequest"),
        ask(file_containing_extension={"containing_type": "inference.ModelInferRequest", "extension_number": 1}),
        ask(),
    ]
    heard = [told.FromString(each) for each in info(iter(each.SerializeToString() for each in asked))]
    assert [service.name for service in heard[0].list_services_response.service] == [
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
        "inference.GRPCInferenceService",
    ]
    for answer, package in ((heard[1], "inference"), (heard[2], "inference"), (heard[3], "grpc.health.v1")):
        (file,) = answer.file_descriptor_response.file_descriptor_proto
        assert FileDescriptorProto.FromString(file).package == package
    assert [each.error_response.error_code for each in (heard[4], heard[5], heard[7], heard[8])] == [5, 5, 5, 3]
    assert heard[6].all_extension_numbers_response.base_type_name == "inference.ModelInferRequest"


# -- interceptors ------------------------------------------------------------------------------------------------------


class Deny(grpc.ServerInterceptor):
    def intercept_service(self, continuation, details):
        metadata = dict(details.invocation_metadata)
        if metadata.get("deny") == "srv":
            raise Unauthenticated("Show a key.")
        if metadata.get("deny") == "bug":
            raise ValueError("secret")
        return continuation(details)


class Wrap(grpc.ServerInterceptor):
    """Replaces the function, and with it whatever srv wrote on it."""

    def __init__(self):
        self.threads = []

    def intercept_service(self, continuation, details):
        handler = continuation(details)
        if handler is None or handler.unary_unary is None:
            return handler

        def around(request, context):
            self.threads.append(threading.current_thread().name)
            if dict(context.invocation_metadata()).get("deny") == "inside":
                raise Forbidden("Not you.")
            if dict(context.invocation_metadata()).get("deny") == "late":
                raise KeyError("secret")
            return handler.unary_unary(request, context)

        return grpc.unary_unary_rpc_method_handler(around, handler.request_deserializer, handler.response_serializer)


@pytest.fixture
def intercepted(face, monkeypatch):
    wrap = Wrap()
    monkeypatch.setattr("srv.hooks.Hooks.grpc_interceptors", lambda _: [Deny(), wrap])
    made = face()
    made.wrap = wrap
    return made


def test_what_an_interceptor_raises_is_told_by_the_table(intercepted, channel):
    infer = channel(intercepted).unary_unary(INFER)
    asked = request().SerializeToString()
    assert infer(asked)
    assert refused(infer, asked, metadata=[("deny", "srv")]) == (
        Code.UNAUTHENTICATED,
        "Show a key.",
        "UNAUTHENTICATED",
    )
    assert refused(infer, asked, metadata=[("deny", "inside")]) == (Code.PERMISSION_DENIED, "Not you.", "FORBIDDEN")
    for when, error in (("bug", "ValueError"), ("late", "KeyError")):
        assert refused(infer, asked, metadata=[("deny", when)]) == (
            Code.INTERNAL,
            f"A plugin raised {error} in its gRPC interceptor; the server's log says which and why.",
            "INTERNAL",
        )
    assert refused(infer, request("no").SerializeToString())[0] is Code.NOT_FOUND


class Stall(grpc.ServerInterceptor):
    """Raises in the middle of a stream's answers."""

    def intercept_service(self, continuation, details):
        handler = continuation(details)
        if handler is None or handler.stream_stream is None:
            return handler

        def around(requests, context):
            for place, response in enumerate(handler.stream_stream(requests, context)):
                if place:
                    raise KeyError("secret")
                yield response

        return grpc.stream_stream_rpc_method_handler(around, handler.request_deserializer, handler.response_serializer)


def test_what_an_interceptor_raises_is_logged_with_its_plugin_and_in_streams_too(face, channel, monkeypatch, caplog):
    interceptors = [Deny(), Stall()]
    monkeypatch.setattr("srv.hooks.Hooks.grpc_interceptors", lambda _: interceptors)
    monkeypatch.setattr("srv.hooks.Hooks.owner_of", lambda _, one: type(one).__name__)
    made = face()
    asked = request().SerializeToString()
    stream = channel(made).stream_stream("/inference.GRPCInferenceService/ModelStreamInfer")

    assert refused(channel(made).unary_unary(INFER), asked, metadata=[("deny", "bug")])[2] == "INTERNAL"
    assert "Plugin 'Deny' raised in its gRPC interceptor." in caplog.text
    answers = stream(iter([asked, asked]))
    next(answers)
    with pytest.raises(grpc.RpcError) as raised:
        list(answers)
    assert raised.value.code() is Code.INTERNAL
    assert "in its gRPC interceptor" in raised.value.details()
    assert "Plugin 'Stall' raised in its gRPC interceptor." in caplog.text


def test_an_interceptor_does_not_move_a_call_to_another_pool(intercepted, channel):
    connection = channel(intercepted)
    connection.unary_unary("/inference.GRPCInferenceService/ServerLive")(b"")
    connection.unary_unary(INFER)(request().SerializeToString())
    probe, inference = intercepted.wrap.threads
    assert probe.startswith("srv-grpc-probe-")
    assert inference.startswith("srv-grpc-")
    assert not inference.startswith("srv-grpc-probe-")


# -- TLS ---------------------------------------------------------------------------------------------------------------


def test_tls_with_the_certificate_of_the_settings(tmp_path, face):
    certificate = tmp_path / "cert.pem"
    key = tmp_path / "key.pem"
    make_certificate(certificate, key)
    made = face(tls=TlsSettings(certificate, key))
    credentials = grpc.ssl_channel_credentials(certificate.read_bytes())
    options = [("grpc.ssl_target_name_override", "localhost")]
    with grpc.secure_channel(made.address, credentials, options=options) as connection:
        assert connection.unary_unary(INFER)(request().SerializeToString())
    with grpc.insecure_channel(made.address) as connection:
        assert refused(connection.unary_unary(INFER), b"", timeout=10)[0] is Code.UNAVAILABLE


def make_certificate(certificate, key):
    import subprocess

    subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=DNS:localhost",
            "-keyout",
            key,
            "-out",
            certificate,
        ],
        check=True,
        capture_output=True,
    )


def test_the_defaults_serve_grpc(tmp_path):
    settings = ServerSettings(folder=tmp_path)
    assert (settings.grpc_port, settings.grpc_threads) == (8081, 16)


# -- the page ----------------------------------------------------------------------------------------------------------

PAGE = Path(__file__).parents[2] / "docs" / "protocol.md"


def test_the_page_has_the_table_of_errors():
    rows = set(re.findall(r"^\| ([A-Z_]+) \| ([A-Z_]+) \|$", PAGE.read_text(), re.MULTILINE))
    assert rows == {(code, status.name) for code, status in errors.STATUSES.items()}


def test_the_page_has_every_method_that_is_there(face):
    page = PAGE.read_text()
    for path in face().server._routes._routes:
        service, method = path.lstrip("/").split("/")
        listed = re.search(rf"^\|[^|]*`{re.escape(service)}`[^|]*\| (.*) \|$", page, re.MULTILINE)
        assert method in re.split(r"\W+", listed[1])
