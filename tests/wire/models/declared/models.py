from srv import InferenceRequest, InferenceResponse, Runtime


class Declared(Runtime):
    """Its settings, not its signature, say what it takes."""

    def predict(self, request: InferenceRequest) -> InferenceResponse:
        return InferenceResponse([request.tensor("x")])
