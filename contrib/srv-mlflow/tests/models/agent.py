"""Says again what the last message has said, at once or word by word."""

import mlflow
from mlflow.types.responses import ResponsesAgentResponse, ResponsesAgentStreamEvent


class Agent(mlflow.pyfunc.ResponsesAgent):
    def predict(self, request):
        return ResponsesAgentResponse(output=[self.create_text_output_item(text=request.input[-1].content, id="1")])

    def predict_stream(self, request):
        for word in request.input[-1].content.split():
            yield ResponsesAgentStreamEvent(
                type="response.output_text.delta", delta=word, item_id="1", content_index=0, output_index=0
            )


mlflow.models.set_model(Agent())
