import http.client

import pytest
from servers import running

from srv.planes.request_ids import request_id


@pytest.mark.parametrize("given", ["a", "trace-1/2;x=~", "x" * 128])
def test_a_client_gets_its_own_id_back(given):
    assert request_id(given) == given


@pytest.mark.parametrize("given", [None, "", "a b", "a\tb", "a\nb", "é", "x" * 129, "\x7f"])
def test_an_id_that_is_no_word_of_printable_ascii_is_replaced(given):
    made = request_id(given)

    assert made != given
    assert request_id(made) == made
    assert made != request_id(given)


@pytest.mark.e2e
@pytest.mark.parametrize("given, kept", [("a-b", True), ("a b", False)])
def test_the_worker_and_the_app_take_the_same_ids(served, given, kept):
    answered = {}
    for path in ("/v2/health/live", "/v2"):  # the worker answers the first itself
        connection = http.client.HTTPConnection("127.0.0.1", served, timeout=60)
        connection.request("GET", path, headers={"X-Request-Id": given})
        answered[path] = connection.getresponse().headers["X-Request-Id"]
        connection.close()

    assert [each == given for each in answered.values()] == [kept, kept]


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with running(tmp_path_factory.mktemp("ids")) as server:
        yield server.connect().port
