"""The page of servers with keys, without control of models, behind a proxy, and over TLS; loading and unloading."""

import json
import re
import shutil
import threading
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from servers import Server, running

pytestmark = pytest.mark.page

PAIR = Path(__file__).parents[1] / "serve" / "http" / "localhost.pem"
KEY = "correct horse battery staple"


@pytest.fixture
def served(tmp_path, write):
    """Start a server of some models with settings."""

    @contextmanager
    def start(*names, **settings):
        folder = write(tmp_path / "models", *names, settings=settings)
        with running(folder) as server:
            yield server

    return start


def send(page):
    page.get_by_role("button", name="Send", exact=True).click()


def test_the_page_asks_for_a_key_where_the_server_needs_one(visit, served, expect):
    with served("double", keys={"ci": KEY}) as server:
        page = visit(server.url())
        dialog = page.get_by_role("dialog")
        expect(dialog).to_contain_text("This server asks for a key.")
        page.get_by_label("API key").fill("not the right one at all")
        page.keyboard.press("Enter")
        expect(dialog).to_contain_text("The key is not one that this server knows.")
        page.get_by_label("API key").fill(KEY)
        page.get_by_role("button", name="Use the key").click()
        page.get_by_role("link", name="double", exact=True).click()
        send(page)
        expect(page.locator(".value")).to_have_text("1")
        curl = page.locator("pre.curl").text_content()
        assert '-H "Authorization: Bearer $SRV_KEY"' in curl
        assert KEY not in page.content()
        with page.expect_download() as saved:
            page.get_by_role("link", name="OpenAPI").click()
        assert json.loads(Path(saved.value.path()).read_text())["openapi"] == "3.0.3"

        page.get_by_role("button", name="Forget the key").click()
        expect(dialog).to_be_visible()
        page.get_by_role("button", name="Cancel").click()
        expect(page.get_by_role("alert")).to_contain_text("UNAUTHENTICATED")


def test_models_are_unloaded_and_loaded_where_that_is_allowed(visit, served, expect):
    with served("double", "sums") as server:
        page = visit(f"{server.url()}/v2/docs")
        row = page.get_by_role("row", name=re.compile("^double"))
        page.get_by_role("button", name="Unload double").click()
        page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
        expect(row).to_contain_text("READY")
        page.get_by_role("button", name="Unload double").click()
        page.get_by_role("dialog").get_by_role("button", name="Unload").click()
        expect(row).to_contain_text("UNAVAILABLE")
        expect(page.get_by_role("button", name="Unload double")).to_have_count(0)

        page.get_by_role("link", name="double", exact=True).click()
        expect(page.get_by_text("It answers nobody until it is loaded.")).to_be_visible()
        page.get_by_role("button", name="Load double").click()
        send(page)
        expect(page.locator(".value")).to_have_text("1")

        settings = Path(server.process.args[4]) / "double" / "models.py"
        settings.write_text("raise ValueError('<b>gone</b>')")
        page.get_by_role("button", name="Reload double").click()
        expect(page.get_by_role("alert")).to_contain_text("LOAD_FAILED")
        expect(page.get_by_role("alert")).to_contain_text("<b>gone</b>")
        expect(page.locator("main")).to_contain_text("READY")


def test_no_change_of_models_is_offered_where_none_is_allowed(visit, served, expect):
    with served("double", model_control=False) as server:
        page = visit(f"{server.url()}/v2/docs")
        expect(page.get_by_role("row", name=re.compile("^double"))).to_contain_text("READY")
        assert page.get_by_role("button", name=re.compile("load")).count() == 0


class TakesPrefixOff(BaseHTTPRequestHandler):
    """A proxy that serves below /outer, and asks the server without it; `server.behind` is where."""

    protocol_version = "HTTP/1.1"

    def _pass_on(self):
        assert self.path.startswith("/outer/"), self.path
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        connection = HTTPConnection(self.server.behind, timeout=60)
        connection.request(self.command, self.path.removeprefix("/outer"), body or None, dict(self.headers))
        answer = connection.getresponse()
        content = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        connection.close()

    do_GET = do_POST = _pass_on  # noqa: N815  names of http.server

    def log_message(self, *_):
        pass


def test_behind_a_proxy_that_takes_a_prefix_off_everything_stays_below_it(visit, served, expect):
    with served("double") as server:
        proxy = ThreadingHTTPServer(("127.0.0.1", 0), TakesPrefixOff)
        proxy.behind = server.url().removeprefix("http://")
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        try:
            page = visit(f"http://127.0.0.1:{proxy.server_port}/outer/")
            page.get_by_role("link", name="double", exact=True).click()
            send(page)
            expect(page.locator(".value")).to_have_text("1")
            assert f":{proxy.server_port}/outer/v2/models/double/infer'" in page.locator("pre.curl").text_content()
        finally:
            proxy.shutdown()
            proxy.server_close()


def test_below_root_path_everything_stays_below_it(visit, served, expect):
    with served("double", root_path="/team/models") as server:
        asked = []
        page = visit(f"{server.url()}/team/models")
        page.on("request", lambda request: asked.append(request.url))
        page.get_by_role("link", name="double", exact=True).click()
        send(page)
        expect(page.locator(".value")).to_have_text("1")
        assert [each for each in asked if not each.startswith(f"{server.url()}/team/models/")] == []


def test_the_page_works_over_tls(visit, write, tmp_path, expect):
    folder = write(tmp_path, "double", settings={"tls": {"certfile": "pair.pem", "keyfile": "pair.pem"}})
    shutil.copy(PAIR, folder / "pair.pem")
    server = Server(folder)
    try:
        port = server.wait_for(r"serving on https://127\.0\.0\.1:(\d+)")[1]
        page = visit(f"https://localhost:{port}/")
        page.get_by_role("link", name="double", exact=True).click()
        send(page)
        expect(page.locator(".value")).to_have_text("1")
    finally:
        assert server.stop() == 0, server.output
