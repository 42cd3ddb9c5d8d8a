"""Sessions of onnxruntime: made with the options of a model's settings, run with no lines on stderr.

This module imports onnxruntime, and `OnnxRuntime.load` imports this module: whoever asks the runtime's `recognise` needs neither.
"""

from __future__ import annotations

import ctypes
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import onnxruntime

from srv.errors import SrvError, listed, quoted

VERSION: str = onnxruntime.__version__
Array: TypeAlias = np.ndarray[Any, Any]

#: What `parameters.extra.optimisation` may be → onnxruntime's name for it.
OPTIMISATIONS = {
    "none": "ORT_DISABLE_ALL",
    "basic": "ORT_ENABLE_BASIC",
    "extended": "ORT_ENABLE_EXTENDED",
    "all": "ORT_ENABLE_ALL",
}
#: The element type bfloat16 in onnx.proto.
_BFLOAT16 = 16
_NVIDIA = frozenset({"CUDAExecutionProvider", "TensorrtExecutionProvider"})
_ERROR, _FATAL = 3, 4
#: Where in its own source onnxruntime has raised: the file, the line and mostly the function with its signature.
_PLACE_IN_SOURCE = re.compile(
    r"[\w/.-]+\.(cc|h|cpp):\d+ (([^()]*? )?[\w:~]+::[\w~]+\(([^()]|\([^()]*\))*\)( const)?(::<lambda\([^)]*\)>)? )?"
)


class NoProvider(SrvError):
    """The settings ask for an execution provider that this onnxruntime lacks, or that does not work here."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(
            f"parameters.extra.providers names {quoted(name)}, {why}; this onnxruntime has "
            f"{listed(onnxruntime.get_available_providers())}."
        )


class Unloadable(SrvError):
    """onnxruntime cannot make a session of the file."""

    def __init__(self, file: Path, error: Exception) -> None:
        super().__init__(f"onnxruntime {VERSION} cannot load '{file.name}': {said_by(error)}")


def open_session(
    file: Path, *, threads: int, optimisation: str, providers: Sequence[str], custom_ops: Sequence[Path], arena: bool
) -> Any:
    """Return a session for the model in a file. Raises NoProvider or Unloadable."""
    for name in providers:
        if name not in onnxruntime.get_available_providers():
            raise NoProvider(name, "which is not installed")
    if not _NVIDIA.isdisjoint(providers):
        onnxruntime.preload_dlls()  # of CUDA and cuDNN, where these are wheels
    options = onnxruntime.SessionOptions()
    # What goes wrong is raised, but for a provider that does not work, of which onnxruntime speaks on stderr alone.
    options.log_severity_level = _FATAL if list(providers) == ["CPUExecutionProvider"] else _ERROR
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, OPTIMISATIONS[optimisation])
    options.enable_cpu_mem_arena = arena
    # Threads that wait for work by spinning take the cores from other requests.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        for library in custom_ops:
            options.register_custom_ops_library(str(library))
        session = onnxruntime.InferenceSession(str(file), options, providers=list(providers))
    except Exception as error:  # onnxruntime's errors have no class in common
        raise Unloadable(file, error) from error
    for name in providers:
        if name not in session.get_providers():
            raise NoProvider(name, "which does not work here, as a line above says")
    return session


def said_by(error: Exception) -> str:
    """Return onnxruntime's message without the code before it, and without places in its source."""
    said = str(error).rpartition("[ONNXRuntimeError]")[2].split(" : ", 3)[-1]
    return _PLACE_IN_SOURCE.sub("", said).strip()


class Run:
    """Runs a session, from any number of threads. It computes all outputs, and hands out those that are asked for."""

    def __init__(self, session: Any, *, bfloat16_in: Iterable[str], bfloat16_out: bool) -> None:
        self._session = session
        self._options = onnxruntime.RunOptions()
        self._options.log_severity_level = _FATAL  # because errors are raised, and a line on stderr is no log record
        self._bfloat16_in = frozenset(bfloat16_in)
        self._bfloat16_out = bfloat16_out

    def __call__(self, names: Sequence[str], feed: Mapping[str, Array]) -> list[Any]:
        """Return the outputs of these names. Arrays are neither copied in nor out, but for those of bfloat16."""
        values: dict[str, Any] = dict(feed)
        for name in self._bfloat16_in & feed.keys():
            values[name] = onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(
                feed[name].view(np.uint16), _BFLOAT16
            )
        if self._bfloat16_out:
            return self._run_with_values(names, values)
        results: list[Any] = self._session.run(names, values, self._options)
        return results

    def _run_with_values(self, names: Sequence[str], values: Mapping[str, Any]) -> list[Any]:
        """Run with values of onnxruntime on both sides, because an output of bfloat16 is no array of numpy's."""
        feed = {
            name: onnxruntime.OrtValue.ortvalue_from_numpy(value) if isinstance(value, np.ndarray) else value
            for name, value in values.items()
        }
        return [_as_array(value) for value in self._session.run_with_ort_values(names, feed, self._options)]


def _as_array(value: Any) -> Any:
    """Return a value of onnxruntime as an array; bfloat16, which numpy lacks, as uint16."""
    if value.data_type() != "tensor(bfloat16)":
        return value.numpy()
    shape = value.shape()
    octets = ctypes.string_at(value.data_ptr(), 2 * math.prod(shape))  # a copy, because the value is gone afterwards
    return np.frombuffer(octets, np.uint16).reshape(shape)
