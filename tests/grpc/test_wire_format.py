"""Raw contents are cut out of a message as protobuf itself would read them, or the message is refused."""

import pytest
from google.protobuf.message import DecodeError
from hypothesis import example, given, settings
from hypothesis import strategies as st

from srv.errors import InvalidInput
from srv.grpc.descriptors import ModelInferRequest, ModelInferResponse
from srv.grpc.wire_format import NoMessage, joined, read_message, split

TEXTS = st.text(max_size=8)
RAW = st.lists(st.binary(max_size=300), max_size=4)


@st.composite
def messages(draw):
    message = ModelInferRequest(model_name=draw(TEXTS), model_version=draw(TEXTS), id=draw(TEXTS))
    for name in draw(st.lists(TEXTS, max_size=3)):
        message.parameters[name].int64_param = draw(st.integers(-(2**63), 2**63 - 1))
    for name in draw(st.lists(TEXTS, max_size=3)):
        tensor = message.inputs.add(name=name, datatype="FP64", shape=draw(st.lists(st.integers(0, 9), max_size=3)))
        tensor.contents.fp64_contents.extend(draw(st.lists(st.floats(allow_nan=False), max_size=3)))
    for name in draw(st.lists(TEXTS, max_size=2)):
        message.outputs.add(name=name).parameters["p"].bool_param = True
    message.raw_input_contents.extend(draw(RAW))
    return message


def told(data):
    """What the splitter makes of bytes: the message with its raw contents put back, or None where it refuses."""
    try:
        rest, contents = split(data)
        message = ModelInferRequest.FromString(rest)
    except (InvalidInput, DecodeError):
        return None
    assert not message.raw_input_contents
    message.raw_input_contents.extend(bytes(each) for each in contents)
    return message


@pytest.mark.fuzz
@given(st.lists(messages(), min_size=1, max_size=3))
def test_a_message_is_split_as_protobuf_reads_it_also_when_its_fields_come_in_any_order(parts):
    data = b"".join(part.SerializeToString() for part in parts)  # messages one behind the other are one, merged
    assert told(data) == ModelInferRequest.FromString(data)


@given(messages(), st.integers(8, 2**29 - 1), st.binary(max_size=20))
def test_fields_that_nobody_knows_are_passed_over(message, number, content):
    unknown = ModelInferRequest()
    data = message.SerializeToString()
    tag = number << 3 | 2
    varint = bytearray()
    while tag > 0x7F:
        varint.append(tag & 0x7F | 0x80)
        tag >>= 7
    varint.append(tag)
    data = bytes(varint) + bytes((len(content),)) + content + data
    unknown.ParseFromString(data)
    assert told(data) == unknown


@settings(max_examples=500)
@given(st.binary(max_size=60))
@example(b"")
@example(b"\x3a")
@example(b"\x3a\x05abc")
@example(b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")
@example(b"\xba\x80\x80\x80\x80\x80\x80\x00\x00")
@example(b"\x0b\x0c")
@example(b"\x38\x01")
@example(b"\x39" + 8 * b"x")
def test_garbage_is_refused_or_read_as_protobuf_reads_it(data):
    ours = told(data)
    try:
        theirs = ModelInferRequest.FromString(data)
    except DecodeError:
        theirs = None
    assert ours is None or ours == theirs


@given(messages(), st.data())
def test_a_message_that_was_cut_or_damaged_is_refused_or_read_as_protobuf_reads_it(message, data):
    whole = bytearray(message.SerializeToString())
    if whole:
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    damaged = bytes(whole[: data.draw(st.integers(0, len(whole)))])
    ours = told(damaged)
    try:
        theirs = ModelInferRequest.FromString(damaged)
    except DecodeError:
        theirs = None
    assert ours is None or ours == theirs


def test_small_and_large_messages_are_read_alike_and_large_contents_are_views():
    for size in (8, 100_000):
        message = ModelInferRequest(model_name="m")
        message.inputs.add(name="x")
        message.raw_input_contents.append(size * b"x")
        data = message.SerializeToString()
        read, (content,) = read_message(data)
        assert (read.model_name, len(read.inputs), content) == ("m", 1, size * b"x")
        assert isinstance(content, memoryview) is (size == 100_000)


@pytest.mark.parametrize(
    "data, why",
    [
        (b"\x3a\x10" + 20_000 * b"\x00", "protobuf cannot read it"),
        (b"\x3a\xff\xff\x7f" + 20_000 * b"x", "it ends in the middle of a field"),
        (b"\x0b" + 20_000 * b"x", "it has a field of the unknown kind 3"),
        (b"\x3a" + 12 * b"\x80" + 20_000 * b"x", "it has a number that is too long"),
        (100_000 * b"\x2a\x00", "it has more than 65536 fields"),
    ],
    ids=["field 0", "length that lies", "group", "endless number", "many empty inputs"],
)
def test_a_large_message_that_is_none_is_refused_with_its_reason(data, why):
    with pytest.raises(NoMessage) as refused:
        read_message(data)
    assert str(refused.value) == f"The message is no ModelInferRequest: {why}."


@given(RAW)
def test_contents_behind_a_response_are_read_by_protobuf(contents):
    written = joined(ModelInferResponse(model_name="m").SerializeToString(), [memoryview(each) for each in contents])
    read = ModelInferResponse.FromString(written)
    assert (read.model_name, list(read.raw_output_contents)) == ("m", contents)
