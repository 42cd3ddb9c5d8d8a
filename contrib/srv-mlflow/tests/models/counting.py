"""Counts how many calls run in it at once."""

import threading
import time

import mlflow

LOCK = threading.Lock()


class Counting(mlflow.pyfunc.PythonModel):
    running = most = 0

    def predict(self, context, model_input, params=None):
        with LOCK:
            self.running += 1
            self.most = max(self.most, self.running)
        time.sleep(0.01)
        with LOCK:
            self.running -= 1
        return [self.most]


mlflow.models.set_model(Counting())
