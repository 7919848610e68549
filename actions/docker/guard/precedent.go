package guard

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/retraind/retraind/internal/durable"
)

// precedent records the rights that a service's container had when it was last inspected.
type precedent struct {
	Project  string
	Image    string         // id of the image
	Named    string         // name of the image that compose created the container from
	Rights   map[string]any // its HostConfig, by keys in lower case
	Networks []string
	Volumes  map[string]string // names of volumes by destination
}

func precedentOf(c inspected) *precedent {
	p := &precedent{
		Project: c.Config.Labels[labelProject], Image: c.Image, Named: c.Config.Image, Rights: rights(c.HostConfig),
		Networks: slices.Sorted(maps.Keys(c.NetworkSettings.Networks)), Volumes: map[string]string{},
	}
	for _, m := range c.Mounts {
		if m.Type == "volume" {
			p.Volumes[m.Destination] = m.Name
		}
	}
	return p
}

// allows returns an error if the rights of a new container would differ from those of the precedent.
func (p *precedent) allows(labels map[string]string, body map[string]any) error {
	if project := labels[labelProject]; project != p.Project {
		return fmt.Errorf("its project is %q, not %q", project, p.Project)
	}
	wanted := map[string]any{}
	if given := body["HostConfig"]; given != nil {
		m, ok := given.(map[string]any)
		if !ok {
			return errors.New("HostConfig is not an object")
		}
		if err := spelledOnce(m); err != nil {
			return err
		}
		wanted = rights(m)
	}
	if err := p.mounts(wanted); err != nil {
		return err
	}
	has := maps.Clone(p.Rights)
	for _, key := range []string{"binds", "mounts"} {
		delete(wanted, key)
		delete(has, key)
	}
	for key, byDefault := range engineDefaults {
		if _, given := wanted[key]; !given && (byDefault == nil || slices.Contains(byDefault, fmt.Sprint(has[key]))) {
			delete(has, key)
		}
	}
	if oneOff(labels) { // it runs beside the service, with free ports of 127.0.0.1
		if !onLoopback(wanted["portbindings"]) {
			return errors.New("an additional container of the service may publish only free ports of 127.0.0.1")
		}
		for _, key := range []string{"portbindings", "links"} { // the method links of request checks the links
			delete(has, key)
			delete(wanted, key)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(merged(wanted, has))) {
		if !reflect.DeepEqual(wanted[key], has[key]) {
			return fmt.Errorf("its %s is %s, but in the present container %s", key, shown(wanted[key]), shown(has[key]))
		}
	}
	return p.networks(body)
}

// onLoopback reports whether a container publishes only free ports of 127.0.0.1, or none.
func onLoopback(ports any) bool {
	m, ok := ports.(map[string]any)
	for _, bound := range m {
		list, isList := bound.([]any)
		ok = ok && isList
		for _, b := range list {
			to, isObject := b.(map[string]any)
			ok = ok && isObject && len(to) == 1 && to["HostIp"] == "127.0.0.1"
		}
	}
	return ok || ports == nil
}

// engineDefaults are the values that the engine fills in for missing keys; nil means any value.
var engineDefaults = map[string][]string{
	"shmsize": {"67108864"}, "runtime": {"runc", "io.containerd.runc.v2"}, "ipcmode": {"private", "shareable"},
	"cgroupnsmode": {"private", "host"}, "networkmode": {"default", "bridge"}, "maskedpaths": nil, "readonlypaths": nil,
}

// rightless are keys of a HostConfig that give no rights on the host.
var rightless = []string{"logconfig", "consolesize", "restartpolicy", "autoremove"}

// rights returns the settings of a HostConfig that give rights on the host and are not empty, by keys in lower case.
func rights(config map[string]any) map[string]any {
	out := map[string]any{}
	for key, value := range config {
		fold := strings.ToLower(key)
		kept := withoutEmpty(value)
		switch list, isList := value.([]any); {
		case slices.Contains(rightless, fold):
			continue
		case isList && (fold == "maskedpaths" || fold == "readonlypaths"):
			kept = list // even an empty list: it removes the engine's protection of /proc and /sys
		case fold == "portbindings":
			kept = bindings(value)
		}
		if kept != nil {
			out[fold] = kept
		}
	}
	return out
}

// bindings returns the published ports of a HostConfig. It keeps a binding without values, which publishes the port at
// a free port of every address.
func bindings(ports any) any {
	m, ok := ports.(map[string]any)
	if !ok {
		return withoutEmpty(ports)
	}
	out := map[string]any{}
	for port, bound := range m {
		list, ok := bound.([]any)
		if !ok {
			if kept := withoutEmpty(bound); kept != nil {
				out[port] = kept
			}
			continue
		}
		kept := make([]any, 0, len(list))
		for _, b := range list {
			if b = withoutEmpty(b); b == nil {
				b = map[string]any{}
			}
			kept = append(kept, b)
		}
		if len(kept) > 0 {
			out[port] = kept
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

// mounts returns an error unless the new container has the binds and mounts of the present one. A volume of the present
// container may also be mounted by its name.
func (p *precedent) mounts(wanted map[string]any) error {
	has := map[string]bool{}
	for _, key := range []string{"binds", "mounts"} {
		list, _ := p.Rights[key].([]any)
		for _, m := range list {
			has[key+shown(m)] = true
		}
	}
	missing := maps.Clone(has)
	for _, key := range []string{"binds", "mounts"} {
		given, ok := wanted[key].([]any)
		if wanted[key] != nil && !ok {
			return fmt.Errorf("its %s is not a list", key)
		}
		for _, m := range given {
			delete(missing, key+shown(m))
			if !has[key+shown(m)] && !p.volume(m) {
				return fmt.Errorf("it mounts %s, which the present container does not", shown(m))
			}
		}
	}
	for m := range missing {
		return fmt.Errorf("it does not mount %s, which the present container does", strings.TrimLeft(m, "bindsmout"))
	}
	return nil
}

// volume reports whether a mount is a volume that the present container mounts at the same destination.
func (p *precedent) volume(mount any) bool {
	if text, ok := mount.(string); ok { // NAME:DESTINATION[:MODE]
		parts := strings.Split(text, ":")
		return len(parts) >= 2 && len(parts) <= 3 && parts[0] != "" && p.Volumes[parts[1]] == parts[0]
	}
	m, ok := mount.(map[string]any)
	if !ok || spelledOnce(m) != nil {
		return false
	}
	for key := range m {
		if !slices.Contains([]string{"Type", "Source", "Target", "ReadOnly"}, key) {
			return false
		}
	}
	source, _ := m["Source"].(string)
	target, _ := m["Target"].(string)
	return m["Type"] == "volume" && source != "" && p.Volumes[target] == source
}

// networks returns an error if a new container would be in a network that the present one is not in.
func (p *precedent) networks(body map[string]any) error {
	config, _ := body["NetworkingConfig"].(map[string]any)
	if body["NetworkingConfig"] != nil && config == nil {
		return errors.New("NetworkingConfig is not an object")
	}
	for key, value := range config {
		networks, ok := value.(map[string]any)
		if key != "EndpointsConfig" || !ok && value != nil {
			return fmt.Errorf("key %q of NetworkingConfig is not known", key)
		}
		for network := range networks {
			if !slices.Contains(p.Networks, network) {
				return fmt.Errorf("the present container is not in network %s", network)
			}
		}
	}
	return nil
}

// remember records the rights of a service in memory and on disk: they are needed when its container is removed, even
// after this process has restarted.
func (g *Guard) remember(s Service, p *precedent) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if old := g.seen[s]; old != nil && reflect.DeepEqual(old, p) && !g.unsaved[s] {
		return
	}
	g.seen[s] = p
	if g.config.State == "" {
		return
	}
	text, err := json.Marshal(p)
	if err == nil {
		err = durable.WriteFile(g.file(s), text, 0o600)
	}
	if err != nil && !g.unsaved[s] {
		g.config.Log.Warn("the rights of the service could not be stored", "service", s.Name, "err", err)
	}
	g.unsaved[s] = err != nil
}

// remembered returns the recorded rights of a service, nil if there are none.
func (g *Guard) remembered(s Service) *precedent {
	g.mu.Lock()
	defer g.mu.Unlock()
	if p := g.seen[s]; p != nil || g.config.State == "" {
		return p
	}
	text, err := os.ReadFile(g.file(s))
	if err != nil {
		return nil
	}
	var p precedent
	if err := decode(text, &p); err != nil {
		g.config.Log.Warn("the recorded rights of the service cannot be read", "service", s.Name, "err", err)
		return nil
	}
	g.seen[s] = &p
	return &p
}

func (g *Guard) file(s Service) string {
	key := s.Dir + "\x00" + s.Name
	if s.Project != "" {
		key += "\x00" + s.Project
	}
	sum := sha256.Sum256([]byte(key))
	return filepath.Join(g.config.State, hex.EncodeToString(sum[:8])+".json")
}

func merged(a, b map[string]any) map[string]any {
	out := maps.Clone(a)
	maps.Copy(out, b)
	return out
}

// shown returns a value as JSON.
func shown(v any) string {
	if v == nil {
		return "not set"
	}
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(text)
}

func empty(v any) bool { return withoutEmpty(v) == nil }

// withoutEmpty removes values that mean the same as a missing key: null, false, 0, "", and lists and objects that
// contain nothing else. It returns nil if nothing is left.
func withoutEmpty(v any) any {
	switch v := v.(type) {
	case bool:
		if !v {
			return nil
		}
	case string:
		if v == "" {
			return nil
		}
	case json.Number:
		if n, err := v.Float64(); err == nil && n == 0 {
			return nil
		}
	case []any:
		out := make([]any, 0, len(v))
		for _, e := range v {
			if kept := withoutEmpty(e); kept != nil {
				out = append(out, kept)
			}
		}
		if len(out) == 0 {
			return nil
		}
		return out
	case map[string]any:
		out := map[string]any{}
		for key, e := range v {
			if kept := withoutEmpty(e); kept != nil {
				out[key] = kept
			}
		}
		if len(out) == 0 {
			return nil
		}
		return out
	}
	return v
}
