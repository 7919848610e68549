package systemdtest_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/retraind/retraind/internal/demo/news"
	"github.com/retraind/retraind/internal/doctest"
	"github.com/retraind/retraind/internal/pgtest"
	"github.com/retraind/retraind/internal/systemdtest"
)

// machine is a box with a clone of the repository, which belongs to an ordinary user, and with a database.
type machine struct {
	*systemdtest.Box
	t    *testing.T
	repo string
	env  []string        // for the Go command
	dsn  string          // connection string of the table's owner
	page []doctest.Block // the shell blocks of docs/operations.md that are still to be run
}

const (
	configFile = "/etc/retraind/retraind.yaml"
	dsnFile    = "/etc/retraind/pg-dsn"
)

// sudo replaces the program, which a box does not have.
const sudo = `#!/bin/sh
[ "$1" = -u ] || exec "$@"
user=$2
shift 2
exec setpriv --reuid="$user" --regid="$user" --init-groups "$@"
`

// The box's users: anna owns the clone, bob becomes a member of the daemon's group.
const people = `u anna - Anna /home/anna /bin/bash
u bob - Bob /home/bob /bin/bash
`

func newMachine(t *testing.T, engine string) *machine {
	t.Helper()
	goEnv := func(name string) string {
		out, err := exec.Command("go", "env", name).Output()
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(out))
	}
	repo, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{t: t, repo: repo, dsn: pgtest.Database(t), page: doctest.Blocks(t, repo, "docs/operations.md")}
	m.page = slices.DeleteFunc(m.page, func(b doctest.Block) bool { return b.RunBy != "internal/systemdtest" })
	// The compiler finds the build cache of this test: flags and paths are the same.
	cache, modules, root := goEnv("GOCACHE"), goEnv("GOMODCACHE"), goEnv("GOROOT")
	m.env = []string{
		"GOCACHE=" + cache, "GOMODCACHE=" + modules, "GOTOOLCHAIN=local", "BUILDFLAGS=", "CGO_ENABLED=" + goEnv("CGO_ENABLED"),
		"GOFLAGS=" + strings.ReplaceAll(goEnv("GOFLAGS"), "-buildvcs=false", ""),
	}
	options := systemdtest.Options{
		Overlays: []string{cache, modules, repo},
		Binds: map[string]string{
			"/run/postgresql": pgtest.Shared().Dir(), "/run/docker": filepath.Dir(strings.TrimPrefix(engine, "unix://")),
		},
	}
	if err := os.Chmod(pgtest.Shared().Dir(), 0o711); err != nil { // so that the users of the box can enter it
		t.Fatal(err)
	}
	if !strings.HasPrefix(root, "/usr/") {
		options.Overlays = append(options.Overlays, root)
	}
	m.Box = systemdtest.Start(t, options)
	m.Write("/usr/local/bin/sudo", sudo, 0o755)
	m.Write("/etc/sysusers.d/people.conf", people, 0o644)
	m.Must("systemd-sysusers")
	m.Must("sh", "-ec", `
		chmod 711 /root
		mkdir -p /usr/local/go
		[ -e /usr/local/go/bin ] || mount --bind "$3" /usr/local/go
		for user in anna bob; do install -d -o $user -g $user /home/$user; done
		chown anna "$1" "$1"/??
		cd "$2"
		rm -rf .git bin
		chown anna .`, "-", cache, repo, root)
	m.MustAs("anna", "sh", "-ec",
		`cd "$0"; git init -q; git -c user.name=anna -c user.email=anna@localhost commit -q --allow-empty -m clone`, repo)
	return m
}

// sql runs statements as the table's owner.
func (m *machine) sql(text string) {
	m.t.Helper()
	ctx := context.Background()
	db, err := pgx.Connect(ctx, m.dsn)
	if err != nil {
		m.t.Fatal(err)
	}
	defer db.Close(ctx)
	if _, err := db.PgConn().Exec(ctx, text).ReadAll(); err != nil {
		m.t.Fatalf("%s: %v", text, err)
	}
}

