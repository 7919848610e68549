"""Writes what the new model answers to the held-out items, for a pipeline without the step predict."""
import json, os, pickle, sys

with open("services/classifier-api/models/model.pkl", "rb") as f:
    model = pickle.load(f)
with open(os.path.join(os.environ["RETRAIND_DATA_DIR"], "test.jsonl")) as f, open(sys.argv[1], "w") as out:
    for line in f:
        r = json.loads(line)
        label = str(model.predict([r["text"]["title"] + " " + r["text"]["content"]])[0])
        out.write(json.dumps({"id": r["id"], "text_hash": r["text_hash"], "answers": {"label": label}}) + "\n")
