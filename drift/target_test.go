package drift_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/retraind/retraind/drift"
)

func TestParseAnswer(t *testing.T) {
	t.Parallel()
	targets := drift.ServingConfig{Gate: "relevant", Targets: map[string]drift.Target{
		"relevant": {Kind: drift.KindBool},
		"priority": {Null: "none"},
		"aks":      {Kind: drift.KindSet},
		"deep":     {Answer: "result.class"},
	}}.List()
	if targets[0].Name != "relevant" {
		t.Fatalf("the gate is not first: %+v", targets)
	}
	got, confidence, err := drift.ParseAnswer(targets, []byte(
		`{"relevant":true,"relevant_confidence":0.875,"priority":null,"aks":["b","a","b"],"result":{"class":12345678901234567890}}`))
	if err != nil {
		t.Fatal(err)
	}
	want := drift.Answers{"relevant": "true", "priority": "none", "aks": `["a","b"]`, "deep": "12345678901234567890"}
	if diff := cmp.Diff(want, got); diff != "" || confidence != .875 {
		t.Errorf("confidence %v, %s", confidence, diff)
	}
}

func TestParseAnswerErrors(t *testing.T) {
	t.Parallel()
	list := func(t drift.Target) []drift.Target {
		return drift.ServingConfig{Targets: map[string]drift.Target{"label": t}}.List()
	}
	for name, c := range map[string]struct {
		target drift.Target
		body   string
		want   []string
	}{
		"absent field":     {drift.Target{}, `{"class":"a","score":1}`, []string{`no field "label"`, "class, score", "serving.targets.label.answer"}},
		"absent level":     {drift.Target{Answer: "r.x"}, `{"r":{"y":1}}`, []string{`no field "r.x"`}},
		"empty object":     {drift.Target{}, `{}`, []string{"no fields"}},
		"not JSON":         {drift.Target{}, `<html>busy</html>`, []string{"not a JSON object", "<html>busy"}},
		"empty":            {drift.Target{}, ``, []string{"(empty)"}},
		"a list":           {drift.Target{}, `["a"]`, []string{"not a JSON object"}},
		"JSON null":        {drift.Target{}, `null`, []string{"not a JSON object"}},
		"null answer":      {drift.Target{}, `{"label":null}`, []string{"null", "serving.targets.label.null"}},
		"empty label":      {drift.Target{}, `{"label":""}`, []string{"empty"}},
		"object for label": {drift.Target{}, `{"label":{"a":1}}`, []string{"not a category"}},
		"word for bool":    {drift.Target{Kind: drift.KindBool}, `{"label":"maybe"}`, []string{"neither true nor false"}},
		"number for bool":  {drift.Target{Kind: drift.KindBool}, `{"label":0.7}`, []string{"neither true nor false"}},
		"word for set":     {drift.Target{Kind: drift.KindSet}, `{"label":"a"}`, []string{"not a list"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			answers, _, err := drift.ParseAnswer(list(c.target), []byte(c.body))
			if err == nil || answers != nil {
				t.Fatalf("no error, answers %v", answers)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %q", err, want)
				}
			}
		})
	}
}

func TestCanonicalSet(t *testing.T) {
	t.Parallel()
	for want, members := range map[string][]string{
		`[]`: nil, `["a","b"]`: {"b", "a", "b"}, `["\"q\"","<&>"]`: {`"q"`, "<&>"},
	} {
		if got := drift.CanonicalSet(members); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestServingConfig(t *testing.T) {
	t.Parallel()
	good := drift.ServingConfig{Classify: "http://localhost:1/classify", Health: "http://localhost:1/health"}
	if p := good.WithDefaults().Validate(); len(p) != 0 {
		t.Error(p)
	}
	for path, change := range map[string]func(*drift.ServingConfig){
		"classify":         func(c *drift.ServingConfig) { c.Classify = "localhost:8082" },
		"health":           func(c *drift.ServingConfig) { c.Health = "" },
		"gate":             func(c *drift.ServingConfig) { c.Targets = map[string]drift.Target{"a": {}, "b": {}} },
		"targets.a.kind":   func(c *drift.ServingConfig) { c.Targets = map[string]drift.Target{"a": {Kind: "list"}} },
		"targets.a.answer": func(c *drift.ServingConfig) { c.Targets = map[string]drift.Target{"a": {Answer: "x..y"}} },
		"targets.a.null":   func(c *drift.ServingConfig) { c.Targets = map[string]drift.Target{"a": {Kind: "bool", Null: "no"}} },
		"asleep":           func(c *drift.ServingConfig) { c.Asleep = "yes" },
		"concurrency":      func(c *drift.ServingConfig) { c.Concurrency = -1 },
		"timeout":          func(c *drift.ServingConfig) { c.Timeout = -1 },
		"fields.content":   func(c *drift.ServingConfig) { c.Fields = map[string]string{"content": ""} },
		"fields.title":     func(c *drift.ServingConfig) { c.Fields = map[string]string{"content": "t", "title": "t"} },
	} {
		c := good
		change(&c)
		p := c.WithDefaults().Validate()
		if len(p) != 1 || p[0].Path != path || p[0].Hint == "" {
			t.Errorf("%s: %+v", path, p)
		}
	}
}
