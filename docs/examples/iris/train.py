"""Train the example: which iris is it, from four lengths. Writes model.skops beside this file."""

from pathlib import Path

import skops.io
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

iris = load_iris()
names = iris.target_names[iris.target]
model = make_pipeline(StandardScaler(), LogisticRegression()).fit(iris.data, names)
skops.io.dump(model, Path(__file__).with_name("model.skops"))
print(f"{model.score(iris.data, names):.0%} of {len(names)} irises are recognised.")
