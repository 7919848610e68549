package strictyaml_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/retraind/retraind/configs/strictyaml"
	"github.com/retraind/retraind/internal/check"
	"github.com/retraind/retraind/internal/unit"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// Each bad file is named after its fault; its golden file has the complete message.
func TestBadFiles(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) < 25 {
		t.Fatalf("%d fixtures, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			t.Parallel()
			source, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			_, err = strictyaml.Decode(filepath.Base(file), source, &config{})
			var problems strictyaml.Problems
			if !errors.As(err, &problems) || problems.Errors() == 0 {
				t.Fatalf("accepted: %v", err)
			}
			var got bytes.Buffer
			if err := problems.Render(&got, source); err != nil {
				t.Fatal(err)
			}
			golden := strings.TrimSuffix(file, ".yaml") + ".golden"
			if *update {
				if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got.String()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

const good = `# yaml-language-server: $schema=./retraind.schema.json
version: 1
timezone: Europe/Berlin
nats: {embedded: yes}
x-night: &night {days: mon-fri, from: "22:00", to: "06:00:30"}
x-limits: &limits
  cooldown: 24h
  budget: 3 per 7d
models:
  relevance:
    evaluate: {every: 1h}
    retrain_when:
      accuracy_below: 85%
      accuracy_drop: {points: 3}
      category_recall_below: {all: 70%, Sport: 0.8, "null": 10%}
    limits: {<<: *limits, breaker: 3, cooldown: 2w}
    quiet_hours: [*night]
    pipeline:
      - [python, train.py]
      - {name: deploy, run: [./deploy.sh]}
    env: {HF_HOME: /srv/hf, null: none}
    free: 20GiB
    seed: 255
    ratio: -0.0
  auto:
    retrain_when: {accuracy_drop: null}
    evaluate: {min_items: 1e3}
`

func share(f float64) *unit.Percent { p := unit.Percent(f); return &p }

func TestDecode(t *testing.T) {
	t.Parallel()
	var got config
	doc, err := strictyaml.Decode("retraind.yaml", []byte("\ufeff"+good), &got)
	if err != nil {
		t.Fatal(err)
	}
	if len(doc.Warnings) != 0 {
		t.Errorf("warnings: %v", doc.Warnings)
	}
	deploy := step{}
	deploy.full.Run, deploy.full.Name = []string{"./deploy.sh"}, "deploy"
	want := config{
		Version:  1,
		Timezone: "Europe/Berlin",
		NATS:     &nats{Embedded: true},
		Models: map[string]model{
			"relevance": {
				Evaluate: evaluate{Every: unit.Duration(time.Hour), MinItems: 200},
				RetrainWhen: conditions{
					AccuracyBelow: share(0.85),
					AccuracyDrop:  &drop{Points: 3, FalseRetrains: unit.Rate{Count: 1, Per: unit.Duration(180 * 24 * time.Hour)}},
					Recall:        &recall{All: share(0.7), Category: map[string]unit.Percent{"Sport": 0.8, "null": 0.1}},
				},
				Limits: limits{
					Cooldown: unit.Duration(14 * 24 * time.Hour),
					Budget:   unit.Rate{Count: 3, Per: unit.Duration(7 * 24 * time.Hour)}, Breaker: 3,
				},
				QuietHours: []window{{Days: "mon-fri", From: 22 * 3600, To: 6*3600 + 30}},
				Pipeline:   []step{{argv: []string{"python", "train.py"}}, deploy},
				Env:        map[string]string{"HF_HOME": "/srv/hf", "null": "none"},
				Free:       20 << 30,
				Seed:       255,
			},
			"auto": {Evaluate: evaluate{MinItems: 1000}},
		},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(step{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Values in the struct before Decode are defaults; missing keys leave them unchanged.
func TestDefaultsStay(t *testing.T) {
	t.Parallel()
	got := config{Version: 7, Timezone: "UTC", NATS: &nats{URL: "nats://here"}}
	if _, err := strictyaml.Decode("f", []byte("nats: {embedded: true}\n"), &got); err != nil {
		t.Fatal(err)
	}
	want := config{Version: 7, Timezone: "UTC", NATS: &nats{URL: "nats://here", Embedded: true}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestPosition(t *testing.T) {
	t.Parallel()
	doc, err := strictyaml.Decode("retraind.yaml", []byte(good), &config{})
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string][2]int{
		"":                                  {1, 1},
		"version":                           {2, 10},
		"models":                            {9, 1},
		"models.relevance":                  {10, 3},
		"models.relevance.evaluate.every":   {11, 23},
		"models.relevance.limits.cooldown":  {16, 49},
		"models.relevance.limits.budget":    {8, 11}, // merged: the position of the definition
		"models.relevance.pipeline[1].name": {20, 16},
		"models.relevance.pipeline[0]":      {19, 9},
	} {
		line, column, ok := doc.Position(path)
		if !ok || [2]int{line, column} != want {
			t.Errorf("%q is at %d:%d %v, want %v", path, line, column, ok, want)
		}
	}
	if _, _, ok := doc.Position("models.relevance.limits.nothing"); ok {
		t.Error("a key that is not in the file has a position")
	}
}

func TestLocate(t *testing.T) {
	t.Parallel()
	doc, err := strictyaml.Decode("retraind.yaml", []byte(good), &config{})
	if err != nil {
		t.Fatal(err)
	}
	var found check.Problems
	found.Errorf("models.auto.serving.classify", "add serving: {classify: …}", "no classifier to ask")
	found.Errorf("models.relevance.quiet_hours[3].from", "", "list is shorter")
	found.Warnf("models.relevance.limits.cooldown", "write 24h", "2w is long")
	found.Errorf("state", "", "missing")
	got := doc.Locate(found).Error()
	want := strings.TrimSpace(`
retraind.yaml:1:1: missing
retraind.yaml:16:49: 2w is long (write 24h)
retraind.yaml:17:18: list is shorter
retraind.yaml:25:3: no classifier to ask (add serving: {classify: …})`)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestWarningsAlone(t *testing.T) {
	t.Parallel()
	source := "models:\n  a:\n    env: {Path: x, PATH: y}\n"
	doc, err := strictyaml.Decode("f.yaml", []byte(source), &config{})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := doc.Warnings.Render(&out, doc.Source); err != nil {
		t.Fatal(err)
	}
	want := `f.yaml:3:20  warning  "PATH" and "Path" on line 3 differ only in upper and lower case (remove one of them if both mean the same)
     2 |   a:
     3 |     env: {Path: x, PATH: y}
       |                    ^^^^
1 warning
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if doc.Warnings.Err() != nil {
		t.Error("warnings stop a load")
	}
}

func TestJSON(t *testing.T) {
	t.Parallel()
	_, err := strictyaml.Decode("f.yaml", []byte("verison: 1\n"), &config{})
	got, jerr := json.Marshal(err)
	if jerr != nil {
		t.Fatal(jerr)
	}
	want := `[{"file":"f.yaml","line":1,"column":1,"path":"verison","message":"unknown key \"verison\"","hint":"did you mean \"version\"?"}]`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// Hostile sizes are refused at almost no cost.
func TestSizes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ source, want string }{
		"too large": {
			"timezone: " + strings.Repeat("x", 8<<20),
			"f: the file is larger than 8 MiB (is this the right file?)",
		},
		"nested": {"models: " + strings.Repeat("[", 500_000), "f:1:1: values are nested too deeply"},
	} {
		_, err := strictyaml.Decode("f", []byte(c.source), &config{})
		if err == nil || err.Error() != c.want {
			t.Errorf("%s: %.200v", name, err)
		}
	}
	var many strings.Builder
	for range 5000 {
		many.WriteString("a: 1\n")
	}
	_, err := strictyaml.Decode("f", []byte(many.String()), &config{})
	var problems strictyaml.Problems
	if !errors.As(err, &problems) || len(problems) != 100 {
		t.Errorf("%d problems, want the first 100", len(problems))
	}
}

// No text makes Decode or Render panic, and an accepted text has no errors.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(good))
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(source)
	}
	f.Fuzz(func(t *testing.T, source []byte) {
		doc, err := strictyaml.Decode("f.yaml", source, &config{})
		if (doc == nil) && err == nil {
			t.Fatal("neither a document nor an error")
		}
		var problems strictyaml.Problems
		if errors.As(err, &problems) {
			for _, p := range problems {
				if p.Message == "" || p.File != "f.yaml" || p.Line < 0 || strings.ContainsAny(p.Error(), "\n\x00\x1b") {
					t.Fatalf("bad problem %#v", p)
				}
			}
			if err := problems.Render(new(bytes.Buffer), source); err != nil {
				t.Fatal(err)
			}
		}
		if doc != nil {
			_ = doc.Locate(check.Problems{{Path: "models.a[1].b", Message: "x"}})
		}
	})
}
