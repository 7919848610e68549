package postgres

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/retraind/retraind/internal/pgcluster"
	"github.com/retraind/retraind/internal/pgtest"
	"github.com/retraind/retraind/internal/unit"
)

// foreignSettings format most values differently from retraind.
const foreignSettings = `SET TimeZone = 'Europe/Berlin'; SET DateStyle = 'German'; SET IntervalStyle = 'iso_8601';
	SET extra_float_digits = -10; SET bytea_output = 'escape'; SET search_path = public`

const spelledSQL = `CREATE TYPE public.span AS (a date, b timestamptz);
	CREATE TABLE public.spelled (id int, at timestamptz, day date, raw bytea, kind regclass, ratio float8, took interval,
		title text, during tstzrange, days date[], pair public.span, PRIMARY KEY (id, at, day, raw, ratio, took))`

func spelledConfig(dsn string) *Config {
	return &Config{
		DSN: dsn, Table: "spelled", ID: unit.List{"id", "at", "day", "raw", "ratio", "took"},
		Text: unit.List{"title", "during", "took", "raw", "pair"},
		Targets: map[string]string{
			"day": "day", "days": "days", "at": "at", "ratio": "ratio", "during": "during",
			"kind": "kind",
		},
	}
}

// TestTextsDoNotFollowTheWritersSettings: a writer with other settings changes rows that a writer with the server's
// settings has created. Keys, labels and texts have the same form from both.
func TestTextsDoNotFollowTheWritersSettings(t *testing.T) {
	t.Parallel()
	for _, capture := range []Capture{CaptureOutbox, CaptureLogical} {
		t.Run(string(capture), func(t *testing.T) {
			t.Parallel()
			b := newLab(t).setup(t, capture, spelledSQL, spelledConfig)
			b.exec(`INSERT INTO spelled SELECT i, '2026-01-02 11:00Z', '2026-02-03', '\xff00', 'spelled', 1/3.0::float8, '1 day 2 hours', 'x',
				'[2026-01-02 11:00Z,)', '{2026-02-03}', ROW('2026-02-03'::date, '2026-01-02 11:00Z'::timestamptz)::span FROM generate_series(1, 4) AS i`)
			b.start()
			b.ready()
			if _, err := b.conn.PgConn().Exec(t.Context(), foreignSettings).ReadAll(); err != nil {
				t.Fatal(err)
			}
			b.exec(`UPDATE spelled SET title = 'y' WHERE id = 1`)
			b.exec(`UPDATE spelled SET days = days || '2026-03-04'::date WHERE id = 2`)
			b.exec(`DELETE FROM spelled WHERE id = 3`)
			b.exec(`INSERT INTO spelled (id, at, day, raw, ratio, took) VALUES (5, now(), '03.04.2026', 'abc', 2/3.0::float8, 'PT1H')`)
			b.sink.equalsTable(t, "m", b.cfg)
			if len(b.sink.snapshot()) != 4 || b.sink.full != 1 {
				t.Errorf("%d items after %d whole reads", len(b.sink.snapshot()), b.sink.full)
			}
		})
	}
}

// TestExportDoesNotFollowTheRolesSettings: settings of a role or a database are session settings, too.
func TestExportDoesNotFollowTheRolesSettings(t *testing.T) {
	t.Parallel()
	b := setup(t, spelledSQL, spelledConfig)
	b.exec(`INSERT INTO spelled (id, at, day, raw, ratio, took) VALUES (1, '2026-01-02 11:00Z', '2026-02-03', '\xff', 0.5, '1 day')`)
	b.exec(`DO $$ BEGIN EXECUTE 'ALTER DATABASE ' || current_database() || ' SET TimeZone = ''Asia/Tokyo''';
		EXECUTE 'ALTER DATABASE ' || current_database() || ' SET DateStyle = ''SQL, DMY'''; END $$`)
	for item, err := range Export(t.Context(), "m", b.cfg) {
		if err != nil {
			t.Fatal(err)
		}
		want := `[1, "2026-01-02T11:00:00+00:00", "2026-02-03", "\\xff", 0.5, "1 day"]`
		if diff := cmp.Diff(want, item.ID); diff != "" {
			t.Error(diff)
		}
	}
}

