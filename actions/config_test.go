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

// said formats problems as people see them.
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

// A warning about one step does not hide that a required step is missing.
func TestMissingStepBesideAWarning(t *testing.T) {
	t.Parallel()
	train := argv("train", "x")
	train.Env = map[string]string{"A": "${HOME}"}
	p := ValidatePipeline(map[string][]StepConfig{"default": {Do(DoExport), {train}, Do(DoRelease)}}, "default")
	if !p.HasErrors() || !strings.Contains(said(p), "the pipeline lacks gate, verify") {
		t.Error(said(p))
	}
}

func TestPipelineProblems(t *testing.T) {
	t.Parallel()
	train := StepConfig{argv("train", "python", "train.py")}
	export, gate, release, verify := Do(DoExport), Do(DoGate), Do(DoRelease), Do(DoVerify)
	a := func(c CommandStep) StepConfig {
		c.Name = "a"
		return StepConfig{&c}
	}
	var b strings.Builder
	for _, c := range []struct {
		name  string
		steps []StepConfig
	}{
		{"the default", DefaultPipeline(DoRelease)},
		{"everything set", []StepConfig{
			export,
			{&CommandStep{
				StepCommon: StepCommon{Name: "train", Timeout: unit.Duration(time.Hour), Retries: 20},
				Exec:       []string{"train all"}, Undo: []string{"clean"}, Shell: true, Dir: "/srv",
				Env: map[string]string{"A_1": "x"}, Kind: KindPure, GPU: true,
			}},
			gate, release, verify,
		}},
		{"no steps", nil},
		{"an empty step", []StepConfig{{}}},
		{"no name", []StepConfig{export, {argv("", "a")}, {argv("", "b")}}},
		{"bad names", []StepConfig{
			{argv("Train!", "a")}, {argv("../x", "a")}, {argv("undo-train", "a")}, {argv(strings.Repeat("x", 33), "a")},
		}},
		{"twice", []StepConfig{train, train}},
		{"without a proof", []StepConfig{export, train, release}},
		{"the wrong way round", []StepConfig{verify, release, gate, export}},
		{"deploy in place of release", []StepConfig{export, train, gate, Do(DoDeploy), verify}},
		{"both", []StepConfig{export, train, gate, Do(DoDeploy), release, verify}},
		{"nothing that deploys", []StepConfig{export, train, gate, verify}},
		{"deployed too early", []StepConfig{Do(DoDeploy), gate, verify}},
		{"shell with a list", []StepConfig{
			a(CommandStep{Shell: true, Exec: []string{"a", "b"}, Undo: []string{"c", "d"}}),
		}},
		{"numbers", []StepConfig{
			{&CommandStep{StepCommon: StepCommon{Name: "a", Timeout: -1, Retries: -1}, Exec: []string{"a"}}},
			{&CommandStep{StepCommon: StepCommon{Name: "b", Retries: 21}, Exec: []string{"a"}}},
		}},
		{"kinds", []StepConfig{a(CommandStep{Exec: []string{"a"}, Kind: "twice"})}},
		{"variables", []StepConfig{a(CommandStep{
			Exec: []string{"a"}, Env: map[string]string{"1A": "", "A-B": "", "OK_1": "", "": "", "RETRAIND_RUN": "x"},
		})}},
		{"arguments", []StepConfig{
			a(CommandStep{Exec: []string{"a", "b\x00c"}, Undo: []string{""}}), {argv("b", "")}, {argv("c")},
		}},
		{"asked by its image", []StepConfig{export, train, Do(DoPredict), gate, release, verify}},
		{"asked after the gate", []StepConfig{export, train, gate, Do(DoPredict), release, verify}},
		{"asked in two ways", []StepConfig{
			export, train, {&PredictStep{
				Do: DoPredict, URL: "localhost", Exec: []string{"a", "$RETRAIND_ANSWERS"}, Port: 70000,
				Env: map[string]string{"A-B": ""},
			}}, gate, release, verify,
		}},
		{"outside", []StepConfig{
			export, train, gate, release,
			{&ComposeStep{Do: DoCompose, Dir: "/srv/c", Service: "api", Action: ActionUp}},
			{&UnitStep{Do: DoUnit, Unit: "api.service", Action: ActionRestart}},
			{&OllamaStep{Do: DoOllama, Model: "qwen3:32b", Action: OllamaLoad}},
			verify,
		}},
		{"outside, badly", []StepConfig{
			export, train, gate, release,
			{&ComposeStep{Do: DoCompose, Action: "kill", HealthyWithin: -1}},
			{&UnitStep{Do: DoUnit, Unit: "--now", Action: ActionUp}},
			{&OllamaStep{Do: DoOllama, Model: "a b", Action: "stop"}},
			{&OllamaStep{Do: DoOllama, StepCommon: StepCommon{Name: "nothing"}}},
			verify,
		}},
		{"a check of nothing", []StepConfig{Do(DoCheck), gate, release, verify}},
		{"a check", []StepConfig{{&CheckStep{Do: DoCheck, Adapter: "out", GGUF: "$RETRAIND_RELEASE/x.gguf"}}, gate, release, verify}},
	} {
		fmt.Fprintf(&b, "%s\n%s", c.name, said(ValidatePipeline(map[string][]StepConfig{"default": c.steps}, "default")))
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
		Do(DoExport),
		{&CommandStep{
			StepCommon: StepCommon{Name: "train", Retries: 2, Timeout: unit.Duration(time.Hour)},
			Exec:       []string{"retraind", "train", "retraind"}, Undo: []string{"retraind", "clean"}, Kind: KindPure,
			GPU: true,
		}},
		{&CommandStep{
			StepCommon: StepCommon{Name: "quiesce"}, Exec: []string{"systemctl stop x; true"},
			Undo: []string{"systemctl start x"}, Shell: true, Dir: "/srv", Env: map[string]string{"A": "b"},
		}},
		{&GateStep{StepCommon: StepCommon{Name: "check", Timeout: unit.Duration(time.Minute), Retries: 1}}},
		{argv("plain", "/bin/retraind", "x")},
	}, nil, "/opt/retraind")
	want := []Step{
		{Name: "export", Do: DoExport, Timeout: 10 * time.Minute, Kind: KindPure},
		{
			Name: "train", Argv: []string{"/opt/retraind", "train", "retraind"}, Undo: []string{"/opt/retraind", "clean"},
			Fill:    true,
			Timeout: time.Hour, Retries: 2, Kind: KindPure, GPU: true,
		},
		{
			Name: "quiesce", Argv: []string{"/bin/sh", "-c", "systemctl stop x; true"},
			Undo: []string{"/bin/sh", "-c", "systemctl start x"}, Dir: "/srv", Env: map[string]string{"A": "b"},
			Timeout: 12 * time.Hour, Kind: KindOnce,
		},
		{Name: "check", Do: DoGate, Timeout: time.Minute, Retries: 1, Kind: KindPure},
		{Name: "plain", Argv: []string{"/bin/retraind", "x"}, Fill: true, Timeout: 12 * time.Hour, Kind: KindOnce},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
