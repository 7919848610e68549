package configs_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/retraind/retraind/configs"
	"github.com/retraind/retraind/internal/check"
)

func TestLoadTellsWhatIsNoFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := configs.Load(filepath.Join(dir, "none.yaml")); !errors.Is(err, fs.ErrNotExist) ||
		!strings.Contains(err.Error(), "does not exist: write one with `retraind init`") {
		t.Errorf("missing: %v", err)
	}
	if _, err := configs.Load(dir); err == nil || !strings.Contains(err.Error(), "is not a regular file") {
		t.Errorf("directory: %v", err)
	}
	if _, err := configs.Load("/dev/zero"); err == nil || !strings.Contains(err.Error(), "is not a regular file") {
		t.Errorf("device: %v", err)
	}
	huge := write(t, good+"#"+strings.Repeat("x", 9<<20))
	if _, err := configs.Load(huge); err == nil || !strings.Contains(err.Error(), "the file is larger than 8 MiB") {
		t.Errorf("huge: %v", err)
	}
}

// The digest is of the text: a comment changes it, another path does not.
func TestDigest(t *testing.T) {
	t.Parallel()
	one, same, other := load(t, good), load(t, good), load(t, good+"# x\n")
	if one.Digest != same.Digest || one.Digest == other.Digest || !strings.HasPrefix(one.Digest, "sha256:") {
		t.Errorf("%s, %s, %s", one.Digest, same.Digest, other.Digest)
	}
}

func TestLineAndLocate(t *testing.T) {
	t.Parallel()
	l := load(t, good)
	for path, want := range map[string]int{
		"models.news.retrain_when.accuracy_below": 12, "models.news.limits.cooldown": 13, "models.news.quiet_hours": 14,
		"models.news.limits.breaker": 0,
	} {
		if got, ok := l.Line(path); got != want || ok != (want > 0) {
			t.Errorf("%s: line %d, %t; want %d", path, got, ok, want)
		}
	}
	var found check.Problems
	found.Errorf("models.news.labels.postgres.table", "", "no such table")
	found.Warnf("models.news.serving.timeout", "", "not in the file")
	located, err := l.Locate(found)
	if err != nil || len(located) != 2 || located[0].Line != 7 || located[1].Line != 8 {
		t.Errorf("got %v, %v", located, err)
	}
	column, ok := l.Line("models.news.labels.postgres.label")
	var label check.Problems
	label.Errorf("models.news.labels.postgres.targets.label", "", "no such column")
	if located, err := l.Locate(label); err != nil || !ok || located[0].Column == 0 || located[0].Line != column {
		t.Errorf("the label's column is on line %d, reported is %v, %v", column, located, err)
	}
	if _, err := (&configs.Loaded{}).Locate(found); err == nil {
		t.Error("a file that was not parsed has positions")
	}
}

// A warning does not stop the load and is reported.
func TestWarnings(t *testing.T) {
	t.Parallel()
	l := load(t, good+"    promote: {gate: point}\n")
	if len(l.Warnings) != 1 || !strings.Contains(l.Warnings[0].Message, "gate point promotes") ||
		l.Warnings[0].Line != 16 {
		t.Errorf("got %v", l.Warnings)
	}
}

// Holidays are read when the configuration is loaded, so that a missing file is found then.
func TestHolidays(t *testing.T) {
	t.Parallel()
	text := good + "      - {except: [holidays.ics]}\n"
	path := write(t, text)
	_, err := configs.Load(path)
	var bad *configs.InvalidError
	if !errors.As(err, &bad) || !strings.Contains(err.Error(), "holidays.ics") || bad.Problems[0].Line != 16 {
		t.Fatalf("missing: %v", err)
	}
	ics := "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nDTSTART;VALUE=DATE:20261224\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
	if err := os.WriteFile(filepath.Join(filepath.Dir(path), "holidays.ics"), []byte(ics), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := configs.Load(path); err != nil {
		t.Error(err)
	}
}