// block runs the next shell block of docs/operations.md, which must contain a word, and returns its output.
func (m *machine) block(word string) string {
	m.t.Helper()
	if len(m.page) == 0 || !strings.Contains(m.page[0].Text, word) {
		m.t.Fatalf("the next shell block of docs/operations.md should contain %q: %+v", word, m.page)
	}
	b := m.page[0]
	m.page = m.page[1:]
	out, code := m.Run(append(append([]string{"env", "-C", m.repo}, m.env...), "sh", "-exc", b.Text)...)
	if code != 0 {
		m.t.Fatalf("%s:%d: exit status %d\n%s", b.Page, b.Line, code, out)
	}
	return out
}

// items fills the label table.
func (m *machine) items(n int) {
	m.t.Helper()
	m.sql(`CREATE TABLE public.items (id text PRIMARY KEY, title text NOT NULL, content text NOT NULL, category text)`)
	ctx := context.Background()
	db, err := pgx.Connect(ctx, m.dsn)
	if err != nil {
		m.t.Fatal(err)
	}
	defer db.Close(ctx)
	var rows [][]any
	for _, it := range news.Generate(1, n) {
		rows = append(rows, []any{it.ID, it.Title, it.Content, it.Label})
	}
	columns := []string{"id", "title", "content", "category"}
	_, err = db.CopyFrom(ctx, pgx.Identifier{"public", "items"}, columns, pgx.CopyFromRows(rows))
	if err != nil {
		m.t.Fatal(err)
	}
}

// login returns the connection string of the daemon's role.
func (m *machine) login() string {
	m.t.Helper()
	config, err := pgconn.ParseConfig(m.dsn)
	if err != nil {
		m.t.Fatal(err)
	}
	return "host=/run/postgresql user=retraind dbname=" + config.Database + "\n"
}

// edit replaces a text in the configuration, which must contain it.
func (m *machine) edit(old, text string) {
	m.t.Helper()
	before := m.Read(configFile)
	if !strings.Contains(before, old) {
		m.t.Fatalf("%s does not contain %q:\n%s", configFile, old, before)
	}
	m.Write(configFile, strings.Replace(before, old, text, 1), 0o644)
}

// dropIn changes the daemon's unit by a drop-in file, as an operator does.
func (m *machine) dropIn(text string) {
	m.t.Helper()
	m.Write("/etc/systemd/system/retraind.service.d/test.conf", "[Service]\n"+text, 0o644)
	m.Must("systemctl", "daemon-reload")
}

// refused checks that the daemon's unit fails with status 78 and is not restarted.
func (m *machine) refused(how string) {
	m.t.Helper()
	if out, code := m.Run("systemctl", how, "retraind"); code == 0 {
		m.t.Errorf("systemctl %s retraind succeeded, but should fail: %s", how, out)
	}
	for name, want := range map[string]string{"ExecMainStatus": "78", "ActiveState": "failed", "NRestarts": "0"} {
		m.same(name, "\n"+m.Property("retraind", name), "\n"+want)
	}
}

// restarts calls a function and waits until systemd has restarted the daemon.
func (m *machine) restarts(do func()) {
	m.t.Helper()
	before := m.Property("retraind", "MainPID")
	do()
	m.Until("systemd to start the daemon again", func() (bool, error) {
		pid, state := m.Property("retraind", "MainPID"), m.Property("retraind", "ActiveState")
		return pid != before && pid != "0" && state == "active", fmt.Errorf("process %s, %s", pid, state)
	})
}

// says checks that a text contains all of the words.
func (m *machine) says(text string, words ...string) {
	m.t.Helper()
	for _, word := range words {
		if !strings.Contains(text, word) {
			m.t.Errorf("%q is missing in:\n%s", word, text)
		}
	}
}

// same compares a text with the expected one, which begins with a newline.
func (m *machine) same(what, got, want string) {
	m.t.Helper()
	if diff := cmp.Diff(strings.TrimPrefix(want, "\n"), strings.TrimPrefix(got, "\n")); diff != "" {
		m.t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}
