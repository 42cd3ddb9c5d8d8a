"""What a server answers becomes the error of its code, or of its status."""

import pytest

from srv import errors
from srv.client.failures import TimedOut, failure_of


@pytest.mark.parametrize(
    "status, body, kind, sentence, code",
    [
        (400, b'{"error": "No.", "code": "INVALID_INPUT"}', errors.InvalidInput, "No.", "INVALID_INPUT"),
        (404, b'{"error": "No.", "code": "NOT_FOUND"}', errors.NotFound, "No.", "NOT_FOUND"),
        (429, b'{"error": "Full.", "code": "QUEUE_FULL"}', errors.QueueFull, "Full.", "QUEUE_FULL"),
        (408, b'{"error": "Slow.", "code": "TIMEOUT"}', errors.SrvError, "Slow.", "TIMEOUT"),
        (500, b'{"error": "Oh.", "code": "MODEL_ERROR"}', errors.ModelError, "Oh.", "MODEL_ERROR"),
        (404, b'{"error": "of Triton"}', errors.NotFound, "of Triton", "NOT_FOUND"),
        (503, b'{"detail": "of FastAPI"}', errors.Unavailable, "of FastAPI", "UNAVAILABLE"),
        (502, b"<html>", errors.SrvError, "http://here answered with the status 502 and '<html>'.", "INTERNAL"),
        (413, b"", errors.TooLarge, "http://here answered with the status 413 and nothing else.", "TOO_LARGE"),
    ],
)
def test_a_refusal_is_the_error_of_its_code_or_status(status, body, kind, sentence, code):
    error = failure_of(status, {"x-request-id": "7", "retry-after": "2"}, body, "http://here")
    assert type(error) is kind
    assert str(error) == sentence
    assert error.code == code
    assert (error.request_id, error.retry_after) == ("7", 2.0)


def test_a_time_that_passed_at_the_client_is_a_deadline_and_says_how_long_it_was():
    error = TimedOut("http://here", 2.5)
    assert isinstance(error, errors.DeadlinePassed)
    assert str(error) == "http://here did not answer within 2.5 seconds."
