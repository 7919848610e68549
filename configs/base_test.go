package configs_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/retraind/retraind/configs"
)

// good is a small configuration that loads without a warning.
const good = `version: 1
timezone: Europe/Berlin
state: state
models:
  news:
    labels:
      postgres: {dsn_file: pg-dsn, table: public.items, id: id, text: [title, content], label: category}
    serving:
      classify: http://127.0.0.1:8082/classify
      health: http://127.0.0.1:8082/health
    retrain_when:
      accuracy_below: 85%
    limits: {cooldown: 24h, budget: 3 per 7d}
    quiet_hours:
      - {days: mon-fri, from: "22:00", to: "06:00"}
`

// write writes a file into a new directory and returns its path.
func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "retraind.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// load fails the test if the text does not load.
func load(t *testing.T, text string) *configs.Loaded {
	t.Helper()
	l, err := configs.Load(write(t, text))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// changed returns the good file with one text replaced.
func changed(t *testing.T, old, next string) string {
	t.Helper()
	if strings.Count(good, old) != 1 {
		t.Fatalf("%q must occur exactly once in the good file", old)
	}
	return strings.Replace(good, old, next, 1)
}
