package actions

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/retraind/retraind/internal/check"
	"github.com/retraind/retraind/internal/unit"
)

var update = flag.Bool("update", false, "write the golden files")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		writeText(t, path, got)
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (go test -update writes it):\n%s", path, diff)
	}
}

// said is the text of problems as a person reads them.
func said(p check.Problems) string {
	var b strings.Builder
	for _, p := range p {
		kind := ""
		if p.Warning {
			kind = "warning: "
		}
		fmt.Fprintf(&b, "  %s%s: %s\n    %s\n", kind, p.Path, p.Message, p.Hint)
	}
	if b.Len() == 0 {
		return "  fine\n"
	}
	return b.String()
}

func TestPipelineProblems(t *testing.T) {
	t.Parallel()
	train := StepConfig{Name: "train", Exec: []string{"python", "train.py"}}
	export, gate, release, verify := StepConfig{Do: DoExport}, StepConfig{Do: DoGate}, StepConfig{Do: DoRelease},
		StepConfig{Do: DoVerify}
	var b strings.Builder
	for _, c := range []struct {
		name  string
		steps []StepConfig
	}{
		{"the default", DefaultPipeline()},
		{"everything set", []StepConfig{
			export,
			{
				Name: "train", Exec: []string{"train all"}, Undo: []string{"clean"}, Shell: true, Dir: "/srv",
				Env: map[string]string{"A_1": "x"}, Timeout: unit.Duration(time.Hour), Retries: 20, Kind: KindPure, GPU: true,
			},
			gate, release, verify,
		}},
		{"no steps", nil},
		{"an empty step", []StepConfig{{}}},
		{"both", []StepConfig{{Do: DoExport, Exec: []string{"x"}}}},
		{"an unknown step", []StepConfig{{Do: "deploy"}}},
		{"no name", []StepConfig{export, {Exec: []string{"a"}}, {Exec: []string{"b"}}}},
		{"bad names", []StepConfig{
			{Name: "Train!", Exec: []string{"a"}},
			{Name: "../x", Exec: []string{"a"}},
			{Name: "undo-train", Exec: []string{"a"}},
			{Name: strings.Repeat("x", 33), Exec: []string{"a"}},
		}},
		{"twice", []StepConfig{train, train}},
		{"without a proof", []StepConfig{export, train, release}},
		{"the wrong way round", []StepConfig{verify, release, gate, export}},
		{
			"a built-in with a command's keys",
			[]StepConfig{{
				Do: DoExport, Undo: []string{"x"}, Shell: true, Dir: "/", Env: map[string]string{"A": "b"},
				Kind: KindOnce, GPU: true,
			}},
		},
		{"shell with a list", []StepConfig{{Name: "a", Shell: true, Exec: []string{"a", "b"}, Undo: []string{"c", "d"}}}},
		{"numbers", []StepConfig{
			{Name: "a", Exec: []string{"a"}, Timeout: -1, Retries: -1},
			{Name: "b", Exec: []string{"a"}, Retries: 21},
		}},
		{"kinds", []StepConfig{{Name: "a", Exec: []string{"a"}, Kind: "twice"}}},
		{"variables", []StepConfig{{
			Name: "a", Exec: []string{"a"},
			Env: map[string]string{"1A": "", "A-B": "", "OK_1": "", "": "", "RETRAIND_RUN": "x"},
		}}},
		{"arguments", []StepConfig{
			{Name: "a", Exec: []string{"a", "b\x00c"}, Undo: []string{""}},
			{Name: "b", Exec: []string{""}},
		}},
	} {
		fmt.Fprintf(&b, "%s\n%s", c.name, said(ValidatePipeline(c.steps)))
	}
	golden(t, "pipeline.golden", b.String())
}

func TestPromoteProblems(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for _, c := range []struct {
		name   string
		config PromoteConfig
	}{
		{"the default", PromoteConfig{}},
		{"everything set", PromoteConfig{
			Gate: GateBetter, Margin: 50, CategoryFloor: 100, Parity: .5, VerifyWithin: 1,
			Smoke: []Smoke{{Text: map[string]string{"title": "x"}, Expect: "a"}}, MaxLatency: 1,
		}},
		{"an unknown gate", PromoteConfig{Gate: "best"}},
		{"the gate that is no test", PromoteConfig{Gate: GatePoint}},
		{"out of range", PromoteConfig{Margin: 51, CategoryFloor: 101, Parity: .49, VerifyWithin: -1, MaxLatency: -1}},
		{"below zero", PromoteConfig{Margin: -1, CategoryFloor: -1}},
		{"smoke without fire", PromoteConfig{Smoke: []Smoke{{Expect: "a"}, {Text: map[string]string{"title": "x"}}}}},
	} {
		fmt.Fprintf(&b, "%s\n%s", c.name, said(c.config.WithDefaults().Validate()))
	}
	golden(t, "promote.golden", b.String())
}

func TestResolve(t *testing.T) {
	t.Parallel()
	got := Resolve([]StepConfig{
		{Do: DoExport},
		{
			Name: "train", Exec: []string{"retraind", "train", "retraind"}, Undo: []string{"retraind", "clean"}, Kind: KindPure,
			Retries: 2, GPU: true, Timeout: unit.Duration(time.Hour),
		},
		{
			Name: "quiesce", Exec: []string{"systemctl stop x; true"}, Undo: []string{"systemctl start x"}, Shell: true,
			Dir: "/srv", Env: map[string]string{"A": "b"},
		},
		{Name: "check", Do: DoGate, Timeout: unit.Duration(time.Minute), Retries: 1},
		{Name: "plain", Exec: []string{"/bin/retraind", "x"}},
	}, "/opt/retraind")
	want := []Step{
		{Name: "export", Do: DoExport, Timeout: 10 * time.Minute, Kind: KindPure},
		{
			Name: "train", Argv: []string{"/opt/retraind", "train", "retraind"}, Undo: []string{"/opt/retraind", "clean"},
			Timeout: time.Hour, Retries: 2, Kind: KindPure, GPU: true,
		},
		{
			Name: "quiesce", Argv: []string{"/bin/sh", "-c", "systemctl stop x; true"},
			Undo: []string{"/bin/sh", "-c", "systemctl start x"}, Dir: "/srv", Env: map[string]string{"A": "b"},
			Timeout: 12 * time.Hour, Kind: KindOnce,
		},
		{Name: "check", Do: DoGate, Timeout: time.Minute, Retries: 1, Kind: KindPure},
		{Name: "plain", Argv: []string{"/bin/retraind", "x"}, Timeout: 12 * time.Hour, Kind: KindOnce},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
