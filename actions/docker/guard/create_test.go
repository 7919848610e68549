package guard_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// same returns compose's request to recreate the container with the same rights.
func same(t *testing.T) map[string]any {
	t.Helper()
	const text = `{"Image": "suite-api", "Env": ["A=b"], "Labels": {"com.docker.compose.project": "suite",
			"com.docker.compose.service": "api", "com.docker.compose.project.working_dir": "/srv/suite"},
		"HostConfig": {"Binds": ["data:/data:rw", "/srv/models:/models:ro", "0123:/cache:rw"], "NetworkMode": "suite_default",
			"Privileged": false, "CapDrop": ["ALL"], "Links": [], "ShmSize": null, "LogConfig": {"Type": "journald"},
			"PortBindings": {"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8082"}]}},
		"NetworkingConfig": {"EndpointsConfig": {"suite_default": {"Aliases": ["api"]}}}}`
	var body map[string]any
	if err := json.Unmarshal([]byte(text), &body); err != nil {
		t.Fatal(err)
	}
	return body
}

func TestSameContainer(t *testing.T) {
	t.Parallel()
	w, e := recorded(t)
	body, err := json.Marshal(same(t))
	if err != nil {
		t.Fatal(err)
	}
	if status, said := w.send(http.MethodPost, "/v1.41/containers/create?name=x", string(body)); status != http.StatusOK {
		t.Fatalf("%d %s", status, said)
	}
	if got := e.take(); !strings.HasPrefix(got, "POST /v1.41/containers/create?name=x application/json {") {
		t.Errorf("the engine got %s", got)
	}
}

// A container may be without protected paths if the present one is (security_opt: systempaths=unconfined).
func TestWithoutProtectedPaths(t *testing.T) {
	t.Parallel()
	w, e := recorded(t)
	e.present = strings.Replace(present, `["/proc/kcore"]`, `[]`, 1)
	body := same(t)
	for range 2 {
		text, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		if status, said := w.send(http.MethodPost, "/v1.41/containers/create", string(text)); status != http.StatusOK {
			t.Errorf("%d %s", status, said)
		}
		body["HostConfig"].(map[string]any)["MaskedPaths"] = []any{}
	}
}

// A one-off container of `docker compose run` publishes a free port of 127.0.0.1.
func TestContainerBeside(t *testing.T) {
	t.Parallel()
	w, e := recorded(t)
	for ports, want := range map[string]int{
		`null`: http.StatusOK,
		`{"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]}`:     http.StatusOK,
		`{"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8082"}]}`: http.StatusForbidden,
		`{"8080/tcp": [{"HostIp": "0.0.0.0", "HostPort": ""}]}`:       http.StatusForbidden,
		`{"8080/tcp": [{"HostPort": "22"}]}`:                          http.StatusForbidden,
		`{"8080/tcp": "22"}`:                                          http.StatusForbidden,
		`{"8080/tcp": [{}]}`:                                          http.StatusForbidden, // a free port of every address
		`{"8080/tcp": [null]}`:                                        http.StatusForbidden,
		`{"8080/tcp": [{"HostIp": "", "HostPort": ""}]}`:              http.StatusForbidden,
		`{"8080/tcp": []}`:                                            http.StatusOK,
	} {
		body := same(t)
		body["Labels"].(map[string]any)["com.docker.compose.oneoff"] = "True"
		body["HostConfig"].(map[string]any)["PortBindings"] = json.RawMessage(ports)
		body["HostConfig"].(map[string]any)["Links"] = []any{"c1:api"}
		text, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		if status, said := w.send(http.MethodPost, "/v1.41/containers/create", string(text)); status != want {
			t.Errorf("%s: %d %s", ports, status, said)
		}
		e.take()
	}
}

