package actions

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestIncludedPipelines(t *testing.T) {
	t.Parallel()
	include := func(name string) StepConfig { return StepConfig{&IncludeStep{Pipeline: name}} }
	label := StepConfig{argv("label", "x")}
	doubling := map[string][]StepConfig{"p0": {label}}
	for i := 1; i < 20; i++ {
		below := include(fmt.Sprintf("p%d", i-1))
		doubling[fmt.Sprintf("p%d", i)] = []StepConfig{below, below}
	}
	doubling["full"] = []StepConfig{include("p19")}
	standard := DefaultPipeline(DoRelease)
	var b strings.Builder
	for _, c := range []struct {
		name      string
		pipelines map[string][]StepConfig
	}{
		{"fine", map[string][]StepConfig{"default": standard, "full": {label, include("default")}}},
		{"unknown", map[string][]StepConfig{"default": standard, "full": {include("defualt")}}},
		{"without a name", map[string][]StepConfig{"full": {include("")}}},
		{"itself", map[string][]StepConfig{"full": {label, include("full")}}},
		{"a circle", map[string][]StepConfig{"full": {include("a")}, "a": {include("b")}, "b": {include("a")}}},
		{"the same name", map[string][]StepConfig{"default": standard, "full": {{argv("train", "x")}, include("default")}}},
		{"twice", map[string][]StepConfig{"default": {label}, "full": {include("default"), include("default")}}},
		{"the wrong order", map[string][]StepConfig{
			"default": standard[:2], "full": {Do(DoGate), include("default"), Do(DoRelease), Do(DoVerify)},
		}},
		{"too many", doubling},
	} {
		fmt.Fprintf(&b, "%s\n%s", c.name, said(ValidatePipeline(c.pipelines, "full")))
	}
	golden(t, "include.golden", b.String())

	steps := Steps(map[string][]StepConfig{"default": DefaultPipeline(DoRelease), "full": {label, include("default")}}, "full")
	var names []string
	for _, s := range Resolve(steps, nil, "/opt/retraind") {
		names = append(names, s.Name)
	}
	if diff := cmp.Diff([]string{"label", "export", "train", "gate", "release", "verify"}, names); diff != "" {
		t.Error(diff)
	}
}
