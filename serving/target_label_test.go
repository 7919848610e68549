package serving_test

import (
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/retraind/retraind/serving"
)

func TestCanonicalLabel(t *testing.T) {
	t.Parallel()
	label, yes, set := serving.Target{Name: "label"}, serving.Target{
		Name: "yes",
		Kind: serving.KindBool,
	}, serving.Target{Name: "set", Kind: serving.KindSet}
	for _, c := range []struct {
		target   serving.Target
		in, want string
		json     any
	}{
		{label, "Sport", "Sport", "Sport"},
		{label, "[x]", "[x]", "[x]"},
		{label, "", "!", nil},
		{yes, "true", "true", true},
		{yes, " T ", "true", true},
		{yes, "0", "false", false},
		{yes, "maybe", "!", nil},
		{set, `["b","a","b"]`, `["a","b"]`, []string{"a", "b"}},
		{set, "AK1", `["AK1"]`, []string{"AK1"}},
		{set, "", "[]", []string{}},
		{set, "[1, 2]", `["[1, 2]"]`, []string{"[1, 2]"}},
	} {
		got, err := c.target.CanonicalLabel(c.in)
		if c.want == "!" {
			if err == nil || !strings.Contains(err.Error(), "of target "+c.target.Name) {
				t.Errorf("%s %q: %q, %v", c.target.Name, c.in, got, err)
			}
			continue
		}
		if err != nil || got != c.want {
			t.Errorf("%s %q: %q, %v; want %q", c.target.Name, c.in, got, err, c.want)
		}
		if diff := gocmp.Diff(c.json, c.target.JSON(got)); diff != "" {
			t.Errorf("%s %q as JSON: %s", c.target.Name, c.in, diff)
		}
	}
	got, err := serving.CanonicalLabels([]serving.Target{label, yes},
		map[string]string{"label": "a", "yes": "perhaps", "other": "x"})
	if diff := gocmp.Diff(map[string]string{"label": "a"}, got); diff != "" || err == nil {
		t.Error(diff, err)
	}
	// A label and an answer with the same meaning are equal.
	rapid.Check(t, func(t *rapid.T) {
		members := rapid.SliceOf(rapid.String()).Draw(t, "members")
		asAny := make([]any, len(members))
		for i, m := range members {
			if m == "" {
				m = "x"
			}
			members[i], asAny[i] = m, m
		}
		a, err1 := set.Canonical(asAny)
		b, err2 := set.CanonicalLabel(serving.CanonicalSet(members))
		if a != b || err1 != nil || err2 != nil {
			t.Fatalf("%q and %q, %v %v", a, b, err1, err2)
		}
	})
}

func TestNullOfASet(t *testing.T) {
	t.Parallel()
	for null, want := range map[string]string{"none": `["none"]`, "[]": "[]", `["b","a"]`: `["a","b"]`} {
		target := serving.Target{Name: "set", Kind: serving.KindSet, Null: null}
		if got, err := target.Canonical(nil); got != want || err != nil {
			t.Errorf("%s: %q, %v", null, got, err)
		}
	}
}

// An invalid label does not count, even if the target has a value for null: it is neither that value nor missing.
func TestInvalidLabelIsNotNull(t *testing.T) {
	t.Parallel()
	targets := []serving.Target{
		{Name: "label", Kind: serving.KindLabel}, {Name: "urgent", Kind: serving.KindBool, Null: "false"},
	}
	labels, err := serving.CanonicalLabels(targets, map[string]string{"label": "a", "urgent": "maybe"})
	if err == nil {
		t.Error("no error for an invalid label")
	}
	if v, ok := targets[1].Value(labels); ok {
		t.Errorf("the invalid label counts as %q", v)
	}
	if diff := gocmp.Diff(map[string]string{"label": "a"}, serving.Values(targets, labels)); diff != "" {
		t.Error(diff)
	}
	again, err := serving.CanonicalLabels(targets, labels)
	if _, ok := targets[1].Value(again); ok || err != nil {
		t.Errorf("read again: %v, %v", again, err)
	}
	labels["urgent"] = "yes"
	corrected, err := serving.CanonicalLabels(targets, labels)
	if v, ok := targets[1].Value(corrected); err != nil || !ok || v != "true" {
		t.Errorf("corrected: %q, %v, %v", v, ok, err)
	}
	missing, err := serving.CanonicalLabels(targets, map[string]string{"label": "a"})
	if v, ok := targets[1].Value(missing); err != nil || !ok || v != "false" {
		t.Errorf("a missing label: %q, %v, %v", v, ok, err)
	}
}
