package actions

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/retraind/retraind/internal/check"
)

// StepForm is one way to write a step: the key that tells it from the others, and the value of do.
type StepForm struct {
	Key string  // do, exec or pipeline
	Do  Builtin // "" where the key says it all
	New func() StepType
}

// StepForms lists the ways to write a step, in the order in which they are explained.
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

// Do is the built-in step of a name; it is empty where there is none.
func Do(name Builtin) StepConfig {
	for _, f := range StepForms() {
		if f.Do == name && name != "" {
			return StepConfig{f.New()}
		}
	}
	return StepConfig{}
}

// YAMLVariant chooses the kind of a step by what is written. A bare word is a built-in step.
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

// YAMLChosen is the step as the kind that it is.
func (s *StepConfig) YAMLChosen() any { return s.StepType }

// YAMLUnknown says where a key belongs that this kind of step does not have.
func (*StepCommon) YAMLUnknown(key string) string { return belongs(key) }

// YAMLUnknown says where a key belongs that an included pipeline does not have.
func (*IncludeStep) YAMLUnknown(key string) string { return belongs(key) }

// belongs names the kinds of steps that have a key; "" where none has it.
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
		return "make it two steps"
	}
	return "it belongs to " + strings.Join(forms, ", ")
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

// formKeys lists the keys that say what kind a step is.
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
