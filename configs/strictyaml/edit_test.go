package strictyaml_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

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
		{"models.a.when.drop.points", "2", "", "models.a.when.drop is 1, it has no key \"points\": set the whole of it"},
		{"list[1].a", "3", "[{a: 1}, {a: 3}]", ""},
		{"list[2].a", "3", "", "list is a list, it has no key \"[2]\": set the whole of it"},
		{"models.a.when", "", "", "models.a.when: no value is given"},
		{"models.a.when", "[", "", "\"[\" is not a value: yaml: line 1: did not find expected node content"},
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
