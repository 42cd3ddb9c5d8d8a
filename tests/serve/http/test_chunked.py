import pytest

from srv.serve.http.chunked import Chunks
from srv.serve.http.errors import Refused
from srv.serve.http.limits import Limits

WHOLE = b"5;a=b\r\nhello\r\n6\r\n world\r\n0\r\nX-T: 1\r\n\r\n"


@pytest.mark.parametrize("size", range(1, len(WHOLE) + 1))
def test_pieces_of_any_size_give_the_same_body(size):
    chunks = Chunks(Limits())
    data = WHOLE + b"next"

    rest = None
    while rest is None:
        piece, data = data[:size], data[size:]
        rest = chunks.feed(piece)

    assert bytes(chunks.body) == b"hello world"
    assert rest + data == b"next"


@pytest.mark.parametrize("end", range(len(WHOLE)))
def test_a_body_that_has_not_ended_gives_nothing_back(end):
    assert Chunks(Limits()).feed(WHOLE[:end]) is None


def test_a_body_beyond_the_limit_is_refused_before_it_has_come():
    with pytest.raises(Refused, match="max_body_size"):
        Chunks(Limits(max_body_size=10)).feed(b"b\r\n")
