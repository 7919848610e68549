"""Trains scikit-learn on texts and asks it, as the peer of the embedded classifier.

Reads one JSON array a line: [division, "train" or "test", text, label]. Prints right and wrong answers, processor seconds,
size of the model and expected calibration error as JSON.
"""

import json
import pickle
import sys
import time

import numpy
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import FeatureUnion, Pipeline

divisions = {}
for line in sys.stdin:
    division, part, text, label = json.loads(line)
    texts, labels = divisions.setdefault(division, {"train": ([], []), "test": ([], [])})[part]
    texts.append(text)
    labels.append(label)

out = {"right": 0, "n": 0, "train": 0, "classify": 0, "bytes": 0}
sure, fits = [], []
for parts in divisions.values():
    model = Pipeline(
        [
            (
                "features",
                FeatureUnion(
                    [
                        ("words", TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)),
                        ("characters", TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True)),
                    ]
                ),
            ),
            ("regression", LogisticRegression(C=10, max_iter=1000)),
        ]
    )
    start = time.process_time()
    model.fit(*parts["train"])
    out["train"] += time.process_time() - start
    texts, labels = parts["test"]
    start = time.process_time()
    probabilities = model.predict_proba(texts)
    out["classify"] += time.process_time() - start
    fit = model.classes_[probabilities.argmax(axis=1)] == numpy.array(labels)
    out["right"] += int(fit.sum())
    out["n"] += len(labels)
    out["bytes"] = max(out["bytes"], len(pickle.dumps(model)))
    sure.extend(probabilities.max(axis=1))
    fits.extend(fit)

sure, fits = numpy.array(sure), numpy.array(fits)
bins = numpy.minimum((sure * 10).astype(int), 9)
out["ece"] = float(sum(abs(fits[bins == b].sum() - sure[bins == b].sum()) for b in range(10)) / len(fits))
print(json.dumps(out))
