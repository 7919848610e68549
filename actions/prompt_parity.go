package actions

import (
	"fmt"
	"os"
	"strings"

	"github.com/retraind/retraind/internal/check"
	"github.com/retraind/retraind/internal/text"
	"github.com/retraind/retraind/serving"
)

// maxParityFile bounds a Modelfile or a training script.
const maxParityFile = 4 << 20

// CheckPrompts warns of files in which the system prompt of serving.ollama does not stand word by word, and shows the
// first line that differs: a model that is trained with one prompt and served with another answers worse.
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
				err = fmt.Errorf("%s is no text file", path)
			}
			var b []byte
			if err == nil {
				b, err = os.ReadFile(path)
			}
			if err != nil {
				found.Warnf(at, "correct it, or look at what the daemon's user sees", "%v", err)
				continue
			}
			if line, other := parity(s.Ollama.System, string(b)); line != "" {
				found.Warnf(at, "let both come from "+s.Ollama.SystemFile,
					"%s has another system prompt: it lacks %q%s", path, text.OneLine(line, 100), other)
			}
		}
	}
	return found
}

// parity is the first line of a prompt that a file does not have in its place, and what stands there; "" where the file has
// all of it. Blanks at the ends of lines do not count, nor do those before them: scripts indent.
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
	for best < len(want)-1 && strings.TrimSpace(want[best]) == "" { // what follows an empty line says more
		best++
	}
	switch {
	case at+best < len(have):
		return want[best], fmt.Sprintf(", and has %q there", text.OneLine(strings.TrimSpace(have[at+best]), 100))
	}
	return want[best], ", and ends there"
}

// holds says whether a line of a file has a line of the prompt; the file may go on behind it, with a quote.
func holds(have, want string) bool {
	want = strings.TrimSpace(want)
	if want == "" {
		return strings.TrimSpace(have) == ""
	}
	return strings.HasPrefix(strings.TrimSpace(have), want)
}
