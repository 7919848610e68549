package serving_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/retraind/retraind/serving"
)

func TestParseAnswer(t *testing.T) {
	t.Parallel()
	targets := serving.Config{Gate: "relevant", Targets: map[string]serving.Target{
		"relevant": {Kind: serving.KindBool},
		"priority": {Null: "none"},
		"aks":      {Kind: serving.KindSet},
		"deep":     {Answer: "result.class"},
	}}.List()
	if targets[0].Name != "relevant" {
		t.Fatalf("the gate is not first: %+v", targets)
	}
	got, confidence, err := serving.ParseAnswer(targets, []byte(
		`{"relevant":true,"relevant_confidence":0.875,"priority":null,"aks":["b","a","b"],"result":{"class":12345678901234567890}}`))
	if err != nil {
		t.Fatal(err)
	}
	want := serving.Answers{"relevant": "true", "priority": "none", "aks": `["a","b"]`, "deep": "12345678901234567890"}
	if diff := cmp.Diff(want, got); diff != "" || confidence != .875 {
		t.Errorf("confidence %v, %s", confidence, diff)
	}
}

func TestParseAnswerErrors(t *testing.T) {
	t.Parallel()
	list := func(t serving.Target) []serving.Target {
		return serving.Config{Targets: map[string]serving.Target{"label": t}}.List()
	}
	for name, c := range map[string]struct {
		target serving.Target
		body   string
		want   []string
	}{
		"absent field": {
			serving.Target{},
			`{"class":"a","score":1}`,
			[]string{`no field "label"`, "class, score", "serving.targets.label.answer"},
		},
		"absent level":     {serving.Target{Answer: "r.x"}, `{"r":{"y":1}}`, []string{`no field "r.x"`}},
		"empty object":     {serving.Target{}, `{}`, []string{"no fields"}},
		"not JSON":         {serving.Target{}, `<html>busy</html>`, []string{"not a JSON object", "<html>busy"}},
		"empty":            {serving.Target{}, ``, []string{"(empty)"}},
		"a list":           {serving.Target{}, `["a"]`, []string{"not a JSON object"}},
		"JSON null":        {serving.Target{}, `null`, []string{"not a JSON object"}},
		"null answer":      {serving.Target{}, `{"label":null}`, []string{"null", "serving.targets.label.null"}},
		"empty label":      {serving.Target{}, `{"label":""}`, []string{"empty"}},
		"object for label": {serving.Target{}, `{"label":{"a":1}}`, []string{"not a category"}},
		"word for bool":    {serving.Target{Kind: serving.KindBool}, `{"label":"maybe"}`, []string{"neither true nor false"}},
		"number for bool":  {serving.Target{Kind: serving.KindBool}, `{"label":0.7}`, []string{"neither true nor false"}},
		"word for set":     {serving.Target{Kind: serving.KindSet}, `{"label":"a"}`, []string{"not a list"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			answers, _, err := serving.ParseAnswer(list(c.target), []byte(c.body))
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
		if got := serving.CanonicalSet(members); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestServingConfig(t *testing.T) {
	t.Parallel()
	good := serving.Config{Classify: "http://localhost:1/classify", Health: "http://localhost:1/health"}
	if p := good.WithDefaults().Validate(); len(p) != 0 {
		t.Error(p)
	}
	for path, change := range map[string]func(*serving.Config){
		"classify":         func(c *serving.Config) { c.Classify = "localhost:8082" },
		"health":           func(c *serving.Config) { c.Health = "" },
		"gate":             func(c *serving.Config) { c.Targets = map[string]serving.Target{"a": {}, "b": {}} },
		"targets.a.kind":   func(c *serving.Config) { c.Targets = map[string]serving.Target{"a": {Kind: "list"}} },
		"targets.a.answer": func(c *serving.Config) { c.Targets = map[string]serving.Target{"a": {Answer: "x..y"}} },
		"targets.a.null": func(c *serving.Config) {
			c.Targets = map[string]serving.Target{"a": {
				Kind: "bool",
				Null: "no",
			}}
		},
		"asleep":         func(c *serving.Config) { c.Asleep = "yes" },
		"concurrency":    func(c *serving.Config) { c.Concurrency = -1 },
		"timeout":        func(c *serving.Config) { c.Timeout = -1 },
		"fields.content": func(c *serving.Config) { c.Fields = map[string]string{"content": ""} },
		"fields.title":   func(c *serving.Config) { c.Fields = map[string]string{"content": "t", "title": "t"} },
	} {
		c := good
		change(&c)
		p := c.WithDefaults().Validate()
		if len(p) != 1 || p[0].Path != path || p[0].Hint == "" {
			t.Errorf("%s: %+v", path, p)
		}
	}
}
