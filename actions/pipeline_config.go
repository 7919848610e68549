package actions

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/retraind/retraind/actions/progress"
	"github.com/retraind/retraind/internal/check"
)

// DefaultPipeline returns the pipeline that trains the embedded classifier; serve is the step that deploys it.
func DefaultPipeline(serve Builtin) []StepConfig {
	train := &CommandStep{Exec: []string{"retraind", "train"}, Kind: KindPure}
	train.Name = "train"
	return []StepConfig{Do(DoExport), {train}, Do(DoGate), Do(serve), Do(DoVerify)}
}

// undoPrefix is the prefix of an undo command's attempt directories; the rest is the step's name.
const undoPrefix = "undo-"

var stepName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,31}$`)

// ValidatePipeline checks one of a model's pipelines. Faults of an included step are reported only for the pipeline in
// which it is written.
func ValidatePipeline(pipelines map[string][]StepConfig, name string) check.Problems {
	var p check.Problems
	steps := pipelines[name]
	if len(steps) == 0 {
		p.Errorf("", "leave the pipeline out to train the embedded classifier, or list its steps",
			"the pipeline has no steps")
	}
	for i, s := range steps {
		here := check.Index("", i)
		if s.StepType == nil {
			p.Errorf(here, "write do: "+strings.Join(builtins(), "|")+", exec: [program, argument], or pipeline: NAME", "the step does nothing")
			continue
		}
		s.validate(&p, here)
	}
	list, problem := included(pipelines, name)
	if problem != nil {
		return append(p, *problem)
	}
	validateNames(&p, list)
	validateOrder(&p, list)
	warnOfNoWayBack(&p, list)
	return p
}

// warnOfNoWayBack warns of commands without an undo between release and verify: after a failed verification, the
// service would keep the refused release.
func warnOfNoWayBack(p *check.Problems, list []placed) {
	released := false
	for _, s := range list {
		switch s.Builtin() {
		case DoRelease:
			released = true
		case DoVerify:
			released = false
		}
		if command, ok := s.StepType.(*CommandStep); ok && released && len(command.Undo) == 0 {
			p.Warnf(s.at, "add undo: with the command that restores the former release, often the same one",
				"step %q comes after release and has no undo: if the verification fails, its effect remains", s.Title())
		}
	}
}

// validateNames checks that no two steps have the same name.
func validateNames(p *check.Problems, list []placed) {
	seen := map[string]int{}
	for i, s := range list {
		name := s.Title()
		if first, twice := seen[name]; twice && name != "" {
			where := fmt.Sprintf("at place %d", first+1)
			if from := list[first].from; from != s.from {
				where += ", in pipeline " + from
			}
			p.Errorf(s.at+".name", "give each step a different name", "the name %q is already used by the step %s", name, where)
		}
		seen[name] = i
	}
}

// validateOrder checks that all required built-in steps are there, in the right order.
func validateOrder(p *check.Problems, list []placed) {
	at := map[Builtin]int{} // the key "" is the step that deploys the release
	for i, s := range list {
		if _, twice := at[s.Builtin()]; !twice && s.Builtin() != "" {
			at[s.Builtin()] = i
		}
	}
	serve := DoDeploy
	for _, s := range list {
		if !s.Builtin().servesRelease() {
			continue
		}
		if _, first := at[""]; first {
			p.Errorf(s.at, "keep only one of the steps release and deploy", "the pipeline has a second step that deploys the release")
		}
		serve, at[""] = s.Builtin(), 0
	}
	order := []Builtin{DoLabel, DoExport, DoStage, DoPredict, DoGate, serve, DoVerify}
	var missing []string
	for _, need := range order[4:] { // data and answers may come from commands
		if _, ok := at[need]; !ok {
			missing = append(missing, string(need))
		}
	}
	if len(missing) > 0 && !p.HasErrors() {
		p.Errorf("", "add "+strings.Join(missing, " and "),
			"the pipeline lacks %s: its models would never be both deployed and verified", strings.Join(missing, ", "))
	}
	for i, later := range order {
		for _, earlier := range order[:i] {
			a, okA := at[earlier]
			b, okB := at[later]
			if okA && okB && a > b {
				p.Errorf(list[b].at, "put it after "+string(earlier), "%s comes before %s", later, earlier)
			}
		}
	}
}

func (s *StepCommon) validate(p *check.Problems, here string) {
	switch {
	case s.Name != "" && !stepName.MatchString(s.Name):
		p.Errorf(here+".name", "use a-z, 0-9, - and _, at most 32", "%q cannot name a step", s.Name)
	case strings.HasPrefix(s.Name, undoPrefix):
		p.Errorf(here+".name", "choose another name", "%q: names that begin with %s are reserved for undo commands", s.Name,
			undoPrefix)
	}
	if s.Timeout < 0 {
		p.Errorf(here+".timeout", "write a duration such as 2h", "%v is negative", s.Timeout)
	}
	switch {
	case s.Expect < 0:
		p.Errorf(here+".expect", "write a duration such as 40m", "%v is negative", s.Expect)
	case s.Timeout > 0 && s.Expect > s.Timeout:
		p.Errorf(here+".expect", "make timeout longer, or expect shorter",
			"the step is expected to take %s, but is stopped after %s", s.Expect, s.Timeout)
	}
	if s.Retries < 0 || s.Retries > 20 {
		p.Errorf(here+".retries", "write a number from 0 to 20", "%d is not between 0 and 20", s.Retries)
	}
}

func (s *ExportStep) validate(p *check.Problems, here string) {
	s.StepCommon.validate(p, here)
	validatePlace(p, here+".place", s.Place)
	if s.Format != "" && s.Format != FormatJSONL && s.Format != FormatChat {
		p.Errorf(here+".format", "write jsonl or chat", "unknown format %q", string(s.Format))
	}
}

func (s *CommandStep) validate(p *check.Problems, here string) {
	if len(s.Exec) == 0 {
		p.Errorf(here+".exec", "write exec: [program, argument]", "the command is empty")
	}
	if s.Name == "" { // the directory of the command's record has this name
		p.Errorf(here, "add name: with one or two words, such as train", "the command has no name")
	}
	s.StepCommon.validate(p, here)
	for _, name := range slices.Sorted(maps.Keys(s.Env)) {
		if strings.Contains(s.Env[name], "${") {
			p.Warnf(here+".env."+name, "write the value itself, or set the variable in the unit file and let a script read it",
				"%q is passed on literally: variables are not expanded in env", s.Env[name])
		}
	}
	if s.Shell && len(s.Exec) > 1 {
		p.Errorf(here+".exec", "write one string, or leave shell out", "shell: true takes exactly one argument")
	}
	if s.Shell && len(s.Probe) > 1 {
		p.Errorf(here+".probe", "write one string, or leave shell out",
			"shell: true takes exactly one argument, in probe as well")
	}
	if s.Shell && len(s.Undo) > 1 {
		p.Errorf(here+".undo", "write one string, or leave shell out",
			"shell: true takes exactly one argument, in undo as well")
	}
	s.validateKind(p, here)
	if wrong, hint := progress.Check(s.Progress); wrong != "" {
		p.Errorf(here+".progress", hint, "%s", wrong)
	}
	for _, name := range slices.Sorted(maps.Keys(s.Env)) {
		if !envName.MatchString(name) {
			p.Errorf(here+".env."+name, "use letters, digits and _", "%q cannot name a variable", name)
		}
		if strings.HasPrefix(name, "RETRAIND_") { // one of them marks the processes of an attempt
			p.Errorf(here+".env."+name, "choose another name", "variables that begin with RETRAIND_ are set by retraind")
		}
	}
	validateCollect(p, here+".collect", s.Collect)
	validateResult(p, here+".result", s.Result)
	validateArgv(p, here+".exec", s.Exec)
	validateArgv(p, here+".undo", s.Undo)
	validateArgv(p, here+".probe", s.Probe)
	if !s.Shell {
		validateVariables(p, here+".probe", s.Probe)
		validateVariables(p, here+".exec", s.Exec)
		validateVariables(p, here+".undo", s.Undo)
	}
}

// kind returns the step's kind. If none is configured, it is converge for a step with a probe, else once, the safest
// one.
func (s *CommandStep) kind() StepKind {
	if s.Kind == "" && len(s.Probe) > 0 {
		return KindConverge
	}
	return cmp.Or(s.Kind, KindOnce)
}

func (s *CommandStep) validateKind(p *check.Problems, here string) {
	switch kind := s.kind(); {
	case kind != KindPure && kind != KindConverge && kind != KindOnce:
		p.Errorf(here+".kind", "write pure, converge or once", "unknown kind %q", s.Kind)
	case kind == KindConverge && len(s.Probe) == 0:
		p.Errorf(here+".kind", "add probe: with a command that exits with 0 when the step's effect is there",
			"there is no way to check whether the effect of this step is there")
	case kind != KindConverge && len(s.Probe) > 0:
		p.Errorf(here+".probe", "write kind: converge, or leave probe out", "a step of kind %s is never probed", kind)
	}
}

func validateArgv(p *check.Problems, here string, argv []string) {
	for i, a := range argv {
		if strings.ContainsRune(a, 0) {
			p.Errorf(check.Index(here, i), "remove the NUL character", "argument %d has a NUL character", i)
		}
	}
	if len(argv) > 0 && argv[0] == "" {
		p.Errorf(here, "name a program", "the program is empty")
	}
}

var envName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
