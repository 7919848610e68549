package ollamatest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
)

func (f *Fake) show(w http.ResponseWriter, r *http.Request) {
	var q struct{ Model string }
	if !hear(w, r, &q) {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	m, ok := f.models[tagged(q.Model)]
	if !ok {
		refuse(w, http.StatusNotFound, fmt.Sprintf("model '%s' not found", q.Model))
		return
	}
	var parameters strings.Builder
	for _, name := range slices.Sorted(maps.Keys(m.Parameters)) {
		fmt.Fprintf(&parameters, "%-30s %v\n", name, m.Parameters[name])
	}
	say(w, map[string]any{
		"modelfile": "# made by ollama show", "template": m.Template, "system": m.System,
		"parameters": strings.TrimSuffix(parameters.String(), "\n"), "details": details,
		"model_info":   map[string]any{"general.architecture": "qwen3"},
		"capabilities": []string{"completion"},
	})
}

func (f *Fake) copy(w http.ResponseWriter, r *http.Request) {
	var q struct{ Source, Destination string }
	if !hear(w, r, &q) {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	m, ok := f.models[tagged(q.Source)]
	if !ok {
		refuse(w, http.StatusNotFound, fmt.Sprintf("model %q not found", q.Source))
		return
	}
	f.models[tagged(q.Destination)] = m
}

func (f *Fake) delete(w http.ResponseWriter, r *http.Request) {
	var q struct{ Model string }
	if !hear(w, r, &q) {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, ok := f.models[tagged(q.Model)]; !ok {
		refuse(w, http.StatusNotFound, fmt.Sprintf("model '%s' not found", q.Model))
		return
	}
	delete(f.models, tagged(q.Model))
	f.prune()
}

// prune removes the files that neither a name nor a loaded model uses.
func (f *Fake) prune() {
	used := map[string]bool{}
	for _, m := range f.models {
		used[m.Blob] = true
	}
	for d := range f.running {
		used[d] = true
	}
	maps.DeleteFunc(f.blobs, func(d string, _ []byte) bool { return !used[d] })
}

func (f *Fake) create(w http.ResponseWriter, r *http.Request) {
	var q struct {
		Model, From, Template, System string
		Files                         map[string]string
		Parameters                    map[string]any
		Stream                        *bool
	}
	if !hear(w, r, &q) {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	m := manifest{Template: "{{ .Prompt }}"}
	switch {
	case q.From != "":
		from, ok := f.models[tagged(q.From)]
		if !ok {
			refuse(w, http.StatusInternalServerError, "pull model manifest: file does not exist")
			return
		}
		m = from
	case len(q.Files) == 0:
		refuse(w, http.StatusBadRequest, "neither 'from' or 'files' was specified")
		return
	}
	for _, d := range q.Files {
		b, ok := f.blobs[d]
		if !ok {
			say(w, map[string]string{"error": "open " + d + ": no such file or directory"}) // with status 200, as in a stream
			return
		}
		if !bytes.HasPrefix(b, []byte("GGUF")) {
			say(w, map[string]string{"error": "supplied file was not in GGUF format"})
			return
		}
		m.Blob = d
	}
	if q.Template != "" {
		m.Template = q.Template
	}
	if q.System != "" {
		m.System = q.System
	}
	m.Parameters = maps.Clone(m.Parameters)
	for name, v := range q.Parameters {
		if m.Parameters == nil {
			m.Parameters = map[string]any{}
		}
		m.Parameters[name] = v
	}
	f.models[tagged(q.Model)] = m
	f.prune()
	if q.Stream != nil && !*q.Stream {
		say(w, map[string]string{"status": "success"})
		return
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	lines := json.NewEncoder(w)
	for _, status := range []string{"parsing GGUF", "writing manifest", "success"} {
		_ = lines.Encode(map[string]string{"status": status})
	}
}

func (f *Fake) hasBlob(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, ok := f.blobs[r.PathValue("digest")]; !ok {
		w.WriteHeader(http.StatusNotFound)
	}
}

func (f *Fake) putBlob(w http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(r.Body)
	if err != nil || digest(b) != r.PathValue("digest") {
		refuse(w, http.StatusBadRequest, "digest mismatch")
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, ok := f.blobs[digest(b)]; !ok {
		w.WriteHeader(http.StatusCreated)
	}
	f.blobs[digest(b)] = b
}
