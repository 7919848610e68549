package strictyaml_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/retraind/retraind/configs/strictyaml"
)

func TestSet(t *testing.T) {
	t.Parallel()
	const text = "x-base: &base\n    limits: {cooldown: 24h, budget: 3 per 7d}\nmodels:\n    a:\n        <<: *base\n        when: {drop: 1}\n    b:\n        limits: *base\n    c:\nlist: [{a: 1}, {a: 2}]\n"
	for _, c := range []struct{ path, value, want, broken string }{
		{"models.a.when.drop", "2", "drop: 2", ""},
		{"models.a.when.other", "[1, 2]", "other: [1, 2]", ""},
		{"models.a.limits.cooldown", "12h", "when: {drop: 1}\n    limits: {cooldown: 12h, budget: 3 per 7d}", ""},
		{"models.b.limits.limits.cooldown", "12h", "limits:\n      limits: {cooldown: 12h, budget: 3 per 7d}", ""},
		{"models.c.limits.cooldown", "12h", "c:\n    limits:\n      cooldown: 12h", ""},
		{"models.a.when.drop.points", "2", "", "models.a.when.drop is 1 and has no key \"points\"; set models.a.when.drop as a whole"},
		{"list[1].a", "3", "[{a: 1}, {a: 3}]", ""},
		{"list[2].a", "3", "", "list is a list and has no key \"[2]\"; set list as a whole"},
		{"models.a.when", "", "", "models.a.when: no value is given"},
		{"models.a.when", "[", "", "\"[\" is not a YAML value: yaml: line 1: did not find expected node content"},
	} {
		got, err := strictyaml.Set([]byte(text), c.path, c.value)
		switch {
		case err != nil && err.Error() != c.broken:
			t.Errorf("%s: %v", c.path, err)
		case err == nil &&
			(c.broken != "" || !strings.Contains(string(got), c.want) ||
				!strings.Contains(string(got), "&base\n  limits: {cooldown: 24h")):
			t.Errorf("%s: %s", c.path, cmp.Diff(text, string(got)))
		}
	}
}

// A change at the place that defines an anchor leaves the values of the places that use it.
func TestSetAtAnAnchor(t *testing.T) {
	t.Parallel()
	const text = "a: &x {k: &y 1, l: 5}\nb: *x\nc:\n  <<: *x\n  m: *y\nlist: [&z {k: 1}, *z]\n"
	for path, c := range map[string]struct{ value, want string }{
		"a.k":       {"2", "a: {k: 2, l: 5}\nb: {k: 1, l: 5}\nc: {k: 1, l: 5, m: 1}\nlist: [{k: 1}, {k: 1}]\n"},
		"a":         {"{k: 3}", "a: {k: 3}\nb: {k: 1, l: 5}\nc: {k: 1, l: 5, m: 1}\nlist: [{k: 1}, {k: 1}]\n"},
		"a.n":       {"7", "a: {k: 1, l: 5, n: 7}\nb: {k: 1, l: 5}\nc: {k: 1, l: 5, m: 1}\nlist: [{k: 1}, {k: 1}]\n"},
		"b.k":       {"2", "a: {k: 1, l: 5}\nb: {k: 2, l: 5}\nc: {k: 1, l: 5, m: 1}\nlist: [{k: 1}, {k: 1}]\n"},
		"list[0].k": {"9", "a: {k: 1, l: 5}\nb: {k: 1, l: 5}\nc: {k: 1, l: 5, m: 1}\nlist: [{k: 9}, {k: 1}]\n"},
	} {
		out, err := strictyaml.Set([]byte(text), path, c.value)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		var got, want any
		if err := errors.Join(yaml.Unmarshal(out, &got), yaml.Unmarshal([]byte(c.want), &want)); err != nil {
			t.Errorf("%s: %v\n%s", path, err, out)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s\n%s", path, diff, out)
		}
	}
}
