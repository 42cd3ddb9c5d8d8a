"""The iris model without a server: bare_iris.py import FILE reads it and waits; bare_iris.py predict FILE asks it."""

import sys
import time

import joblib

estimator = joblib.load(sys.argv[2])
if sys.argv[1] == "import":
    print("ready", flush=True)
    sys.stdin.read()
else:
    import numpy as np

    flower = np.array([[5.1, 3.5, 1.4, 0.2]])
    seconds = float(sys.argv[3])
    until = time.perf_counter() + seconds / 4
    while time.perf_counter() < until:
        estimator.predict(flower)
    count, before, started = 0, time.process_time(), time.perf_counter()
    while time.perf_counter() < started + seconds:
        for _ in range(100):
            estimator.predict(flower)
        count += 100
    took = time.perf_counter() - started
    print(1e6 * (time.process_time() - before) / count, count / took)
