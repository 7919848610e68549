package actions

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/retraind/retraind/serving"
)

func TestPromptParity(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const prompt = "You classify texts.\n\nAnswer with relevant or not."
	for name, c := range map[string]struct{ file, says string }{
		"Modelfile":   {"FROM x\nSYSTEM \"\"\"" + prompt + "\"\"\"\nPARAMETER temperature 0\n", ""},
		"train.py":    {"SYSTEM = '''You classify texts.\n\n    Answer with relevant or not.'''\n", ""},
		"other.py":    {"SYSTEM = '''You classify texts.\n\nAnswer with yes or no.'''\n", `the line "Answer with relevant or not." is missing; the file has "Answer with yes or no.'''" in its place`},
		"none.py":     {"print(1)\n", `the line "You classify texts." is missing`},
		"cut.py":      {"SYSTEM = '''You classify texts.", "; the file ends before it"},
		"missing/at!": {"", "no such file"},
	} {
		if !strings.HasPrefix(name, "missing") {
			writeText(t, filepath.Join(dir, name), c.file)
		}
		step := &CheckStep{Do: DoCheck, Prompt: []string{name}, dir: dir}
		found := CheckPrompts([]StepConfig{{step}}, serving.Config{Ollama: &serving.OllamaConfig{System: prompt}})
		if c.says == "" && len(found) > 0 || c.says != "" && (len(found) != 1 || !strings.Contains(found[0].Message, c.says)) {
			t.Errorf("%s: %v", name, found)
		}
	}
}
