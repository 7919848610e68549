"""A classifier service as people write it: it reads its model once, at start, and has no code for its deployment."""
import json, pickle
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

with open("/app/models/model.pkl", "rb") as f:
    MODEL = pickle.load(f)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, code, body):
        data = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        self.answer(200 if self.path == "/health" else 404, {"status": "ok"})

    def do_POST(self):
        fields = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.answer(200, {"label": str(MODEL.predict([fields["title"] + " " + fields["content"]])[0])})

    def log_message(self, *_):
        pass


print("ready", flush=True)
ThreadingHTTPServer(("0.0.0.0", 8082), Handler).serve_forever()
