"""Computes with scikit-learn what drift.Monitor keeps.

  figures.py < cases.json     a list of {"truth": [...], "answers": [...], "sets": bool}: prints the figures of each
  figures.py 100000           seconds that one computation of all figures takes for so many items of 20 categories

What is undefined is 0, as in drift: scikit-learn is asked for it by zero_division=0, and its nan is replaced.
"""

import json
import sys
import time
import warnings

import numpy
from sklearn import metrics
from sklearn.preprocessing import MultiLabelBinarizer

warnings.simplefilter("ignore")


def number(x):
    x = float(x)
    return x if numpy.isfinite(x) else 0.0


def plain(truth, answers):
    names = sorted(set(truth) | set(answers))
    precision, recall, f1, support = metrics.precision_recall_fscore_support(truth, answers, labels=names, zero_division=0)
    matrix = metrics.confusion_matrix(truth, answers, labels=names)
    return {
        "accuracy": number(metrics.accuracy_score(truth, answers)),
        "macro_f1": number(metrics.f1_score(truth, answers, average="macro", zero_division=0)),
        "balanced": number(metrics.balanced_accuracy_score(truth, answers)),
        "kappa": number(metrics.cohen_kappa_score(truth, answers)),
        "mcc": number(metrics.matthews_corrcoef(truth, answers)),
        "majority": number(numpy.unique(truth, return_counts=True)[1].max() / len(truth)),
        "names": names,
        "precision": [number(x) for x in precision],
        "recall": [number(x) for x in recall],
        "f1": [number(x) for x in f1],
        "support": [int(x) for x in support],
        "matrix": [[int(x) for x in row] for row in matrix],
    }


def sets(truth, answers):
    binarizer = MultiLabelBinarizer().fit(truth + answers)
    y, a = binarizer.transform(truth), binarizer.transform(answers)
    precision, recall, f1, support = metrics.precision_recall_fscore_support(y, a, zero_division=0)
    return {
        "accuracy": number(metrics.accuracy_score(y, a)),
        "macro_f1": number(metrics.f1_score(y, a, average="macro", zero_division=0)),
        "names": [str(x) for x in binarizer.classes_],
        "precision": [number(x) for x in precision],
        "recall": [number(x) for x in recall],
        "f1": [number(x) for x in f1],
        "support": [int(x) for x in support],
    }


if len(sys.argv) > 1:
    n = int(sys.argv[1])
    rng = numpy.random.default_rng(1)
    truth = rng.integers(0, 20, n)
    answers = numpy.where(rng.random(n) < 0.85, truth, rng.integers(0, 20, n))
    best = 1e9
    for _ in range(3):
        start = time.perf_counter()
        plain(truth, answers)
        best = min(best, time.perf_counter() - start)
    print(best)
else:
    print(json.dumps([(sets if c.get("sets") else plain)(c["truth"], c["answers"]) for c in json.load(sys.stdin)], indent=1))
