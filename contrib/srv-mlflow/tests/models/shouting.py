"""Answers texts, also as a stream of words."""

import mlflow


class Shouting(mlflow.pyfunc.PythonModel):
    def predict(self, model_input: list[str]) -> list[str]:
        return [text.upper() for text in model_input]

    def predict_stream(self, context, model_input, params=None):
        text = model_input if isinstance(model_input, str) else model_input[0]
        for word in text.split():
            if word == "!":
                raise ValueError("no such word")
            yield {"word": word.upper(), "length": len(word)}


mlflow.models.set_model(Shouting())
