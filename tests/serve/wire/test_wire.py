from pathlib import Path

import pytest
from wires import cases, converse
from workers import Talk, worker

CASES = [case for file in sorted((Path(__file__).parent / "cases").glob("*.wire")) for case in cases(file)]

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with worker(tmp_path_factory.mktemp("wire") / "log", max_body_size=1_000_000) as running:
        yield running


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_client_hears_what_it_should_and_the_server_goes_on(server, case):
    converse(case, server)

    with Talk(server) as talk:
        assert talk.ask("/hello").body == b"hello"


def test_there_are_as_many_cases_as_promised_and_each_has_a_name_of_its_own():
    assert len({case.name for case in CASES}) == len(CASES) >= 150


@pytest.mark.parametrize("target", ["/hello", "/stream", "/nowhere", "/v2/health/live", "/refused#x"])
def test_every_response_keeps_browsers_from_guessing_a_content_type(server, target):
    with Talk(server) as talk:
        assert talk.ask(target).headers["x-content-type-options"] == "nosniff"
