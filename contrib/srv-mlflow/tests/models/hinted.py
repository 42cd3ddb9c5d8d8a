"""Takes what its type hint says."""

import mlflow
import pydantic


class Question(pydantic.BaseModel):
    text: str
    top: int = 3


class Hinted(mlflow.pyfunc.PythonModel):
    def predict(self, model_input: list[Question]) -> list[str]:
        return [f"{each.text} {each.top + 1}" for each in model_input]


mlflow.models.set_model(Hinted())
