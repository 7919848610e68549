package configs_test

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/retraind/retraind/configs"
	"github.com/retraind/retraind/systemd"
)

func TestNeeds(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "retraind.yaml")
	l, err := configs.Parse(path, []byte(`version: 1
state: /var/lib/retraind
models:
  a:
    dir: /srv/tuner
    labels: {files: {dir: /srv/labels}}
    serving: {classify: "http://127.0.0.1:8082/classify", health: "http://127.0.0.1:8082/health"}
    retrain_when: {accuracy_below: 80%}
    deploy: {compose: {dir: services/api, service: api, build: true, files: {model.pkl: models/model.pkl}}}
    pipeline:
      default:
        - {do: export, place: {train.jsonl: data/train.jsonl}}
        - {name: train, exec: [python, train.py], collect: {model.pkl: model.pkl}}
        - {name: other, exec: [python, x.py], dir: /var/lib/retraind/x}
        - {do: compose, dir: services/cache, service: redis, action: restart}
        - {do: unit, unit: warmup, action: restart}
        - gate
        - deploy
        - verify
  b:
    labels: {files: {dir: /srv/labels}}
    serving: {classify: "http://127.0.0.1:8082/classify", health: "http://127.0.0.1:8082/health"}
    retrain_when: {accuracy_below: 80%}
    deploy: {restart: {unit: classifier}}
    gpu: {free: 20GiB, stop: [{unit: tagger}, {compose: {dir: /srv/chat, service: web}}, {ollama: all}]}
  c:
    labels: {files: {dir: /srv/labels}}
    serving: {classify: "http://127.0.0.1:8082/classify", health: "http://127.0.0.1:8082/health"}
    retrain_when: {accuracy_below: 80%}
    deploy: {compose: {dir: /srv/news, service: backend, project: news, files: {model.pkl: models/model.pkl}}}
`))
	if err != nil {
		t.Fatal(err)
	}
	want := systemd.Needs{
		Units: []string{"classifier.service", "tagger.service", "warmup.service"}, Writable: []string{"/srv/news/models", "/srv/tuner"},
		Services: []systemd.ComposeService{
			{Dir: "/srv/chat", Name: "web"},
			{Dir: "/srv/news", Project: "news", Name: "backend"},
			{Dir: "/srv/tuner/services/api", Name: "api"},
			{Dir: "/srv/tuner/services/cache", Name: "redis"},
		},
	}
	if diff := cmp.Diff(want, l.File.Needs()); diff != "" {
		t.Error(diff)
	}
}
