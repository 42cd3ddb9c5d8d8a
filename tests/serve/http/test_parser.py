import httptools
import pytest
from msgspec.structs import replace

from srv.serve.http.errors import BrokenRequest, Refused
from srv.serve.http.limits import Limits
from srv.serve.http.parse_errors import early_fault
from srv.serve.http.parser import MOST_KNOWN, HeadReader, Names, Silent

GOOD = b"POST /v2/models/m/infer?a=b HTTP/1.1\r\nHost: x:80\r\nContent-Type: a/b\r\nContent-Length: 3\r\n\r\n"


@pytest.fixture
def reader():
    return HeadReader(Limits())


def test_a_head_is_what_an_app_needs(reader):
    head = reader.read(GOOD + b"abc")

    assert (head.method, head.path, head.query, head.target) == (
        "POST",
        "/v2/models/m/infer",
        "a=b",
        b"/v2/models/m/infer?a=b",
    )
    assert head.fields == {"HTTP_HOST": "x:80", "CONTENT_TYPE": "a/b", "CONTENT_LENGTH": "3"}
    assert (head.size, head.length, head.chunked, head.expects, head.keep_alive, head.version) == (
        len(GOOD),
        3,
        False,
        False,
        True,
        1,
    )


@pytest.mark.parametrize("end", range(1, len(GOOD)))
def test_a_head_that_has_not_ended_is_none(reader, end):
    assert reader.read(GOOD[:end]) is None


def test_header_names_are_remembered_only_so_far():
    names = Names()

    for number in range(5000):
        assert names[b"X-%d" % number] == f"HTTP_X_{number}"

    assert len(names) < 2000


def test_hosts_are_remembered_only_so_far(reader):
    for number in range(5000):
        reader.read(b"GET / HTTP/1.1\r\nHost: h%d\r\n\r\n" % number)

    assert len(reader._hosts) < 2000


def test_limits_are_those_of_the_settings():
    strict = HeadReader(replace(Limits(), request_line=20, header_count=2, max_header_size=60))

    with pytest.raises(Refused, match="longer than 20 bytes"):
        strict.read(b"GET /%s HTTP/1.1\r\nHost: x\r\n\r\n" % (b"a" * 20))
    with pytest.raises(Refused, match="more than 2 headers"):
        strict.read(b"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\nC: d\r\n\r\n")
    with pytest.raises(Refused, match="larger than the 60 bytes that max_header_size allows"):
        strict.read(b"GET / HTTP/1.1\r\nHost: x\r\nA: %s\r\n\r\n" % (b"b" * 50))


@pytest.mark.parametrize(
    "start",
    [
        b"\x16\x03\x01",
        b"G(T",
        b" ",
        b"GET /\xe9",
        b"GET / HTTP/1.1\r\n H",
        b"GET / HTTP/1.1\r\nA b",
        b"GET / HTTP/1.1\r\nA: \0",
    ],
    ids=["TLS", "method", "blank", "target", "folded first header", "header's name", "header's value"],
)
def test_what_no_head_begins_with_is_refused_before_it_ends(start):
    assert isinstance(early_fault(start, Limits()), BrokenRequest)


@pytest.mark.parametrize("end", range(1, len(GOOD)))
def test_what_a_good_head_begins_with_is_waited_for(end):
    assert early_fault(GOOD[:end], Limits()) is None


# -- what httptools does, and what it does not: these fail when a new version changes it ------------------------------


def fed(data):
    httptools.HttpRequestParser(Silent).feed_data(data)


@pytest.mark.parametrize(
    "broken",
    [b"G(T / HTTP/1.1\r\n\r\n", b"FOO / HTTP/1.1\r\n\r\n", b"GET / HTTP/7.0\r\n\r\n", b"GET / HTTP/1.1\r\nA\r\n\r\n"],
    ids=["method's characters", "unknown method", "version", "header without colon"],
)
def test_all_that_httptools_refuses_is_a_parser_error(broken):
    with pytest.raises(httptools.HttpParserError):
        fed(broken)


def test_a_wish_for_another_protocol_is_an_error_of_its_own_and_the_head_was_read(reader):
    wish = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nA: b\r\n\r\n"
    with pytest.raises(httptools.HttpParserUpgrade):
        fed(wish)

    assert reader.read(wish).fields["HTTP_A"] == "b"


@pytest.mark.parametrize(
    "taken",
    [
        b"GET  /  HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /\r\nHost: x\r\n\r\n",
        b"GET / HTTP/0.9\r\nHost: x\r\n\r\n",
        b"GET / HTTP/2.0\r\nHost: x\r\n\r\n",
        b"SOURCE / ICE/1.0\r\nHost: x\r\n\r\n",
        b"M-SEARCH / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n",
        b"GET * HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /a#b HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        b"GET / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999999999999\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nA: %s\r\n\r\n" % (b"b" * 70_000),
        b"GET / HTTP/1.1\r\nHost: x\r\n%s\r\n" % (b"A: b\r\n" * 1000),
        b"GET /%s HTTP/1.1\r\nHost: x\r\n\r\n" % (b"a" * 9000),
    ],
    ids=[
        "two blanks", "empty line before", "HTTP/0.9 without a version", "HTTP/0.9", "HTTP/2.0", "ICE", "M-SEARCH",
        "no Host", "Host twice", "asterisk", "fragment", "coding before chunked", "coding in HTTP/1.0", "huge length",
        "long header", "many headers", "long target",
    ],
)  # fmt: skip
def test_what_httptools_takes_the_reader_refuses(reader, taken):
    try:
        fed(taken)
    except httptools.HttpParserError as error:
        pytest.fail(f"httptools refuses it: {error}")

    with pytest.raises(Refused):
        reader.read(taken)


@pytest.mark.parametrize(
    "broken",
    [
        b"GET / HTTP/1.1\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\nA: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\rA: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n",
        b"GET /\xe9 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\nContent-Length: 1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +3\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\n",
    ],
    ids=["bare LF", "a later one", "bare CR", "obs-fold", "beyond ASCII", "CL and TE", "overflow", "sign", "HTTP/2"],
)
def test_what_no_server_may_take_the_reader_refuses(reader, broken):
    with pytest.raises(Refused):
        reader.read(broken)


@pytest.mark.parametrize("value", ["b", "b \t", " b", "\t b ", "", "  "])
def test_blanks_around_a_value_are_no_part_of_it(reader, value):
    head = reader.read(f"GET / HTTP/1.1\r\nHost: x\r\nA:{value}\r\nB: c\r\n\r\n".encode())

    assert (head.fields["HTTP_A"], head.fields["HTTP_B"]) == (value.strip(), "c")


def test_a_refusal_says_what_is_wrong_and_nothing_of_the_server(reader):
    with pytest.raises(BrokenRequest, match=r"^The request is broken: the header content-length comes twice\.$"):
        reader.read(b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n")


def test_a_head_that_comes_again_is_read_once(reader):
    head = reader.read(GOOD + b"abc")

    assert reader.read(GOOD + b"de") is head
    assert reader.read(GOOD.replace(b"x:80", b"x:81")) is not head
    assert reader.read(GOOD.replace(b"a=b", b"a=c")).query == "a=c"


def test_heads_of_any_number_take_little_memory(reader):
    for number in range(2000):
        assert reader.read(GOOD.replace(b"a=b", b"a=%d" % number)).query == f"a={number}"

    assert len(reader._known) <= MOST_KNOWN


def test_what_is_refused_is_refused_again(reader):
    for _ in range(2):
        with pytest.raises(BrokenRequest):
            reader.read(GOOD.replace(b"Host: x:80", b"Host: x y"))
