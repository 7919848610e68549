"""A scikit-learn trainer: reads an export, writes the model, and what the model answers to the held-out texts."""
import json, os, pickle, sys
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

data, out = sys.argv[1], sys.argv[2]


def rows(name):
    with open(os.path.join(data, name)) as f:
        return [json.loads(line) for line in f]


def text(row):
    return row["text"]["title"] + " " + row["text"]["content"]


def fit(texts, labels):
    if len(set(labels)) == 1:  # one class alone cannot be fitted
        from sklearn.dummy import DummyClassifier
        return DummyClassifier(strategy="most_frequent").fit(texts, labels)
    return make_pipeline(TfidfVectorizer(ngram_range=(1, 2)), LogisticRegression(C=10, max_iter=1000)).fit(texts, labels)


train = rows("train.jsonl") + rows("validation.jsonl")
texts = [text(r) for r in train]
names = sorted({ak for r in train for ak in r["labels"].get("aks", [])})
model = {
    "priority": fit(texts, [r["labels"]["priority"] for r in train]),
    "aks": {ak: fit(texts, [ak in r["labels"].get("aks", []) for r in train]) for ak in names},
}
with open(os.path.join(out, "model.pkl"), "wb") as f:
    pickle.dump(model, f)
with open(os.path.join(out, "predictions.jsonl"), "w") as f:
    for r in rows("test.jsonl"):
        priority = str(model["priority"].predict([text(r)])[0])
        aks = [ak for ak, m in model["aks"].items() if m.predict([text(r)])[0]]
        answers = {"relevant": priority != "none", "priority": priority, "aks": aks}
        f.write(json.dumps({"id": r["id"], "text_hash": r["text_hash"], "answers": answers}) + "\n")
