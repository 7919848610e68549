package serving

import "testing"

// Labels and answers are normalized alike, by the configured rules only.
func TestNormalize(t *testing.T) {
	t.Parallel()
	const decomposed = " Mu\u0308ll "
	for rules, want := range map[Normalize]string{
		"": decomposed, "blanks": "Mu\u0308ll", "unicode": " Müll ", "case": " mu\u0308ll ", "blanks,case,unicode": "müll",
	} {
		target := Target{Name: "label", Kind: KindLabel, Normalize: rules}
		label, err := target.CanonicalLabel(decomposed)
		answer, wrong := target.Canonical(decomposed)
		if err != nil || wrong != nil || label != want || answer != want {
			t.Errorf("%q: label %q (%v), answer %q (%v), want %q", rules, label, err, answer, wrong, want)
		}
	}
	// Some composed characters exist only in lower case: U+01F0 is a j with caron.
	for _, spelling := range []string{"\u01f0", "j\u030c", "J\u030c"} {
		if got := NormalizeBy(Rules).Apply(spelling); got != "\u01f0" {
			t.Errorf("%+q becomes %+q", spelling, got)
		}
	}
	set := Target{Name: "tags", Kind: KindSet, Normalize: NormalizeBy(Rules)}
	label, err := set.CanonicalLabel(`["B ","a","A"]`)
	answer, wrong := set.Canonical([]any{"a", " b"})
	if err != nil || wrong != nil || label != `["a","b"]` || answer != label {
		t.Errorf("label %s (%v), answer %s (%v)", label, err, answer, wrong)
	}
	if _, err := (Target{Name: "label", Normalize: "blanks"}).CanonicalLabel("  "); err == nil {
		t.Error("a label of blanks alone is one")
	}
}

// An answer null and a missing label have the same value, which is normalized like every label.
func TestNormalizeNull(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		kind       Kind
		null, want string
	}{
		{KindLabel, " Other", "other"},
		{KindSet, " Other", `["other"]`},
		{KindSet, `["B","a","A "]`, `["a","b"]`},
		{KindBool, "false", "false"},
	} {
		target := Target{Name: "label", Kind: c.kind, Null: c.null, Normalize: NormalizeBy(Rules)}
		answer, err := target.Canonical(nil)
		label, ok := target.Value(nil)
		if err != nil || !ok || answer != c.want || label != c.want {
			t.Errorf("%s %s: answer %s (%v), label %s, want %s", c.kind, c.null, answer, err, label, c.want)
		}
	}
}
