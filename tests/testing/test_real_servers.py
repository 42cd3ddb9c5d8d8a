"""srv_server: a process of its own, ready when it is given, gone at the end, and honest about how it went."""

import json
import os

import numpy as np
import pytest
from numpy.typing import NDArray

from srv import Runtime
from srv.testing import Server, model, srv_server

pytestmark = pytest.mark.e2e


class Doubler(Runtime):
    def load(self):
        self.log.warning("The doubler is there.")

    def predict(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        return 2 * x


def test_a_class_is_imported_by_a_server_in_a_process_of_its_own(srv_server):
    server = srv_server(Doubler)
    assert server.infer("Doubler", {"x": [1.5]})["output"].tolist() == [3.0]
    assert server.get("/v2/health/ready").json == {"ready": True}
    assert server.url.startswith("http://127.0.0.1:")
    assert server.process.pid != os.getpid()


def test_models_of_all_kinds_stand_side_by_side_under_the_servers_settings(srv_server):
    files = {"models.py": "from srv import Runtime\nclass M(Runtime):\n    def predict(self, x): return x['x']\n"}
    server = srv_server(
        Doubler,
        model(name="mirror", files=files, implementation="models.M"),
        settings={"server_name": "two", "log_format": "json"},
        environ={"SRV_LOG_LEVEL": "warning"},
    )
    assert server.get("/v2/models").json == {"models": ["Doubler", "mirror"]}
    assert server.get("/").json["name"] == "two"
    said = [json.loads(line) for line in server.logs.splitlines()]
    assert "The doubler is there." in [line["message"] for line in said]


def test_a_line_of_its_output_is_waited_for(srv_server):
    server = srv_server(Doubler)
    assert server.wait_for(r"The (\w+) is there").group(1) == "doubler"
    with pytest.raises(AssertionError, match=r"(?s)without saying 'never said'\. It said:\n.*The doubler is there"):
        server.wait_for("never said", timeout=0.1)


def test_it_ends_with_code_0_and_nothing_of_it_is_left():
    with srv_server(Doubler, settings={"workers": 2}) as server:
        pid = server.process.pid
    assert server.process.returncode == 0
    with pytest.raises(ProcessLookupError):
        os.killpg(pid, 0)


def test_a_server_that_cannot_start_says_why():
    with (
        pytest.raises(AssertionError, match=r"(?s)The server ended without saying .*no_such_module"),
        srv_server({"name": "m", "implementation": "no_such_module.Model"}),
    ):
        pass


def test_a_server_that_ends_badly_fails_the_test():
    with pytest.raises(AssertionError, match="exit code -9 and not with 0"), srv_server(Doubler) as server:
        server.kill()


def test_a_test_that_fails_is_not_hidden_by_the_servers_end():
    with pytest.raises(ZeroDivisionError), srv_server(Doubler) as server:
        raise ZeroDivisionError
    assert server.process.returncode is not None


def test_a_class_that_no_other_process_could_import_is_refused_with_what_to_do():
    class Local(Runtime):
        pass

    with pytest.raises(TypeError, match=r"cannot import .*Local: it stands inside a function.*use srv.testing.Client"):
        srv_server(Local).__enter__()


def test_a_folder_may_be_started_by_hand_too(tmp_path):
    server = Server(tmp_path, "--log-level", "warning", environ={"SRV_SERVER_NAME": "by-hand"})
    try:
        assert server.get("/").json["name"] == "by-hand"
        assert server.stop() == 0
    finally:
        server.kill()
