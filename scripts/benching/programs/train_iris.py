"""Train the iris model into the file named: train_iris.py FILE. By the scikit-learn that will read it."""

import sys

import joblib
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

iris = load_iris()
joblib.dump(make_pipeline(StandardScaler(), LogisticRegression()).fit(iris.data, iris.target), sys.argv[1])