// A container that would have more rights than the present one is refused.
func TestMoreRights(t *testing.T) {
	t.Parallel()
	w, e := recorded(t)
	host := func(key string, value any) func(map[string]any) {
		return func(m map[string]any) { m["HostConfig"].(map[string]any)[key] = value }
	}
	ports := func(more any) map[string]any { // those of the present container, and one more
		return map[string]any{
			"8080/tcp": []any{map[string]any{"HostIp": "127.0.0.1", "HostPort": "8082"}}, "22/tcp": []any{more},
		}
	}
	volumeWithOptions := map[string]any{
		"Type": "volume", "Source": "0123", "Target": "/cache", "VolumeOptions": map[string]any{"DriverConfig": 1},
	}
	of := func(project, service, dir string) func(map[string]any) {
		return func(m map[string]any) {
			m["Labels"] = map[string]any{
				"com.docker.compose.project": project, "com.docker.compose.service": service,
				"com.docker.compose.project.working_dir": dir,
			}
		}
	}
	top := func(key string, value any) func(map[string]any) { return func(m map[string]any) { m[key] = value } }
	for what, change := range map[string]func(map[string]any){
		"privileged":      host("Privileged", true),
		"other case":      host("privileged", true),
		"second object":   top("hostconfig", map[string]any{"Privileged": true}),
		"capability":      host("CapAdd", []any{"SYS_ADMIN"}),
		"no dropped":      host("CapDrop", nil),
		"device":          host("Devices", []any{map[string]any{"PathOnHost": "/dev/sda", "CgroupPermissions": "rwm"}}),
		"gpu of CDI":      host("Annotations", map[string]any{"cdi.k8s.io/x": "nvidia.com/gpu=all"}),
		"gpu":             host("DeviceRequests", []any{map[string]any{"Count": -1}}),
		"bind":            host("Binds", []any{"/:/host", "data:/data:rw", "/srv/models:/models:ro"}),
		"writable":        host("Binds", []any{"data:/data:rw", "/srv/models:/models:rw"}),
		"elsewhere":       host("Binds", []any{"data:/data:rw", "/srv/models:/models:ro", "0123:/etc:rw"}),
		"other volume":    host("Binds", []any{"data:/data:rw", "/srv/models:/models:ro", "secrets:/cache:rw"}),
		"fewer binds":     host("Binds", []any{"data:/data:rw"}),
		"binds as text":   host("Binds", "/:/host"),
		"mount":           host("Mounts", []any{map[string]any{"Type": "bind", "Source": "/", "Target": "/host"}}),
		"volume options":  host("Mounts", []any{volumeWithOptions}),
		"volumes from":    host("VolumesFrom", []any{"other"}),
		"host network":    host("NetworkMode", "host"),
		"other's network": host("NetworkMode", "container:other"),
		"host pids":       host("PidMode", "host"),
		"host ipc":        host("IpcMode", "host"),
		"host users":      host("UsernsMode", "host"),
		"host uts":        host("UTSMode", "host"),
		"cgroup":          host("CgroupParent", "/"),
		"unconfined":      host("SecurityOpt", []any{"seccomp=unconfined"}),
		"nothing masked":  host("MaskedPaths", []any{"/nothing"}),
		"no masked path":  host("MaskedPaths", []any{}),
		"all writable":    host("ReadonlyPaths", []any{}),
		"nothing, folded": host("maskedpaths", []any{}),
		"runtime":         host("Runtime", "other"),
		"sysctl":          host("Sysctls", map[string]any{"net.ipv4.ip_forward": "1"}),
		"group":           host("GroupAdd", []any{"docker"}),
		"port":            host("PortBindings", map[string]any{"22/tcp": []any{map[string]any{"HostPort": "22"}}}),
		"free port":       host("PortBindings", ports(map[string]any{})),
		"free port, null": host("PortBindings", ports(nil)),
		"all ports":       host("PublishAllPorts", true),
		"unknown right":   host("NewRight", true),
		"no object":       top("HostConfig", "x"),
		"network":         top("NetworkingConfig", map[string]any{"EndpointsConfig": map[string]any{"other": nil}}),
		"unknown key":     top("Rights", "all"),
		"image":           top("Image", "other"),
		"path as image":   top("Image", "../containers/c1"),
		"no labels":       top("Labels", nil),
		"another service": of("suite", "db", "/srv/suite"),
		"another project": of("x", "api", "/srv/suite"),
		"another place":   of("suite", "api", "/home/eve"),
		"link":            host("Links", []any{"other:db"}),
		"link of a run": func(m map[string]any) {
			m["Labels"].(map[string]any)["com.docker.compose.oneoff"] = "True"
			host("PortBindings", nil)(m)
			host("Links", []any{"other:db"})(m)
		},
		"of a run, with x": func(m map[string]any) {
			m["Labels"].(map[string]any)["com.docker.compose.oneoff"] = "True"
			host("CapAdd", []any{"ALL"})(m)
		},
	} {
		body := same(t)
		change(body)
		text, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		status, said := w.send(http.MethodPost, "/v1.41/containers/create", string(text))
		if got := e.take(); status != http.StatusForbidden && status != http.StatusNotFound || got != "" {
			t.Errorf("%s: %d %s; the engine got %s", what, status, said, got)
		}
	}
	for _, text := range []string{"", "[]", "{", `"x"`, strings.Repeat(" ", 1<<20) + "{}"} {
		status, said := w.send(http.MethodPost, "/v1.41/containers/create", text)
		if status != http.StatusForbidden || e.take() != "" {
			t.Errorf("%.10q: %d %s", text, status, said)
		}
	}
}
