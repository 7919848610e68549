package actions

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/retraind/retraind/internal/check"
)

// StepForm is one way to write a step: the key that selects its kind, and the value of do.
type StepForm struct {
	Key string  // do, exec or pipeline
	Do  Builtin // "" if the key is sufficient
	New func() StepType
}

// StepForms lists the ways to write a step, in the order of the documentation.
func StepForms() []StepForm {
	return []StepForm{
		{"do", DoLabel, func() StepType { return &LabelStep{Do: DoLabel} }},
		{"do", DoExport, func() StepType { return &ExportStep{Do: DoExport} }},
		{"do", DoPredict, func() StepType { return &PredictStep{Do: DoPredict} }},
		{"do", DoCompose, func() StepType { return &ComposeStep{Do: DoCompose} }},
		{"do", DoUnit, func() StepType { return &UnitStep{Do: DoUnit} }},
		{"do", DoOllama, func() StepType { return &OllamaStep{Do: DoOllama} }},
		{"do", DoCheck, func() StepType { return &CheckStep{Do: DoCheck} }},
		{"do", DoStage, func() StepType { return &StageStep{Do: DoStage} }},
		{"do", DoGate, func() StepType { return &GateStep{Do: DoGate} }},
		{"do", DoRelease, func() StepType { return &ReleaseStep{Do: DoRelease} }},
		{"do", DoDeploy, func() StepType { return &DeployStep{Do: DoDeploy} }},
		{"do", DoVerify, func() StepType { return &VerifyStep{Do: DoVerify} }},
		{"exec", "", func() StepType { return &CommandStep{} }},
		{"pipeline", "", func() StepType { return &IncludeStep{} }},
	}
}

// Do returns the built-in step with the given name; it is empty if there is none.
func Do(name Builtin) StepConfig {
	for _, f := range StepForms() {
		if f.Do == name && name != "" {
			return StepConfig{f.New()}
		}
	}
	return StepConfig{}
}

// YAMLVariant chooses the kind of a step by its keys. A bare word is a built-in step.
func (s *StepConfig) YAMLVariant(word string, keys map[string]string) (any, *check.Problem) {
	if keys == nil {
		if *s = Do(Builtin(word)); s.StepType == nil {
			return nil, unknownStep("", word)
		}
		return nil, nil
	}
	for _, f := range StepForms() {
		if value, written := keys[f.Key]; written && (f.Do == "" || value == string(f.Do)) {
			s.StepType = f.New()
			return s.StepType, nil
		}
	}
	if word, written := keys["do"]; written {
		return nil, unknownStep("do", word)
	}
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		if near := check.Nearest(key, formKeys()); near != "" {
			hint := fmt.Sprintf("did you mean %q?", near)
			return nil, &check.Problem{Path: key, Message: fmt.Sprintf("unknown key %q", key), Hint: hint}
		}
	}
	return nil, &check.Problem{Message: "the step does nothing", Hint: "write do: " + strings.Join(builtins(), "|") + ", exec: [program, argument], or pipeline: NAME"}
}

// YAMLChosen returns the value of the chosen kind.
func (s *StepConfig) YAMLChosen() any { return s.StepType }

// YAMLUnknown returns a hint for a key that this kind of step does not have.
func (*StepCommon) YAMLUnknown(key string) string { return belongs(key) }

// YAMLUnknown returns a hint for a key that an included pipeline does not have.
func (*IncludeStep) YAMLUnknown(key string) string { return belongs(key) }

// belongs returns a hint with the kinds of steps that have a key; "" if none has it.
func belongs(key string) string {
	var forms []string
	for _, f := range StepForms() {
		if !slices.Contains(yamlKeys(reflect.TypeOf(f.New()).Elem()), key) {
			continue
		}
		if f.Do != "" {
			forms = append(forms, "do: "+string(f.Do))
		} else {
			forms = append(forms, f.Key)
		}
	}
	if key == "do" || len(forms) == 0 {
		return ""
	}
	if slices.Contains(formKeys(), key) {
		return "write two steps, each with only one of do, exec and pipeline"
	}
	return "only steps with " + strings.Join(forms, ", ") + " have this key"
}

func yamlKeys(t reflect.Type) (keys []string) {
	for i := range t.NumField() {
		name, inline := strings.CutSuffix(t.Field(i).Tag.Get("yaml"), ",inline")
		if inline {
			keys = append(keys, yamlKeys(t.Field(i).Type)...)
			continue
		}
		keys = append(keys, name)
	}
	return keys
}

func unknownStep(path, word string) *check.Problem {
	hint := "write " + orList(builtins())
	if near := check.Nearest(word, builtins()); near != "" {
		hint = fmt.Sprintf("did you mean %q?", near)
	}
	return &check.Problem{Path: path, Message: fmt.Sprintf("unknown built-in step %q", word), Hint: hint}
}

// builtins lists the names of the built-in steps.
func builtins() (names []string) {
	for _, f := range StepForms() {
		if f.Do != "" {
			names = append(names, string(f.Do))
		}
	}
	return names
}

// formKeys lists the keys that select a step's kind.
func formKeys() (keys []string) {
	for _, f := range StepForms() {
		keys = append(keys, f.Key)
	}
	return slices.Compact(keys)
}

func orList(words []string) string {
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}