// TestOnlyNeededSettingsArePinned: each pinned setting costs the writers time.
func TestOnlyNeededSettingsArePinned(t *testing.T) {
	t.Parallel()
	pinned := func(b *bundle) string {
		var names string
		err := b.conn.QueryRow(t.Context(), `SELECT coalesce(string_agg(DISTINCT split_part(c, '=', 1), ' '), '')
			FROM pg_proc, unnest(proconfig) AS c WHERE proname = 'm_update'`).Scan(&names)
		if err != nil {
			t.Fatal(err)
		}
		return names
	}
	if got := pinned(setup(t, itemsSQL, itemsConfig)); got != "" {
		t.Errorf("pinned without need: %s", got)
	}
	b := setup(t, `CREATE TABLE public.items (id int PRIMARY KEY, title text, day date, at timestamptz)`,
		func(dsn string) *Config {
			return &Config{DSN: dsn, Table: "items", ID: unit.List{"id"}, Text: unit.List{"title"}, Label: "day"}
		})
	if got := pinned(b); got != "DateStyle" {
		t.Errorf("pinned: %s", got)
	}
}

// TestTriggersOfAnEarlierVersion: triggers of an earlier version depend on the writer's settings, and check reports
// them.
func TestTriggersOfAnEarlierVersion(t *testing.T) {
	t.Parallel()
	b := setup(t, spelledSQL, spelledConfig)
	b.exec(`ALTER FUNCTION retraind.m_update() RESET TimeZone`)
	found := Check(t.Context(), "m", b.cfg)
	if len(found) == 0 || !strings.Contains(found[0].Message, "TimeZone") {
		t.Errorf("check found %v", found)
	}
}

// TestItemsUnderAnOldSpellingAreRecognised: an earlier version formatted keys with its session's settings. Items that
// are stored under such keys are renamed.
func TestItemsUnderAnOldSpellingAreRecognised(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		key unit.List
		old map[string]string // the old key by the current one
	}{
		"one column": {unit.List{"at"}, map[string]string{
			"2026-01-02 11:00:00+00": "2026-01-02 12:00:00+01", "2026-07-02 11:00:00+00": "02.07.2026 13:00:00 CEST",
		}},
		"several": {unit.List{"id", "at"}, map[string]string{
			`[1, "2026-01-02T11:00:00+00:00"]`: `[1, "2026-01-02T12:00:00+01:00"]`,
			`[2, "2026-07-02T11:00:00+00:00"]`: "no key at all",
		}},
	} {
		for _, capture := range captures {
			t.Run(name+", "+string(capture), func(t *testing.T) {
				t.Parallel()
				b := newLab(t).setup(t, capture,
					`CREATE TABLE items (id int, at timestamptz, title text, label text, PRIMARY KEY (id, at))`,
					func(dsn string) *Config {
						return &Config{DSN: dsn, Table: "items", ID: c.key, Text: unit.List{"title"}, Label: "label", UpdatedAt: "at"}
					})
				b.exec(`DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET DateStyle = German', current_database()); END $$`)
				b.exec(`INSERT INTO items VALUES (1, '2026-01-02 11:00Z', 't', 'a'), (2, '2026-07-02 11:00Z', 't', 'b')`)
				_, stop := b.start()
				b.ready()
				stop()
				var stored map[string]any
				if err := json.Unmarshal([]byte(b.sink.cursor), &stored); err != nil {
					t.Fatal(err)
				}
				delete(stored, "spelling")
				text, err := json.Marshal(stored)
				if err != nil {
					t.Fatal(err)
				}
				b.sink.cursor = string(text)
				wanted := 0
				for now, old := range c.old {
					b.sink.items[old] = b.sink.items[now]
					if delete(b.sink.items, now); old != "no key at all" {
						wanted++
					}
				}
				full := b.sink.full
				b.start()
				b.sink.until(t, "the whole table", func() bool { return b.sink.full > full })
				b.sink.equalsTable(t, "m", b.cfg)
				if b.sink.respelled != wanted {
					t.Errorf("%d items were recognised, want %d", b.sink.respelled, wanted)
				}
			})
		}
	}
}

