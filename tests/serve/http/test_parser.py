import gunicorn_h1c
import pytest
from msgspec.structs import replace

from srv.serve.http.limits import Limits
from srv.serve.http.parser import MOST_KNOWN, HeadReader, Names
from srv.serve.http.refusals import BrokenRequest, Refused

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
    strict = HeadReader(replace(Limits(), request_line=20, header_count=2, header_size=30))

    with pytest.raises(Refused, match="longer than 20 bytes"):
        strict.read(b"GET /%s HTTP/1.1\r\nHost: x\r\n\r\n" % (b"a" * 20))
    with pytest.raises(Refused, match="there may be 2"):
        strict.read(b"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\nC: d\r\n\r\n")
    with pytest.raises(Refused, match="one may have 30 bytes"):
        strict.read(b"GET / HTTP/1.1\r\nHost: x\r\nA: %s\r\n\r\n" % (b"b" * 30))


# -- what gunicorn_h1c does, and what it does not: these fail when a new version changes it ---------------------------


def test_h1c_raises_an_incomplete_error_of_its_own():
    with pytest.raises(gunicorn_h1c._parser_fast.IncompleteError):
        gunicorn_h1c.parse_request_fast(b"GET / HT")
    assert not issubclass(gunicorn_h1c._parser_fast.IncompleteError, ValueError)


def test_all_that_h1c_refuses_is_a_value_error():
    for broken in (b"G(T / HTTP/1.1\r\n\r\n", b"GET / HTTP/2.0\r\n\r\n", b"GET / HTTP/1.1\r\nA\r\n\r\n"):
        with pytest.raises(ValueError):
            gunicorn_h1c.parse_request_fast(broken)


def test_h1c_gives_what_is_read_of_it():
    request = gunicorn_h1c.parse_request_fast(GOOD, 0, 8190, 100, 8190, True, False)

    assert (request.method, request.path, request.minor_version) == (b"POST", b"/v2/models/m/infer?a=b", 1)
    assert request.headers == ((b"Host", b"x:80"), (b"Content-Type", b"a/b"), (b"Content-Length", b"3"))
    assert (request.consumed, request.header_count) == (len(GOOD), 3)


@pytest.mark.parametrize(
    "taken",
    [
        b"GET / HTTP/1.1\nHost: x\n\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n",
        b"GET  /  HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /\xe9 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\nContent-Length: 1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
    ],
    ids=["bare LF", "obs-fold", "two blanks", "target beyond ASCII", "no Host", "CL and TE", "overflow"],
)
def test_what_h1c_takes_the_reader_refuses(reader, taken):
    with pytest.raises(Refused):
        reader.read(taken)


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
