"""Libraries that people train models with: what each model's file is called, and which runtime of whom serves it."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benching.environments import TOP, run

PROGRAM = Path(__file__).with_name("programs") / "libraries.py"
#: How many rows the requests have: one, as a web page sends it, and a table.
COUNTS = (1, 2000)


@dataclass(frozen=True)
class Library:
    """A library; its models, and srv's runtime for them, are called as it is."""

    name: str
    #: What the model's file is called.
    file: str
    #: What its clients send.
    datatype: str = "FP64"
    #: The class of MLServer's runtime, and its distribution; empty where it is not measured.
    mlserver: str = ""
    #: What trains the model, where srv's runtime does not bring it.
    trainer: str = ""

    @property
    def package(self) -> str:
        """The folder of srv's runtime."""
        return f"contrib/srv-{self.name}"

    @property
    def peer(self) -> str:
        """The distribution of MLServer's runtime."""
        return self.mlserver.partition(".")[0].replace("_", "-")


#: A library more is a line here, and what trains and calls it in programs/libraries.py.
LIBRARIES = {
    library.name: library
    for library in (
        Library("sklearn", "model.joblib", mlserver="mlserver_sklearn.SKLearnModel"),
        Library("xgboost", "model.json", mlserver="mlserver_xgboost.XGBoostModel"),
        Library("lightgbm", "model.txt", mlserver="mlserver_lightgbm.LightGBMModel"),
        Library("catboost", "model.cbm"),
        Library("onnx", "model.onnx", datatype="FP32", trainer="onnx>=1.16"),
    )
    if (TOP / f"contrib/srv-{library.name}").is_dir()
}
_TRAINED: dict[tuple[Path, str], dict[str, bytes]] = {}


def train(python: Path, name: str, folder: Path) -> None:
    """Put a model of the library into the folder, with rows and the answers to them, trained once by that Python."""
    if (python, name) not in _TRAINED:
        with tempfile.TemporaryDirectory() as place:
            words = ["train", name, place, LIBRARIES[name].file]
            run(f"the model of {name}", [str(python), str(PROGRAM), *words])
            _TRAINED[python, name] = {file.name: file.read_bytes() for file in Path(place).iterdir()}
    for file, content in _TRAINED[python, name].items():
        (folder / file).write_bytes(content)


def answers(folder: Path, count: int) -> dict[str, Any]:
    """Return the rows of a request, flat, and what the library itself predicts for them."""
    found: dict[str, Any] = json.loads((folder / f"{count}.json").read_text())
    return found
