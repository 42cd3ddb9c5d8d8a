from srv import InferenceRequest, InferenceResponse, Runtime


class Echo(Runtime):
    """Gives back what came, whatever it is."""

    def predict(self, request: InferenceRequest) -> InferenceResponse:
        return InferenceResponse(request.inputs, request.parameters)
