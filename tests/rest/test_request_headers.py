from srv.rest.middleware import RequestHeaders

ENVIRON = {
    "REQUEST_METHOD": "POST",
    "HTTP_X_REQUEST_ID": "a",
    "HTTP_AUTHORIZATION": "secret",
    "CONTENT_TYPE": "application/json",
    "CONTENT_LENGTH": "7",
    "wsgi.input": None,
}


def test_headers_taken_all_at_once_are_those_taken_one_by_one():
    headers = RequestHeaders(ENVIRON)
    assert dict(headers.items()) == {name: headers[name] for name in headers}
    assert dict(headers.items()) == {"x-request-id": "a", "content-type": "application/json", "content-length": "7"}


def test_hidden_headers_are_those_that_somebody_names():
    assert dict(RequestHeaders(ENVIRON, ["x-request-id"]).items())["authorization"] == "secret"
