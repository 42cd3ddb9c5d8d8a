"""The models as MLServer serves them; each served folder gets a copy of this file."""

import time

import numpy as np
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse


class Model(MLModel):
    """One array in, one array out."""

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Decode, answer, encode."""
        answer = self.answer(NumpyCodec.decode_input(payload.inputs[0]))
        return InferenceResponse(model_name=self.name, outputs=[NumpyCodec.encode_output("output", answer)])


class Sum(Model):
    """One number for all that came."""

    def answer(self, x: np.ndarray) -> np.ndarray:
        """Add them."""
        return x.sum(keepdims=True)


class Echo(Model):
    """What came goes back."""

    def answer(self, x: np.ndarray) -> np.ndarray:
        """Give it back."""
        return x


class Last(Model):
    """The last number of what came."""

    def answer(self, x: np.ndarray) -> np.ndarray:
        """Look at one number."""
        return x[-1:]


class Slow(Model):
    """Takes a millisecond for a call, however many rows it brings."""

    def answer(self, x: np.ndarray) -> np.ndarray:
        """Wait."""
        time.sleep(0.001)
        return x
