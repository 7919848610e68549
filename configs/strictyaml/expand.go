package strictyaml

import (
	"os"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

var variable = regexp.MustCompile(`\$\{([A-Za-z_][A-Za-z0-9_]*)\}`)

// expand replaces environment variables in fields with the tag `env:"expand"`. An unset or empty variable is an error,
// since an empty password would be hard to diagnose later. In other fields ${NAME} stays unchanged, with a warning
// unless it may be meant for a shell.
func (d *decoder) expand(n *yaml.Node, path string) (string, bool) {
	text := n.Value
	switch {
	case !strings.Contains(text, "${"):
		return text, true
	case d.takesVariables != path:
		if variable.MatchString(text) && d.field == path {
			d.warn(n, path, "write the value itself", "%s: ${…} is not replaced by an environment variable here", last(path))
		}
		return text, true
	case strings.Count(text, "${") != len(variable.FindAllString(text, -1)):
		d.fail(n, path, "write ${NAME}, with letters, digits and _", "%s: %q has an unfinished variable", last(path),
			cutValue(text))
		return "", false
	}
	ok := true
	filled := variable.ReplaceAllStringFunc(text, func(found string) string {
		name := found[2 : len(found)-1]
		d.doc.variables = append(d.doc.variables, name)
		value, set := os.LookupEnv(name)
		if !set || value == "" {
			d.fail(n, path, "set it for the daemon, for example with Environment= in its systemd unit",
				"%s: the environment variable %s is not set",
				last(path), name)
			ok = false
		}
		return value
	})
	d.doc.expanded[path] = true
	return filled, ok
}
