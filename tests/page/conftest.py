"""A server whose models do what pages show, and Chromium, which reaches no other host."""

import json
from base64 import b64encode

import pytest
from chromium import chromium
from servers import running

CODE = '''
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from srv import InferenceRequest, InferenceResponse, Runtime

HTML = "<img src=x onerror=alert(1)><script>alert(2)</script>"


class Double(Runtime):
    def predict(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        return 2 * x


class Prices(Runtime):
    def predict(self, rooms: list[int], area: list[float], city: list[str]) -> dict[str, list]:
        return {"city": city, "price": [round(one * 1000) for one in area], "rooms": rooms}


class Sums(Runtime):
    def predict(self, x: np.ndarray) -> np.ndarray:
        return x.sum(axis=1)


class Words(Runtime):
    """Each word but the first waits for a file of its name, so that a test decides when it comes."""

    def predict_stream(self, text: list[str]) -> Iterator[list[str]]:
        for place, word in enumerate(text[0].split()):
            while place and not Path(__file__).with_name(word).exists():
                time.sleep(0.01)
            yield [f"{word} "]


class Negative(Runtime):
    def predict(self, image: np.ndarray) -> np.ndarray:
        return 255 - image


class Same(Runtime):
    def predict(self, image: list[bytes]) -> list[bytes]:
        return image


class Html(Runtime):
    parameters = {"about": HTML}

    def predict(self, text: list[str]) -> dict[str, list[str]]:
        return {HTML: [HTML + each for each in text]}


class Renames(Runtime):
    def predict(self, request: InferenceRequest) -> InferenceResponse:
        return InferenceResponse([tensor.named(tensor.name + " again") for tensor in request.inputs])


class Rows(Runtime):
    def predict(self, n: int) -> dict[str, list]:
        return {"place": list(range(n)), "name": [f"row {place}" for place in range(n)]}


class Fails(Runtime):
    def predict(self, x: list[str]) -> list[str]:
        raise ValueError(x)


class Octets(Runtime):
    def predict(self, size: int) -> NDArray[np.bytes_]:
        return np.array([b"\\xff" * size], object)


class Whole(Runtime):
    def predict(self, x: NDArray[np.int64]) -> NDArray[np.int64]:
        return x
'''

HTML = "<img src=x onerror=alert(1)><script>alert(2)</script>"


def inputs(**declared):
    return [{"name": name, "datatype": datatype, "shape": shape} for name, (datatype, shape) in declared.items()]


def tensor(name, datatype, data):
    return {"name": name, "datatype": datatype, "shape": [len(data)], "data": data}


PRICES = [
    tensor("rooms", "INT64", [3, 9007199254740993]),
    tensor("area", "FP64", [70.5, 120]),
    tensor("city", "BYTES", ["Bern", "Ulm"]),
]
MODELS = {
    "double": {"implementation": "models.Double"},
    "prices": {
        "implementation": "models.Prices",
        "inputs": inputs(rooms=("INT64", [-1]), area=("FP64", [-1]), city=("BYTES", [-1])),
        "warmup": [{"inputs": PRICES}],
    },
    "sums": {"implementation": "models.Sums", "inputs": inputs(x=("FP64", [-1, 4]))},
    "words": {"implementation": "models.Words"},
    "negative": {"implementation": "models.Negative", "inputs": inputs(image=("UINT8", [-1, -1, 3]))},
    "same": {"implementation": "models.Same", "inputs": inputs(image=("BYTES", [-1]))},
    "html": {
        "implementation": "models.Html",
        "platform": HTML,
        "warmup": [{"inputs": [tensor("text", "BYTES", [HTML])]}],
    },
    "names": {
        "implementation": "models.Renames",
        "inputs": inputs(**{HTML: ("FP32", [-1, 2]), "__proto__": ("BOOL", [3]), "small": ("BF16", [2])}),
    },
    "rows": {"implementation": "models.Rows"},
    "fails": {"implementation": "models.Fails"},
    "octets": {"implementation": "models.Octets"},
    "whole": {"implementation": "models.Whole"},
    "v.1-x": {"implementation": "models.Double"},
    "broken": {"implementation": "models.Missing"},
}


def written(folder, *names, settings=None):
    """Write these models, or all of them; the folder."""
    for name in names or MODELS:
        (folder / name).mkdir(parents=True)
        (folder / name / "models.py").write_text(CODE)
        (folder / name / "model-settings.json").write_text(json.dumps(MODELS[name]))
    (folder / "settings.json").write_text(json.dumps(settings or {}))
    return folder


@pytest.fixture
def write():
    """What writes models into a folder, and the server's settings."""
    return written


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return written(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def url(folder):
    with running(folder, "--on-load-error", "continue") as server:
        yield server.url()


@pytest.fixture(scope="session")
def browser():
    with chromium() as started:
        yield started


@pytest.fixture
def visit(browser):
    """Open a page; at the end nothing was asked of another host, no script failed, and no dialog of a script came up."""
    wrong, contexts = [], []

    def opened(address, **options):
        origin = "/".join(address.split("/")[:3])
        context = browser.new_context(ignore_https_errors=True, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(15_000)

        def check(request):
            if not request.url.startswith((f"{origin}/", "blob:")):
                wrong.append(f"asked {request.url}")

        page.on("request", check)
        page.on("pageerror", lambda error: wrong.append(f"failed: {error}"))
        page.on("dialog", lambda dialog: (wrong.append(f"said {dialog.message}"), dialog.dismiss()))
        page.on("console", lambda said: wrong.append(said.text) if "Content Security Policy" in said.text else None)
        page.goto(address)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert wrong == []


@pytest.fixture(scope="session")
def expect():
    from playwright.sync_api import expect

    expect.set_options(timeout=15_000)
    return expect


@pytest.fixture
def picture(tmp_path):
    """A PNG of 16 by 12 pixels, all of one colour."""
    from srv_docs.samples import picture

    path = tmp_path / "picture.png"
    path.write_bytes(picture(16, 12))
    return path, b64encode(path.read_bytes()).decode()