// TestLabelsDoNotFollowTheWritersLocale: to_char formats month names and decimal points by the locale, but labels do
// not depend on the writer's locale.
func TestLabelsDoNotFollowTheWritersLocale(t *testing.T) {
	t.Parallel()
	l := &lab{pgtest.Cluster(t, pgcluster.Options{Environment: []string{"LOCPATH=" + germanLocale(t)}})}
	b := l.setup(t, CaptureOutbox, `CREATE TABLE public.spelled (id int PRIMARY KEY, title text, day date, ratio float8)`,
		func(dsn string) *Config {
			return &Config{
				DSN: dsn, Table: "spelled", ID: unit.List{"id"}, Text: unit.List{"title"},
				Targets: map[string]string{"month": "to_char(day, 'TMMonth')", "ratio": "to_char(ratio, '0D9')"},
			}
		})
	b.exec(`INSERT INTO spelled VALUES (1, 'x', '2026-05-02', 0.5), (2, 'x', '2026-05-02', 0.5)`)
	b.start()
	b.ready()
	b.exec(`SET lc_time = 'de_DE.UTF-8'`)
	b.exec(`SET lc_numeric = 'de_DE.UTF-8'`)
	var spelled string
	err := b.conn.QueryRow(t.Context(), `SELECT to_char(date '2026-05-02', 'TMMonth') || to_char(0.5, '0D9')`).Scan(&spelled)
	if err != nil || spelled != "Mai 0,5" {
		t.Fatalf("the writer's locale is not in force: %q, %v", spelled, err)
	}
	b.exec(`UPDATE spelled SET title = 'y' WHERE id = 1`)
	b.exec(`INSERT INTO spelled VALUES (3, 'x', '2026-05-03', 0.5)`)
	b.sink.equalsTable(t, "m", b.cfg)
	for id, item := range b.sink.snapshot() {
		if item.Labels["month"] != "May" || item.Labels["ratio"] != " 0.5" {
			t.Errorf("item %s is labelled %q", id, item.Labels)
		}
	}
	b.exec(`ALTER FUNCTION retraind.m_update() RESET lc_time`)
	if found := Check(t.Context(), "m", b.cfg); len(found) == 0 || !strings.Contains(found[0].Message, "lc_time") {
		t.Errorf("check found %v", found)
	}
}

// germanLocale compiles a locale, which the test machine may lack, and returns the directory above it.
func germanLocale(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	source := ""
	for name, from := range map[string]string{
		"LC_CTYPE": "POSIX", "LC_COLLATE": "POSIX", "LC_TIME": "de_DE", "LC_NUMERIC": "de_DE", "LC_MONETARY": "de_DE",
		"LC_MESSAGES": "de_DE",
	} {
		source += fmt.Sprintf("%s\ncopy %q\nEND %[1]s\n", name, from)
	}
	if err := os.WriteFile(filepath.Join(dir, "source"), []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	// With -c, localedef continues although the source lacks some parts.
	out, err := exec.Command("localedef", "-c", "-i", filepath.Join(dir, "source"), "-f", "UTF-8",
		filepath.Join(dir, "de_DE.UTF-8")).CombinedOutput()
	if _, statErr := os.Stat(filepath.Join(dir, "de_DE.UTF-8", "LC_TIME")); statErr != nil {
		t.Skipf("no German locale to write with (Debian: apt-get install locales): %v: %s", err, out)
	}
	for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) { // the server runs as another user
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestPlainExpressionsPinNoLocale: the triggers of tables whose label expressions cannot depend on the locale need not
// be installed again.
func TestPlainExpressionsPinNoLocale(t *testing.T) {
	t.Parallel()
	for expression, want := range map[string]bool{
		"coalesce(priority, 'none')": false, "priority": false, "(a || b)": false, "lower(trim(priority))": false,
		"case when (a > 1) then 'x' else 'y' end": false, "to_char(day, 'TMMonth')": true, `"My Function"(a)`: true,
		"mine(a)": true,
	} {
		s := &schema{targets: []target{{source: expression}}}
		if got := s.formats(); got != want {
			t.Errorf("%s: %t", expression, got)
		}
	}
}
