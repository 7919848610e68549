package configs_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/retraind/retraind/configs"
)

// withMode writes files into a directory and loads retraind.yaml.
func withMode(t *testing.T, files map[string]os.FileMode, text string) (*configs.Loaded, error) {
	t.Helper()
	dir := t.TempDir()
	for name, mode := range files {
		path := filepath.Join(dir, name)
		body := "a secret"
		if name == "retraind.yaml" {
			body = text
		}
		if err := errors.Join(os.WriteFile(path, []byte(body), 0o600), os.Chmod(path, mode)); err != nil {
			t.Fatal(err)
		}
	}
	return configs.Load(filepath.Join(dir, "retraind.yaml"))
}

// A password that everyone on the machine can read is refused, in the configuration and in the files that it names.
func TestOpenSecrets(t *testing.T) {
	t.Parallel()
	dsn := func(text string) string { return strings.Replace(good, "dsn_file: pg-dsn", "dsn: "+text, 1) }
	with := func(section string) string {
		return strings.Replace(good, "    serving:", "    "+section+"\n    serving:", 1)
	}
	for _, c := range []struct {
		name, text, want string
		files            map[string]os.FileMode
	}{
		{"url", dsn(`"postgres://me:geheim@db/x"`), "chmod 0640", map[string]os.FileMode{"retraind.yaml": 0o644}},
		{
			"words", dsn(`"host=db password = 'ge heim' dbname=x"`), "chmod 0640",
			map[string]os.FileMode{"retraind.yaml": 0o644},
		},
		{
			"query", dsn(`"postgres://db/x?password=geheim&sslmode=require"`), "chmod 0640",
			map[string]os.FileMode{"retraind.yaml": 0o644},
		},
		{"closed", dsn(`"postgres://me:geheim@db/x"`), "", map[string]os.FileMode{"retraind.yaml": 0o640}},
		{"no password", dsn(`"postgres://me@db/x?sslmode=require"`), "", map[string]os.FileMode{"retraind.yaml": 0o644}},
		{"file", good, "pg-dsn", map[string]os.FileMode{"retraind.yaml": 0o644, "pg-dsn": 0o644}},
		{"closed file", good, "", map[string]os.FileMode{"retraind.yaml": 0o644, "pg-dsn": 0o640}},
		{
			"salt", with("heldout: {salt_file: salt}"), "salt",
			map[string]os.FileMode{"retraind.yaml": 0o600, "salt": 0o604},
		},
		{
			"serving", strings.Replace(good, "classify: http://", "classify: http://me:geheim@", 1), "chmod 0640",
			map[string]os.FileMode{"retraind.yaml": 0o644},
		},
		{
			"nats", good + "nats: {url: \"nats://me:geheim@host:4222\"}\n", "credentials_file",
			map[string]os.FileMode{"retraind.yaml": 0o604},
		},
		{
			"label step", with(`pipeline: {default: [gate, release, verify], extra: [{do: label, model: m, items: all,
        write: {dsn_file: pg-write, statement: "update items set category = @label where id = @id"}}, {pipeline: default}]}`) +
				"ollama: {url: \"http://127.0.0.1:11434\"}\n",
			"pg-write",
			map[string]os.FileMode{"retraind.yaml": 0o600, "pg-write": 0o644},
		},
		{
			"candidate",
			with(`pipeline: {default: [{do: predict, url: "http://me:geheim@host/classify"}, gate, release, verify]}`),
			"chmod 0640",
			map[string]os.FileMode{"retraind.yaml": 0o644},
		},
		{
			"unit to stop", with(`gpu: {free: 1GiB, stop: [{unit: a, healthy: "http://me:geheim@host/health"}]}`),
			"chmod 0640",
			map[string]os.FileMode{"retraind.yaml": 0o644},
		},
		{
			"service to stop", with(`gpu: {free: 1GiB, stop: [{unit: a}, {compose: {dir: /a, service: b,
        healthy: "http://me:geheim@host/health"}}]}`),
			"chmod 0640",
			map[string]os.FileMode{"retraind.yaml": 0o644},
		},
	} {
		_, err := withMode(t, c.files, c.text)
		var bad *configs.InvalidError
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.want == "":
		case !errors.As(err, &bad) || !strings.Contains(err.Error(), "everyone on this machine") ||
			!strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "heim"):
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// The values in force are shown without passwords.
func TestShownWithoutPasswords(t *testing.T) {
	t.Parallel()
	l := load(t, strings.Replace(good, "    serving:", `    gpu: {free: 1GiB, stop: [{unit: a, healthy: "http://me:geheim@a/"}]}
    pipeline: {default: [{do: predict, url: "http://me:geheim@b/"}, gate, release, verify]}
    serving:`, 1))
	s, err := l.File.Overlay(nil)
	if err != nil {
		t.Fatal(err)
	}
	shown := map[any]bool{}
	for _, v := range l.Values(nil, s) {
		text, _ := v.Value.(string)
		shown[text] = true
		if strings.Contains(text, "geheim") {
			t.Errorf("%s: %v", v.Path, v.Value)
		}
	}
	if !shown["http://me:xxxxx@a/"] || !shown["http://me:xxxxx@b/"] {
		t.Errorf("not shown: %v", shown)
	}
}

// systemd's credentials take precedence over files beside the configuration. Not parallel: it sets environment
// variables.
func TestCredentials(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
	path := write(t, good)
	at := func() string {
		t.Helper()
		l, err := configs.Load(path)
		if err != nil {
			t.Fatal(err)
		}
		return l.File.Models["news"].Labels.Postgres.DSNFile
	}
	if got := at(); got != filepath.Join(filepath.Dir(path), "pg-dsn") {
		t.Errorf("without such a credential: %s", got)
	}
	if err := os.WriteFile(filepath.Join(dir, "pg-dsn"), []byte("host=db"), 0o400); err != nil {
		t.Fatal(err)
	}
	if got := at(); got != filepath.Join(dir, "pg-dsn") {
		t.Errorf("with one: %s", got)
	}
}

// Variables are expanded only in keys that allow it. Not parallel: it sets environment variables.
func TestVariables(t *testing.T) {
	t.Setenv("DB_PASSWORD", "geheim")
	text := strings.Replace(good, "dsn_file: pg-dsn", `dsn: "postgres://me:${DB_PASSWORD}@db/x"`, 1)
	l, err := withMode(t, map[string]os.FileMode{"retraind.yaml": 0o644}, text)
	if err != nil { // the file contains no secret: everyone may read it
		t.Fatal(err)
	}
	if got := l.File.Models["news"].Labels.Postgres.DSN; got != "postgres://me:geheim@db/x" {
		t.Errorf("dsn is %s", got)
	}
	s, err := l.File.Overlay(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range l.Values(nil, s) {
		if strings.HasSuffix(v.Path, ".dsn") && v.Value != "postgres://me:xxxxx@db/x" {
			t.Errorf("shown as %v", v.Value)
		}
	}
	for text, want := range map[string]string{
		strings.Replace(text, "DB_PASSWORD", "DB_PASSWORT",
			1): "the environment variable DB_PASSWORT is not set (set it for the daemon",
		strings.Replace(text, "${DB_PASSWORD}", "${DB PASSWORD}",
			1): "has an unfinished variable (write ${NAME}",
		strings.Replace(good, "classify: http://127.0.0.1:8082/classify", "classify: http://${DB_PASSWORD}/classify",
			1): "is not an http or https URL",
	} {
		_, err := withMode(t, map[string]os.FileMode{"retraind.yaml": 0o600}, text)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "geheim") {
			t.Errorf("%v, want %q", err, want)
		}
	}
	l = load(t, strings.Replace(good, "table: public.items", "table: \"public.${DB_PASSWORD}\"", 1))
	var out bytes.Buffer
	if err := l.Warnings.Render(&out, l.Source); err != nil ||
		!strings.Contains(out.String(), "table: ${…} is not replaced by an environment variable here") {
		t.Errorf("%v\n%s", err, out.String())
	}
}

// A message that quotes a value hides the password in it.
func TestMessagesHidePasswords(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		strings.Replace(good, "dsn_file: pg-dsn", `dsn: "postgres://me:geheim@db/${NAME"`, 1),
		good + "nats: nats://me:geheim@host:4222\n",
		good + "nats: url nats://me:geheim@host:4222\n",
	} {
		_, err := configs.Parse("retraind.yaml", []byte(text))
		var bad *configs.InvalidError
		if !errors.As(err, &bad) {
			t.Fatalf("%v for\n%s", err, text)
		}
		var out bytes.Buffer
		if err := bad.Render(&out); err != nil {
			t.Fatal(err)
		}
		if said := bad.Error() + out.String(); strings.Contains(said, "geheim") {
			t.Error(said)
		}
	}
}
