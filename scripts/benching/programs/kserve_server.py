"""The models as the kserve SDK serves them: kserve_server.py HTTP-PORT GRPC-PORT FOLDER MODEL..."""

import logging
import sys
from pathlib import Path

import joblib
import numpy as np
from kserve import InferOutput, InferRequest, InferResponse, Model, ModelServer

# Without what each request would write: its timings, its line in the access log.
logging.disable(logging.INFO)


class Served(Model):
    """One array in, one array out."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.ready = True

    def predict(self, payload: InferRequest, headers: object = None) -> InferResponse:  # noqa: ARG002
        """Decode, answer, encode in the form that was asked for."""
        answer = self.answer(payload.inputs[0].as_numpy())
        output = InferOutput("output", list(answer.shape), {"f": "FP32", "i": "INT64"}[answer.dtype.kind])
        output.set_data_from_numpy(answer, binary_data=bool(payload.from_grpc or payload.use_binary_outputs))
        return InferResponse(payload.id or "", self.name, [output])


class Sum(Served):
    """One number for all that came."""

    def answer(self, x: np.ndarray) -> np.ndarray:
        """Add them."""
        return x.sum(keepdims=True)


class Echo(Served):
    """What came goes back."""

    def answer(self, x: np.ndarray) -> np.ndarray:
        """Give it back."""
        return x


class Last(Served):
    """The last number of what came."""

    def answer(self, x: np.ndarray) -> np.ndarray:
        """Look at one number."""
        return x[-1:]


class Iris(Served):
    """The estimator from its file."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.estimator = joblib.load(Path(sys.argv[3]) / name / "model.joblib")

    def answer(self, x: np.ndarray) -> np.ndarray:
        """Predict."""
        return self.estimator.predict(x)


if __name__ == "__main__":
    # What begins with dashes kserve has read when it was imported: limits that ModelServer does not take otherwise.
    http_port, grpc_port, _, *names = [word for word in sys.argv[1:] if not word.startswith("--")]
    classes = {"sum": Sum, "echo": Echo, "last": Last, "iris": Iris}
    ModelServer(
        http_port=int(http_port), grpc_port=int(grpc_port), enable_latency_logging=False, access_log_format=None
    ).start([classes[name](name) for name in names])
