"""Models that the tests train: of each kind, on numbers without names, and on a table of categories and numbers."""

import numpy as np
import pandas as pd
from catboost import CatBoostClassifier, CatBoostRanker, CatBoostRegressor, sum_models

RANDOM = np.random.default_rng(16)
NUMBERS = RANDOM.normal(size=(400, 5))
NUMBERS[RANDOM.random(NUMBERS.shape) < 0.05] = np.nan
TARGET = np.nan_to_num(NUMBERS[:, 0]) + 0.3 * np.nan_to_num(NUMBERS[:, 1])
GROUPS = np.digitize(TARGET, [-0.5, 0.5])
SMALL = {"iterations": 8, "depth": 3, "verbose": 0, "allow_writing_files": False, "thread_count": 1, "random_seed": 0}

HOMES = pd.DataFrame(
    {
        "area": RANDOM.normal(70, 20, 400).round(1),
        "city": RANDOM.choice(["Ulm", "Bonn", "Köln", ""], 400),
        "rooms": RANDOM.integers(1, 6, 400),
        "balcony": RANDOM.random(400) > 0.5,
        "floor": RANDOM.integers(0, 9, 400),
    }
)
HOMES.loc[::17, "area"] = np.nan
RENTS = 5 * HOMES["area"].fillna(50) + 90 * HOMES["rooms"] + 100 * (HOMES["city"] == "Ulm") + 40 * HOMES["balcony"]
CATEGORIES = ["city", "rooms", "balcony"]

REVIEWS = pd.DataFrame(
    {
        "stars": RANDOM.integers(1, 6, 400),
        "text": RANDOM.choice(["good day", "bad night", "so so", "ein schöner Tag"], 400),
        "vector": list(RANDOM.normal(size=(400, 4)).astype(np.float32)),
    }
)


def classifier(target=GROUPS, rows=NUMBERS, **options):
    """A classifier of numbers, or of other rows."""
    fitting = {
        name: options.pop(name) for name in ("cat_features", "text_features", "embedding_features") if name in options
    }
    return CatBoostClassifier(**SMALL | options).fit(rows, target, **fitting)


def regressor(target=TARGET, rows=NUMBERS, **options):
    """A regressor of numbers, or of other rows."""
    fitting = {name: options.pop(name) for name in ("cat_features", "text_features") if name in options}
    return CatBoostRegressor(**SMALL | options).fit(rows, target, **fitting)


def ranker():
    """A ranker of forty groups."""
    return CatBoostRanker(**SMALL, loss_function="YetiRank").fit(NUMBERS, GROUPS, group_id=np.repeat(np.arange(40), 10))


def threshold():
    """A classifier whose file holds a threshold of its own."""
    model = classifier(GROUPS > 0)
    model.set_probability_threshold(0.9)
    return model


def summed():
    """The sum of two models, whose file says less of itself."""
    return sum_models([regressor(), regressor(-TARGET)])


#: kind → makes the model.
KINDS = {
    "RMSE": regressor,
    "Poisson": lambda: regressor(np.exp(TARGET), loss_function="Poisson"),
    "Tweedie": lambda: regressor(np.exp(TARGET), loss_function="Tweedie:variance_power=1.5"),
    "Quantile": lambda: regressor(loss_function="Quantile:alpha=0.3"),
    "MultiQuantile": lambda: regressor(loss_function="MultiQuantile:alpha=0.1,0.5,0.9"),
    "MultiRMSE": lambda: regressor(np.column_stack([TARGET, -TARGET]), loss_function="MultiRMSE"),
    "RMSEWithUncertainty": lambda: regressor(loss_function="RMSEWithUncertainty"),
    "Cox": lambda: regressor(TARGET - TARGET.min() + 1, loss_function="Cox"),
    "YetiRank": ranker,
    "booleans": lambda: classifier(GROUPS > 0),
    "integers": lambda: classifier((GROUPS > 0).astype(int) + 5),
    "words": lambda: classifier(np.where(GROUPS > 0, "yes", "no")),
    "threshold": threshold,
    "CrossEntropy": lambda: classifier(1 / (1 + np.exp(-TARGET)), loss_function="CrossEntropy"),
    "MultiClass": classifier,
    "MultiClass of words": lambda: classifier(np.array(["low", "mid", "high"])[GROUPS]),
    "MultiClass of floats": lambda: classifier(GROUPS + 0.5),
    "MultiClassOneVsAll": lambda: classifier(loss_function="MultiClassOneVsAll"),
    "MultiLogloss": lambda: classifier((np.nan_to_num(NUMBERS[:, :3]) > 0).astype(int), loss_function="MultiLogloss"),
    "sum of models": summed,
    "Lossguide": lambda: regressor(grow_policy="Lossguide"),
}


def homes(**options):
    """A regressor of homes, three of whose columns are categories."""
    return regressor(RENTS, HOMES, cat_features=CATEGORIES, **options)


def reviews():
    """A classifier of a number, a text and a vector."""
    target = [
        vector[0] + (text == "good day") > 0 for vector, text in zip(REVIEWS["vector"], REVIEWS["text"], strict=True)
    ]
    return classifier(target, REVIEWS, text_features=["text"], embedding_features=["vector"])
