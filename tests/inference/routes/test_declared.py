import pytest

from srv import Runtime
from srv.errors import LoadFailed
from srv.testing import Client


class Plain(Runtime):
    def predict(self, x: list[str]) -> list[str]:
        return x

    def answer(self, request):
        return {"path": request.path}

    def nothing(self):
        return {}

    async def later(self, request):
        return {}


@pytest.mark.parametrize(
    ("routes", "said"),
    [
        ("explain", 'Plain.routes is of type str. Write a list: routes = [("POST", "explain", "explain")]'),
        ([("POST", "explain")], "Plain.routes has '('POST', 'explain')' in it."),
        ([("post", "explain", "answer")], "has the method 'post'; it can be DELETE, GET, PATCH, POST, PUT."),
        ([("HEAD", "explain", "answer")], "HEAD and OPTIONS are answered by srv."),
        ([("GET", "explain", "anser")], "names the method 'anser', which Plain does not have. Did you mean 'answer'?"),
        ([("GET", "explain", "nothing")], "cannot be called: write def nothing(self, request)"),
        ([("GET", "a", "answer"), ("GET", "a", "answer")], "The route GET 'a' is declared twice."),
        ([("GET", "a/{x}", "answer"), ("PUT", "a/{y}", "answer")], "'a/{x}' and 'a/{y}' are one path"),
        ([("GET", "a b", "answer")], "The route's path 'a b' has a part that is neither plain text nor a field"),
        ([("POST", "infer", "answer")], "'infer' is one of the server's own, which no runtime can have."),
        ([("GET", "generate_stream", "answer")], "'generate_stream' is one of the server's own"),
        ([("GET", "docs/dataplane.json", "answer")], "'docs/dataplane.json' is one of the server's own"),
        ([("GET", "/v2/mine", "answer")], "'/v2/mine' is one of the server's own"),
    ],
)
def test_a_model_whose_routes_cannot_be_served_does_not_load_and_says_why(routes, said):
    declaring = type("Plain", (Plain,), {"routes": routes})
    with pytest.raises(LoadFailed) as told:
        Client.of(declaring)
    assert said in str(told.value)


def test_a_root_route_at_a_plugins_path_is_refused():
    declaring = type("Plain", (Plain,), {"routes": [("GET", "/metrics", "answer")]})
    with pytest.raises(LoadFailed, match="'/metrics' is one of the server's own"):
        Client.of(declaring, settings={"root_routes": {"/metrics": "Plain"}})


def test_async_routes_of_a_runtime_with_a_thread_of_its_own_are_refused():
    declaring = type("Plain", (Plain,), {"routes": [("GET", "later", "later")], "same_thread": True})
    with pytest.raises(LoadFailed, match="says same_thread, and its later is async"):
        Client.of(declaring)


def test_routes_may_be_a_method_that_knows_what_load_has_found():
    class Found(Plain):
        def load(self):
            self._names = ["one", "two"]

        def routes(self):
            return [("GET", name, "answer") for name in self._names]

    with Client.of(Found) as client:
        assert client.call("GET", "Found", "two").json == {"path": "two"}
        assert client.call("GET", "Found", "three").status == 404


def test_routes_of_a_runtime_with_a_thread_of_its_own_run_there():
    class Threaded(Plain):
        same_thread = True
        routes = (("GET", "thread", "thread"), ("GET", "threads", "threads"))

        def load(self):
            import threading

            self._ident = threading.get_ident
            self._mine = threading.get_ident()

        def thread(self, request):
            return {"mine": self._ident() == self._mine}

        def threads(self, request):
            for _ in range(2):
                yield {"mine": self._ident() == self._mine}

    with Client.of(Threaded) as client:
        assert client.call("GET", "Threaded", "thread").json == {"mine": True}
        assert client.call("GET", "Threaded", "threads").body == b'data: {"mine":true}\n\n' * 2
