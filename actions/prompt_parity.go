package actions

import (
	"fmt"
	"os"
	"strings"

	"github.com/retraind/retraind/internal/check"
	"github.com/retraind/retraind/internal/text"
	"github.com/retraind/retraind/serving"
)

// maxParityFile limits the size of a Modelfile or a training script.
const maxParityFile = 4 << 20

// CheckPrompts warns of files that do not contain the system prompt of serving.ollama word for word, and shows the
// first line that differs: a model that is trained with one prompt and deployed with another answers worse.
func CheckPrompts(steps []StepConfig, s serving.Config) (found check.Problems) {
	for i := range steps {
		c, ok := steps[i].StepType.(*CheckStep)
		if !ok || s.Ollama == nil || s.Ollama.System == "" {
			continue
		}
		for n, file := range c.Prompt {
			at := check.Index(check.Index("", i)+".prompt", n)
			path := absolute(c.dir, file)
			info, err := os.Stat(path)
			if err == nil && (!info.Mode().IsRegular() || info.Size() > maxParityFile) {
				err = fmt.Errorf("%s is not a regular file of at most 4 MiB", path)
			}
			var b []byte
			if err == nil {
				b, err = os.ReadFile(path)
			}
			if err != nil {
				found.Warnf(at, "correct the path, or run this check as the daemon's user", "%v", err)
				continue
			}
			if line, other := parity(s.Ollama.System, string(b)); line != "" {
				found.Warnf(at, "use the text of "+s.Ollama.SystemFile+" in both places",
					"%s does not contain the system prompt of serving.ollama: the line %q is missing%s",
					path, text.OneLine(line, 100), other)
			}
		}
	}
	return found
}

// parity returns the first line of a prompt that a file lacks, and the file's line in its place; "" if the file has the
// whole prompt. Indentation and trailing blanks are ignored.
func parity(prompt, file string) (line, other string) {
	want, have := strings.Split(strings.TrimSpace(prompt), "\n"), strings.Split(file, "\n")
	best, at := -1, 0
	for from := range have {
		if !strings.Contains(have[from], strings.TrimSpace(want[0])) {
			continue
		}
		n := 1
		for n < len(want) && from+n < len(have) && holds(have[from+n], want[n]) {
			n++
		}
		if n == len(want) {
			return "", ""
		}
		if n > best {
			best, at = n, from
		}
	}
	if best < 0 {
		return want[0], ""
	}
	for best < len(want)-1 && strings.TrimSpace(want[best]) == "" { // the line after an empty one is more informative
		best++
	}
	switch {
	case at+best < len(have):
		return want[best], fmt.Sprintf("; the file has %q in its place", text.OneLine(strings.TrimSpace(have[at+best]), 100))
	}
	return want[best], "; the file ends before it"
}

// holds reports whether a line of a file equals a line of the prompt, or starts with it: a closing quote may follow.
func holds(have, want string) bool {
	want = strings.TrimSpace(want)
	if want == "" {
		return strings.TrimSpace(have) == ""
	}
	return strings.HasPrefix(strings.TrimSpace(have), want)
}
