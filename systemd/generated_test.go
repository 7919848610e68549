package systemd_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/retraind/retraind/systemd"
)

var someNeeds = systemd.Needs{
	Units: []string{"classifier.service"}, Writable: []string{"/srv/tuner", "/home/me/api/models"},
	Services: []systemd.ComposeService{
		{Dir: "/home/me/api", Name: "classifier-api"}, {Dir: "/srv/news", Project: "news", Name: "backend"},
	},
}

func TestGenerated(t *testing.T) {
	t.Parallel()
	got := map[string]string{}
	files, err := systemd.Files(systemd.Binary, systemd.State, someNeeds)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if strings.Contains(f.Text, "Made by") {
			got[f.Path] = f.Text
		}
	}
	const made = "Made by `retraind init systemd` from the configuration: make it again when that changes.\n"
	const engine = `# The Docker engine, through a helper that supports only the configured services and the classic builder.
[Unit]
Wants=retraind-docker.socket
After=retraind-docker.socket
[Service]
Environment=DOCKER_HOST=unix:///run/retraind-docker.sock DOCKER_BUILDKIT=0
`
	want := map[string]string{
		"/etc/systemd/system/retraind.service.d/50-configuration.conf": "# " + made +
			`# Directories that the steps write to. They must also let the user retraind write, for example:
#   setfacl -R -m u:retraind:rwX -m d:u:retraind:rwX /srv/tuner
#   setfacl -R -m u:retraind:rwX -m d:u:retraind:rwX /home/me/api/models
[Service]
ReadWritePaths=-/srv/tuner
ReadWritePaths=-/home/me/api/models
` + engine,
		"/etc/systemd/system/retraind-restore.service.d/50-configuration.conf": "# " + made + engine,
		"/etc/systemd/system/retraind-docker.service.d/50-configuration.conf": "# " + made + `[Service]
ExecStart=
ExecStart=/usr/local/bin/retraind docker-helper --user retraind \
    --service classifier-api=/home/me/api \
    --service news/backend=/srv/news
`,
		"/etc/polkit-1/rules.d/49-retraind.rules": "// " + made + `polkit.addRule(function(action, subject) {
  var units = ["classifier.service"];
  var verbs = ["start", "stop", "restart"];
  if (action.id == "org.freedesktop.systemd1.manage-units" && subject.user == "retraind" &&
      units.indexOf(action.lookup("unit")) >= 0 && verbs.indexOf(action.lookup("verb")) >= 0) {
    return polkit.Result.YES;
  }
});
`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestGeneratedRefusesBadPaths(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"srv", "/srv/my files", "/srv/%h", "/x\nUser=root", "/srv/$HOME", `/srv/"x"`} {
		for _, needs := range []systemd.Needs{
			{Writable: []string{bad}}, {Services: []systemd.ComposeService{{Dir: bad, Name: "api"}}},
		} {
			if _, err := systemd.Files(systemd.Binary, systemd.State, needs); err == nil {
				t.Errorf("%q is taken", bad)
			}
		}
	}
}
