package systemd

import (
	"encoding/json"
	"fmt"
	"path"
	"strings"
)

// Needs are the rights that a configuration needs beyond those of the shipped units.
type Needs struct {
	Units    []string // that the daemon starts, stops and restarts; with suffix
	Services []ComposeService
	Writable []string // directories
}

// ComposeService is a service of docker compose; Project is "" if the configuration names none.
type ComposeService struct{ Dir, Project, Name string }

// The socket of the docker helper, as in retraind-docker.socket.
const dockerSocket = "/run/retraind-docker.sock"

const generatedBy = "# Made by `retraind init systemd` from the configuration: make it again when that changes.\n"

// generated returns the files that depend on the configuration.
func (n Needs) generated(binary string) ([]File, error) {
	var daemon, restore, helper strings.Builder
	if len(n.Writable) > 0 {
		daemon.WriteString("# Directories that the steps write to. They must also let the user retraind write, for example:\n")
		for _, dir := range n.Writable {
			if err := unitPath(dir); err != nil {
				return nil, err
			}
			fmt.Fprintf(&daemon, "#   setfacl -R -m u:retraind:rwX -m d:u:retraind:rwX %s\n", dir)
		}
		daemon.WriteString("[Service]\n")
		for _, dir := range n.Writable {
			fmt.Fprintf(&daemon, "ReadWritePaths=-%s\n", dir)
		}
	}
	if len(n.Services) > 0 {
		const engine = "# The Docker engine, by a helper that knows the configured services and the classic builder only.\n" +
			"[Unit]\nWants=retraind-docker.socket\nAfter=retraind-docker.socket\n" +
			"[Service]\nEnvironment=DOCKER_HOST=unix://" + dockerSocket + " DOCKER_BUILDKIT=0\n"
		daemon.WriteString(engine)
		restore.WriteString(engine)
		fmt.Fprintf(&helper, "[Service]\nExecStart=\nExecStart=%s docker-helper --user retraind", binary)
		for _, s := range n.Services {
			if err := unitPath(s.Dir); err != nil {
				return nil, err
			}
			name := s.Name
			if s.Project != "" {
				name = s.Project + "/" + s.Name
			}
			fmt.Fprintf(&helper, " \\\n    --service %s=%s", name, s.Dir)
		}
		helper.WriteString("\n")
	}
	var files []File
	for _, unit := range []struct{ name, text string }{
		{"retraind.service", daemon.String()},
		{"retraind-restore.service", restore.String()},
		{"retraind-docker.service", helper.String()},
	} {
		if unit.text != "" {
			name := unit.name + ".d/50-configuration.conf"
			files = append(files, File{
				Name: name, Path: "/etc/systemd/system/" + name, Text: generatedBy + unit.text, Mode: 0o644,
			})
		}
	}
	if len(n.Units) > 0 {
		text, err := n.polkitRule()
		if err != nil {
			return nil, err
		}
		files = append(files, File{
			Name: "49-retraind.rules", Path: "/etc/polkit-1/rules.d/49-retraind.rules", Text: text, Mode: 0o644,
		})
	}
	return files, nil
}

// polkitRule allows the daemon's user to start, stop and restart exactly the units.
func (n Needs) polkitRule() (string, error) {
	units, err := json.Marshal(n.Units)
	if err != nil {
		return "", fmt.Errorf("polkit rule: %w", err)
	}
	return strings.Replace(generatedBy, "#", "//", 1) + `polkit.addRule(function(action, subject) {
  var units = ` + string(units) + `;
  var verbs = ["start", "stop", "restart"];
  if (action.id == "org.freedesktop.systemd1.manage-units" && subject.user == "retraind" &&
      units.indexOf(action.lookup("unit")) >= 0 && verbs.indexOf(action.lookup("verb")) >= 0) {
    return polkit.Result.YES;
  }
});
`, nil
}

// unitPath refuses a path with characters that are special in a unit file.
func unitPath(p string) error {
	if !path.IsAbs(p) || strings.ContainsAny(p, " \t\n%\"'\\$;") {
		return fmt.Errorf("unit files: %q: want an absolute path without blanks, quotes, percent and dollar signs", p)
	}
	return nil
}
