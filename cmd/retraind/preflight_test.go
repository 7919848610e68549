package main

import (
	"os/user"
	"slices"
	"testing"

	"github.com/retraind/retraind/configs"
)

// The check as the daemon's user gets the variables that the configuration uses, and no others. Not parallel: it sets
// environment variables.
func TestEnvironmentOfTheDaemonsUser(t *testing.T) {
	t.Setenv("USED", "yes")
	t.Setenv("RETRAIND_STATE", "/state")
	t.Setenv("OTHER", "a secret of root")
	l, err := configs.Parse("retraind.yaml", []byte(`
version: 1
models:
  news:
    labels: {postgres: {dsn: "host=db password=${USED}", table: items, id: id, text: [title], label: topic}}
    serving: {classify: "http://localhost/classify", health: "http://localhost/health"}
    retrain_when: {max_age: 30d}
`))
	if err != nil {
		t.Fatal(err)
	}
	env := environmentOf(&user.User{HomeDir: "/home/retraind"}, l)
	for _, v := range []string{"USED=yes", "RETRAIND_STATE=/state", "HOME=/home/retraind"} {
		if !slices.Contains(env, v) {
			t.Errorf("%s is missing in %q", v, env)
		}
	}
	if slices.Contains(env, "OTHER=a secret of root") {
		t.Errorf("%q", env)
	}
}
