package actions

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/retraind/retraind/internal/check"
)

// variables lists the run's variables that the arguments of a command may use. The command's environment has them too.
var variables = []string{
	"RETRAIND_ATTEMPT", "RETRAIND_CHAMPION", "RETRAIND_CHAMPION_DIR", "RETRAIND_CURRENT", "RETRAIND_DATA_DIR", "RETRAIND_IDEMPOTENCY_KEY",
	"RETRAIND_MODEL", "RETRAIND_MODEL_DIR", "RETRAIND_ORIGIN", "RETRAIND_PIPELINE", "RETRAIND_PREDICTIONS", "RETRAIND_PROGRESS",
	"RETRAIND_RELEASE_DIR", "RETRAIND_RUN", "RETRAIND_STEP", "RETRAIND_TARGET", "RETRAIND_UNDO", "RETRAIND_WORK_DIR",
}

var variable = regexp.MustCompile(`\$?\$RETRAIND_[A-Za-z0-9_]*`)

// fill replaces the run's variables in the arguments of a command, and nothing else: $RETRAIND_RUN by its value, and
// $$RETRAIND_RUN by the text $RETRAIND_RUN. A variable that is not set, such as RETRAIND_UNDO, is empty.
func fill(argv []string, values map[string]string) []string {
	out := make([]string, len(argv))
	for i, a := range argv {
		out[i] = variable.ReplaceAllStringFunc(a, func(found string) string {
			if strings.HasPrefix(found, "$$") {
				return found[1:]
			}
			return values[found[1:]]
		})
	}
	return out
}

// validateVariables refuses unknown variables: a misspelt one would become an empty argument.
func validateVariables(p *check.Problems, here string, argv []string) {
	for i, a := range argv {
		validateVariable(p, check.Index(here, i), a)
	}
}

// validateVariable checks one text.
func validateVariable(p *check.Problems, at, text string) {
	for _, found := range variable.FindAllString(text, -1) {
		name := found[1:]
		if strings.HasPrefix(found, "$$") || slices.Contains(variables, name) {
			continue
		}
		hint := "write $$" + name + " to pass this text literally"
		if near := check.Nearest(name, variables); near != "" {
			hint = fmt.Sprintf("did you mean $%s?", near)
		}
		p.Errorf(at, hint, "unknown variable $%s", name)
	}
}
