"""Models of the tests, with random weights, exported once."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from srv import InferenceRequest, ModelSettings, Tensor
from srv.model_settings import ModelParameters
from srv_torch import TorchRuntime
from srv_torch.runtime import Extra


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Let torch's operators take one thread, because tests share the machine's cores."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def export(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Export a module to a file of torch.export; arguments are those of torch.export.export."""

    def make(module: torch.nn.Module, *args: Any, **options: Any) -> Path:
        file = tmp_path_factory.mktemp("exported") / "model.pt2"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns of its own use of what it deprecates
            torch.export.save(torch.export.export(module, args, **options), file)
        return file

    return make


@pytest.fixture(scope="session")
def script(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Compile a module to a file of TorchScript, by tracing it where there are example arguments."""

    def make(module: torch.nn.Module, *args: Any) -> Path:
        file = tmp_path_factory.mktemp("scripted") / "model.pt"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = torch.jit.trace(module, args) if args else torch.jit.script(module)
            torch.jit.save(made, file)
        return file

    return make


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., TorchRuntime]:
    """Load a file without a server; settings by keyword, `extra` among them."""

    def make(file: Path, **settings: Any) -> TorchRuntime:
        parameters = ModelParameters(uri=str(file), extra=Extra().load(settings.pop("extra", {})))
        runtime = TorchRuntime(ModelSettings(name="m", folder=tmp_path, parameters=parameters, **settings))
        runtime.load()
        return runtime

    return make


@pytest.fixture
def ask() -> Callable[..., dict[str, Any]]:
    """Ask a runtime without a server; gives the outputs' arrays by name."""

    def make(runtime: TorchRuntime, inputs: dict[str, Any], *outputs: str) -> dict[str, Any]:
        tensors = [value if isinstance(value, Tensor) else Tensor(name, value) for name, value in inputs.items()]
        for tensor in tensors:
            tensor.data.setflags(write=False)  # as a server gives them
        given = runtime.predict(InferenceRequest(tensors, outputs=outputs or None))
        return {tensor.name: tensor.data for tensor in given.outputs}

    return make
