"""A trainer as people write it: it reads its data, writes its model, and has no code for retraind."""
import json, pickle
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

MODEL = "services/classifier-api/models/model.pkl"


def rows(name):
    with open("data/final/" + name) as f:
        return [json.loads(line) for line in f]


train = rows("train.jsonl") + rows("validation.jsonl")
texts = [r["text"]["title"] + " " + r["text"]["content"] for r in train]
model = make_pipeline(TfidfVectorizer(ngram_range=(1, 2)), LogisticRegression(C=10, max_iter=1000))
model.fit(texts, [r["labels"]["label"] for r in train])
with open(MODEL, "wb") as f:
    pickle.dump(model, f)
print(f"wrote {MODEL} from {len(train)} rows")
