package configs_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/retraind/retraind/actions"
	"github.com/retraind/retraind/configs"
)

// Each file in testdata/bad is named after its fault, beside its expected message. RETRAIND_UPDATE=1 writes the
// messages.
func TestBadFiles(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(paths) < 20 {
		t.Fatalf("%d files found: %v", len(paths), err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".yaml"), func(t *testing.T) {
			t.Parallel()
			source, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			_, err = configs.Parse(filepath.Join("/etc/retraind", filepath.Base(path)), source)
			var bad *configs.InvalidError
			if !errors.As(err, &bad) {
				t.Fatalf("got %v, want an InvalidError", err)
			}
			var out bytes.Buffer
			if err := bad.Render(&out); err != nil {
				t.Fatal(err)
			}
			for _, p := range bad.Problems {
				if p.Line == 0 || p.Column == 0 {
					t.Errorf("%q has no position", p.Message)
				}
			}
			golden := strings.TrimSuffix(path, ".yaml") + ".golden"
			if os.Getenv("RETRAIND_UPDATE") != "" {
				if err := os.WriteFile(golden, out.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), out.String()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// A missing key gets its default, in every section.
func TestDefaults(t *testing.T) {
	t.Parallel()
	l := load(t, strings.Replace(good, "timezone: Europe/Berlin\nstate: state\n", "", 1))
	f, m := l.File, l.File.Models["news"]
	for name, got := range map[string][2]any{
		"timezone":  {f.Timezone, "UTC"},
		"state":     {f.State, "/var/lib/retraind"},
		"listen":    {f.Listen, "127.0.0.1:7420"},
		"broker":    {f.NATS.UsesEmbedded(), true},
		"share":     {m.Heldout.Share.F(), 0.15},
		"gate":      {m.Serving.Gate, "label"},
		"min_items": {m.Policy.Evaluate.MinItems, 200},
		"margin":    {m.Promote.Margin.F(), 1.0},
		"steps":     {len(m.Pipeline[configs.DefaultPipeline]), 5},
		"zone":      {f.Location().String(), "UTC"},
		"warnings":  {len(l.Warnings), 0},
	} {
		if got[0] != got[1] {
			t.Errorf("%s is %v, want %v", name, got[0], got[1])
		}
	}
}

// Relative paths are resolved against the file's directory, not the working directory; absolute and empty ones stay
// unchanged.
func TestPathsStartAtTheFile(t *testing.T) {
	t.Parallel()
	l := load(t, strings.NewReplacer(
		"state: state",
		"state: state\nnats: {url: nats://host:4222, credentials_file: creds/nats, tls: {ca_file: ca.pem, cert_file: /etc/cert.pem, key_file: key.pem}}",
		"    serving:",
		"    heldout: {salt_file: salt}\n    pipeline:\n      default:\n        - {name: a, exec: [x], dir: work}\n        - {name: b, exec: [x]}\n        - {do: gate}\n        - {do: release}\n        - {do: verify}\n    serving:",
	).Replace(good))
	dir, m := filepath.Dir(l.Path), l.File.Models["news"]
	got := []string{
		l.File.State, l.File.NATS.CredentialsFile, l.File.NATS.TLS.CAFile, l.File.NATS.TLS.CertFile, l.File.NATS.TLS.KeyFile,
		m.Heldout.SaltFile, m.Labels.Postgres.DSNFile, m.Pipeline["default"][0].Command().Dir,
		m.Pipeline["default"][1].Command().Dir,
	}
	in := func(name string) string { return filepath.Join(dir, name) }
	want := []string{
		in("state"), in("creds/nats"), in("ca.pem"), "/etc/cert.pem", in("key.pem"), in("salt"), in("pg-dsn"),
		in("work"), "",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// Relative paths of a model are resolved against its dir, which may itself be relative to the file; commands run
// there.
func TestPathsStartAtTheModel(t *testing.T) {
	t.Parallel()
	l := load(t, strings.NewReplacer(
		"  news:\n", "  news:\n    dir: tuner\n",
		"    serving:",
		"    heldout: {salt_file: salt}\n    pipeline:\n      default:\n        - {name: a, exec: [x], dir: work}\n        - {name: b, exec: [x]}\n        - {name: c, exec: [x], dir: /c}\n        - gate\n        - release\n        - verify\n    serving:",
	).Replace(good))
	dir, m := filepath.Join(filepath.Dir(l.Path), "tuner"), l.File.Models["news"]
	step := func(i int) string { return m.Pipeline["default"][i].Command().Dir }
	got := []string{m.Dir, m.Heldout.SaltFile, m.Labels.Postgres.DSNFile, step(0), step(1), step(2)}
	want := []string{dir, filepath.Join(dir, "salt"), filepath.Join(dir, "pg-dsn"), filepath.Join(dir, "work"), dir, "/c"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// A target reads the column that it names, else the source's; both notations give the same database configuration.
func TestTargetsFindTheirColumns(t *testing.T) {
	t.Parallel()
	l := load(t, changed(t, "    retrain_when:",
		"      gate: topic\n      targets:\n        topic: {answer: label}\n        tone: {answer: tone, label: tone}\n    retrain_when:"))
	if diff := cmp.Diff(map[string]string{"topic": "category", "tone": "tone"},
		l.File.Models["news"].Labels.Postgres.Targets); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// The output of init loads without a change, for any name that a table may have.
func TestExampleLoads(t *testing.T) {
	t.Parallel()
	for _, e := range []configs.Example{
		{
			Model: "relevance", DSN: "pg-dsn", Table: "public.items", ID: []string{"id"}, Text: []string{"title", "content"},
			Label: "category", State: "/var/lib/retraind",
		},
		{
			Model: "a-1_b", DSN: "/run/credentials/pg", Table: "Items", ID: []string{"item key"}, Text: []string{"Text"},
			Label: "label",
			State: "state",
		},
		{
			Model: "two", DSN: "pg", Table: "t", ID: []string{"host", "No 1"}, Text: []string{"text"}, Label: "l", State: "s",
			Silent: true,
		},
	} {
		l := load(t, e.Render())
		if diff := cmp.Diff([]string{e.Model}, l.File.Names()); diff != "" || len(l.Warnings) != 0 {
			t.Errorf("%s: %s, warnings %v", e.Model, diff, l.Warnings)
		}
		if got := l.File.Models[e.Model].Labels.Postgres; got.Table != e.Table || !cmp.Equal([]string(got.ID), e.ID) ||
			(got.Notify != nil && !*got.Notify) != e.Silent || !cmp.Equal([]string(got.Text), e.Text) {
			t.Errorf("%s: got %+v", e.Model, got)
		}
	}
}

// A built-in step may be written as its name alone, and each value is shown with its place.
func TestStepAsWord(t *testing.T) {
	t.Parallel()
	pipeline := func(steps string) *configs.Loaded {
		return load(t, strings.Replace(good, "    serving:", "    pipeline: {default: ["+steps+"]}\n    serving:", 1))
	}
	ownPaths := cmpopts.IgnoreUnexported(actions.ExportStep{}) // each file is in a directory of its own
	words := pipeline(`export, {name: t, exec: [x], timeout: 1h}, gate, {do: release}, verify`)
	keys := pipeline(`{do: export}, {name: t, exec: [x], timeout: 1h}, {do: gate}, {do: release}, {do: verify}`)
	if diff := cmp.Diff(keys.File.Models["news"].Pipeline, words.File.Models["news"].Pipeline, ownPaths); diff != "" {
		t.Errorf("-keys +words:\n%s", diff)
	}
	var shown []string
	for _, v := range words.Values(nil, configs.Settings{}) {
		if path, ok := strings.CutPrefix(v.Path, "models.news.pipeline.default"); ok {
			shown = append(shown, fmt.Sprint(path, " ", v.Value, " ", v.Origin))
		}
	}
	want := []string{
		"[0].do export file", "[1].exec [x] file", "[1].name t file", "[1].timeout 1h file", "[2].do gate file",
		"[3].do release file", "[4].do verify file",
	}
	if diff := cmp.Diff(want, shown); diff != "" {
		t.Errorf("-want +shown:\n%s", diff)
	}
}
