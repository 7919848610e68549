package main

import (
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"github.com/retraind/retraind/internal/pgtest"
)

var (
	shellBlock = regexp.MustCompile("(?ms)^```sh\n(.*?)^```$")
	sqlBlock   = regexp.MustCompile("(?ms)^```sql\n(.*?)^```$")
	inlineCode = regexp.MustCompile("`(retraind [^`\n]+)`")
)

// documented finds every command line of retraind in the documents: in shell blocks and in the text.
func documented(t *testing.T) map[string][]string {
	t.Helper()
	paths, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	found, total := map[string][]string{}, 0
	for _, path := range append(paths, "../../README.md", "../../CONTRIBUTING.md", "../../CHANGELOG.md") {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range shellBlock.FindAllStringSubmatch(string(text), -1) {
			for _, line := range strings.Split(b[1], "\n") {
				line, _, _ = strings.Cut(line, "|")
				line, _, _ = strings.Cut(line, " # ")
				if _, rest, ok := cutCommand(line); ok {
					found[path] = append(found[path], rest)
				}
			}
		}
		for _, m := range inlineCode.FindAllStringSubmatch(strings.ReplaceAll(string(text), "\n", " "), -1) {
			found[path] = append(found[path], m[1])
		}
		total += len(found[path])
	}
	if total < 30 {
		t.Fatalf("only %d command lines found", total)
	}
	return found
}

// cutCommand finds "retraind …" at the start of a line, or after sudo or sudo -u retraind.
func cutCommand(line string) (before, command string, ok bool) {
	line = strings.TrimSpace(line)
	for _, before := range []string{"sudo -u retraind ", "sudo ", ""} {
		if rest, cut := strings.CutPrefix(line, before); cut && strings.HasPrefix(rest, "retraind ") {
			return before, rest, true
		}
	}
	return "", "", false
}

// words splits a line like a shell, but keeps the quotes.
var words = regexp.MustCompile(`"[^"]*"|\S+`)

// Every command and every flag in the documents exists.
func TestDocumentedCommandsExist(t *testing.T) {
	t.Parallel()
	root := newRoot(&app{stdin: strings.NewReader(""), stdout: io.Discard, stderr: io.Discard})
	root.InitDefaultCompletionCmd("completion")
	root.InitDefaultHelpCmd()
	for path, lines := range documented(t) {
		for _, line := range lines {
			words := words.FindAllString(line, -1)
			cmd, rest, err := root.Find(words[1:])
			if err != nil || cmd == root {
				t.Errorf("%s: %q is no command of retraind", path, line)
				continue
			}
			checkFlags(t, path, line, cmd, rest)
		}
	}
}

func checkFlags(t *testing.T, path, line string, cmd *cobra.Command, words []string) {
	t.Helper()
	_ = cmd.InheritedFlags() // merges the global flags in
	var args []string
	for i := 0; i < len(words); i++ {
		word := words[i]
		if word == "--" { // the rest is for another program
			args = append(args, words[i+1:]...)
			break
		}
		if !strings.HasPrefix(word, "-") {
			args = append(args, word)
			continue
		}
		name, _, inline := strings.Cut(strings.TrimLeft(word, "-"), "=")
		flag := cmd.Flags().Lookup(name)
		if flag == nil && len(name) == 1 {
			flag = cmd.Flags().ShorthandLookup(name)
		}
		if flag == nil {
			t.Errorf("%s: %q: %s has no flag %s", path, line, cmd.CommandPath(), word)
			continue
		}
		if !inline && flag.Value.Type() != "bool" {
			i++
		}
	}
	if len(words) == 0 {
		return // named in the text, without its arguments
	}
	if cmd.Args != nil {
		if err := cmd.Args(cmd, args); err != nil {
			t.Errorf("%s: %q: %v", path, line, err)
		}
	}
}

// elsewhere replaces the port with an unused one, since another program may listen on the default.
func elsewhere(t *testing.T, config string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free := l.Addr().String()
	l.Close()
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(config, []byte(strings.ReplaceAll(string(text), "127.0.0.1:8082", free)), 0o600); err != nil {
		t.Fatal(err)
	}
}

// The quickstart's SQL runs, the configuration from init fits its table, and the correction is recorded.
func TestQuickstartSQL(t *testing.T) {
	t.Parallel()
	said, err := os.ReadFile("../../docs/quickstart.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := sqlBlock.FindAllStringSubmatch(string(said), -1)
	if len(blocks) != 2 {
		t.Fatalf("the quickstart has %d SQL blocks, want 2: the table, and the correction", len(blocks))
	}
	ctx, dir := t.Context(), t.TempDir()
	dsn := pgtest.Database(t)
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(ctx)) })
	do := func(sql string) {
		t.Helper()
		if _, err := conn.Exec(ctx, sql); err != nil {
			t.Fatal(err)
		}
	}
	do(blocks[0][1])

	quick := filepath.Join(dir, "quick")
	if code := run([]string{"init", quick, "--state", "state"}, strings.NewReader(""), io.Discard,
		os.Stderr); code != exitOK {
		t.Fatalf("retraind init: exit status %d", code)
	}
	sql, err := os.ReadFile(filepath.Join(quick, "retraind.sql"))
	if err != nil {
		t.Fatal(err)
	}
	migration, _, ok := strings.Cut(string(sql), "-- retraind: what the role") // roles are shared by all tests of the cluster
	if !ok {
		t.Fatal("retraind.sql has no part about the role")
	}
	do(migration)
	if err := os.WriteFile(filepath.Join(quick, "pg-dsn"), []byte(dsn), 0o600); err != nil {
		t.Fatal(err)
	}
	elsewhere(t, filepath.Join(quick, "retraind.yaml"))
	var out strings.Builder
	code := run([]string{"check", "--config", filepath.Join(quick, "retraind.yaml")}, strings.NewReader(""), &out,
		os.Stderr)
	if code != exitOK || strings.Contains(out.String(), "error") {
		t.Errorf("retraind check: exit status %d, want 0 and a warning at most:\n%s", code, out.String())
	}

	do(blocks[1][1])
	var recorded, football int
	if err := conn.QueryRow(ctx, "SELECT (SELECT count(*) FROM retraind.relevance_outbox), (SELECT count(*) FROM items WHERE category = 'football')").
		Scan(&recorded,
			&football); err != nil {
		t.Fatal(err)
	}
	if recorded != football || football < 100 {
		t.Errorf("%d changes recorded for %d corrections", recorded, football)
	}
}
