package configs

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/retraind/retraind/actions"
	"github.com/retraind/retraind/configs/strictyaml"
	"github.com/retraind/retraind/internal/check"
	"github.com/retraind/retraind/internal/text"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/serving"
	"github.com/retraind/retraind/serving/ollama"
	"github.com/retraind/retraind/watch/postgres"
)

// broken lists the parts of a file that could not be decoded: they are not validated, since their values are
// incomplete.
type broken []string

func newBroken(found strictyaml.Problems) broken {
	var b broken
	for _, p := range found {
		if p.Warning {
			continue
		}
		b = append(b, p.Path)
		if strings.HasPrefix(p.Message, "unknown key") { // a section may be missing because its name is misspelt
			b = append(b, p.Path[:max(0, strings.LastIndexByte(p.Path, '.'))])
		}
	}
	return b
}

// has reports whether something at, below or above a path could not be decoded.
func (b broken) has(path string) bool {
	return slices.ContainsFunc(b, func(bad string) bool { return within(bad, path) || within(path, bad) })
}

// within reports whether a path equals the path `above` or is below it. If `above` is "", the whole file, nothing
// counts as below it.
func within(path, above string) bool {
	if rest, ok := strings.CutPrefix(path, above); ok && above != "" {
		return rest == "" || rest[0] == '.' || rest[0] == '['
	}
	return path == above
}

// validate validates the parts that could be decoded.
func (f *File) validate(b broken) check.Problems {
	var p check.Problems
	if !b.has("version") {
		switch f.Version {
		case 1:
		case 0:
			if !b.has("") {
				p.Errorf("version", "write version: 1 at the top", "the format version is missing")
			}
		default:
			p.Errorf("version", "write version: 1", "unknown version %d", f.Version)
		}
	}
	loc, err := time.LoadLocation(f.Timezone)
	if err != nil || f.Timezone == "Local" {
		p.Errorf("timezone", zoneHint(f.Timezone), "unknown time zone %q", f.Timezone)
		loc = time.UTC
	}
	f.loc = loc
	if strings.Contains(f.State, "://") {
		p.Errorf("state", "give a directory on a local disk, such as "+defaultState,
			"the state must be a directory: this version does not support a database")
	}
	if err := checkListen(f.Listen); err != nil {
		p.Errorf("listen", "write a loopback address such as 127.0.0.1:7420, or off; to reach the page from other hosts, put a proxy with a login in front of it",
			"%v", err)
	}
	if !b.has("nats") {
		p.Under("nats", f.NATS.Validate())
	}
	if f.Ollama != nil && !b.has("ollama") {
		if _, err := ollama.New(f.Ollama.URL); err != nil {
			p.Errorf("ollama.url", "for example http://127.0.0.1:11434", "%q is not an http or https URL", text.URL(f.Ollama.URL))
		}
	}
	if len(f.Models) == 0 && !b.has("models") && !b.has("") {
		p.Errorf("models", "add an entry; `retraind init` writes a commented example", "no model is configured")
	}
	names := f.Names()
	for i, c := range f.checkModels(names, b) {
		p = append(p, c.found...)
		maps.Copy(f.files, c.files)
		f.missing = append(f.missing, c.missing...)
		if c.policy != nil {
			f.policies[f.Models[names[i]]] = c.policy
		}
	}
	return p
}

// checked is the result of checking one model.
type checked struct {
	found  check.Problems
	policy *policy.Policy
	files  map[string]string // that the model names
	// missing are files that do not exist: they cannot be checked from the text alone.
	missing check.Problems
}

// checkModels checks models in parallel, since a thousand take some time.
func (f *File) checkModels(names []string, b broken) []checked {
	all := make([]checked, len(names))
	var next atomic.Int64
	var group sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(names)) {
		group.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(names); i = int(next.Add(1)) - 1 {
				all[i].model(f, names[i], b)
			}
		})
	}
	group.Wait()
	return all
}

func (c *checked) model(f *File, name string, b broken) {
	p := &c.found
	here, m := "models."+name, f.Models[name]
	if !modelName.MatchString(name) {
		p.Errorf(here, "use at most 32 characters: a-z, 0-9, - and _", "%q is not a valid model name", name)
	}
	if name == "_daemon" {
		p.Errorf(here, "choose another name", "%q is reserved: events use it for the daemon itself", name)
	}
	unread := func(section string) bool { return b.has(here+"."+section) || slices.Contains(b, here) }
	if o := m.Serving.Ollama; o != nil && !unread("serving") {
		found, missing := o.Load(func(path string) ([]byte, error) {
			text, err := os.ReadFile(path)
			c.named(path, text)
			return text, err
		})
		p.Under(here+".serving.ollama", found)
		c.missing.Under(here+".serving.ollama", missing)
	}
	if !unread("pipeline") {
		c.teachers(m, here)
	}
	p.Under(here, m.validate(unread))
	p.Under(here, c.compile(f, m, unread))
	if m.Shadow != nil && !unread("shadow") {
		p.Under(here+".shadow", f.validateShadow(m, c.named))
	}
}

// teachers reads the files that steps of the kind `label` name, and validates these steps.
func (c *checked) teachers(m *Model, here string) {
	for _, name := range slices.Sorted(maps.Keys(m.Pipeline)) {
		for i, step := range m.Pipeline[name] {
			l := step.Label()
			if l == nil {
				continue
			}
			at := here + "." + check.Index("pipeline."+name, i)
			found, missing := l.Load(func(path string) ([]byte, error) {
				text, err := os.ReadFile(path)
				c.named(path, text)
				return text, err
			})
			c.found.Under(at, found)
			c.missing.Under(at, missing)
			c.found.Under(at, l.OllamaConfig.Validate(m.Serving.Targets))
			c.found.Under(at+".write", m.writes(l.Write))
		}
	}
}

// writes finds faults of the statement with which a step of the kind `label` writes into the table.
func (m *Model) writes(w *actions.LabelWrite) check.Problems {
	var p check.Problems
	switch {
	case w == nil || w.Statement == "":
	case m.Labels.Postgres == nil:
		p.Errorf("", "remove write", "the model has no table to write to: labels.postgres is not set")
	default:
		if err := postgres.CheckStatement(w.Statement, actions.LabelParams(m.Serving.List())); err != nil {
			p.Errorf("statement", "for example: update public.items set category = @label where id = @id", "%v", err)
		}
	}
	return p
}

func (m *Model) validate(unread func(section string) bool) check.Problems {
	var p check.Problems
	section := func(name string, validate func() check.Problems) {
		if !unread(name) {
			p.Under(name, validate())
		}
	}
	section("labels", m.Labels.Validate)
	section("heldout", m.Heldout.Validate)
	section("serving", m.Serving.Validate)
	section("promote", m.Promote.Validate)
	section("retention", m.Retention.Validate)
	if !unread("promote") && !unread("serving") {
		m.validateFloors(&p)
	}
	if !unread("promote") && !unread("pipeline") {
		m.validateFigures(&p)
	}
	if m.GPU != nil {
		section("gpu", m.GPU.Validate)
	}
	if !unread("pipeline") && !unread("retrain_when") && !unread("urgent_when") {
		m.validateAsked(&p)
	}
	if m.Deploy != nil {
		section("deploy", m.Deploy.Validate)
	}
	if !unread("pipeline") {
		m.validatePipeline(&p, unread("gpu"))
	}
	if !unread("labels") && !unread("serving") && !unread("heldout") {
		m.validateColumns(&p)
	}
	return p
}

// validateFloors checks that promote.targets names targets that do not gate.
func (m *Model) validateFloors(p *check.Problems) {
	targets := m.Serving.List()
	var others []string
	for _, t := range targets[1:] {
		others = append(others, t.Name)
	}
	for _, name := range slices.Sorted(maps.Keys(m.Promote.Targets)) {
		path := "promote.targets." + name
		switch {
		case name == targets[0].Name:
			p.Errorf(path, "set promote.margin instead", "the gate compares target %q: its margin is not set here", name)
		case !slices.Contains(others, name):
			hint := "remove it: serving.targets has no target besides the one that the gate compares"
			if len(others) > 0 {
				hint = "name one of the other targets in serving.targets: " + strings.Join(others, ", ")
			}
			p.Errorf(path, hint, "no target is called %q", name)
		}
	}
}

// validateFigures checks that each pipeline has a command that writes figures, if promote.figures names some.
func (m *Model) validateFigures(p *check.Problems) {
	if len(m.Promote.Figures) == 0 {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(m.Pipeline)) {
		steps := m.Steps(name)
		writes := func(s actions.StepConfig) bool { return s.Command() != nil && s.Command().Result != "" }
		if len(steps) > 0 && !slices.ContainsFunc(steps, writes) {
			p.Errorf("promote.figures", "add result: FILE to the command that measures them",
				"no step of pipeline %s writes figures", name)
		}
	}
}

func (m *Model) validatePipeline(p *check.Problems, anyGPU bool) {
	if _, ok := m.Pipeline[DefaultPipeline]; !ok {
		p.Errorf("pipeline", "call one of the pipelines default", "no pipeline named default: the policy would have nothing to start")
	}
	for _, name := range slices.Sorted(maps.Keys(m.Pipeline)) {
		p.Under("pipeline."+name, actions.ValidatePipeline(m.Pipeline, name))
		p.Under("pipeline."+name, actions.ValidateOllama(m.Deploy, m.Serving, m.Pipeline[name], m.Steps(name)))
		releases := func(s actions.StepConfig) bool { return s.Builtin() == actions.DoRelease }
		if m.Deploy != nil && slices.ContainsFunc(m.Pipeline[name], releases) {
			p.Warnf("deploy", "replace the step release by deploy",
				"pipeline %s has the step release, which does not use the section deploy", name)
		}
		for i, s := range m.Pipeline[name] {
			if export, ok := s.StepType.(*actions.ExportStep); ok && export.Format == actions.FormatChat {
				if _, err := serving.NewChat(m.Serving); err != nil {
					p.Errorf(check.Index("pipeline."+name, i)+".format", "", "%v", err)
				}
			}
			if ask := s.Predict(); ask != nil && ask.NeedsImage() && !m.buildsImage() && !m.stages() {
				p.Errorf("pipeline."+name, "add deploy: {compose: {…, build: true}} to the model, or url or exec to the step",
					"step %q has no image of the candidate to run", s.Title())
			}
			if s.NeedsGPU() && m.GPU == nil && !anyGPU {
				p.Errorf("pipeline."+name, "add gpu: {free: 20GiB} to the model",
					"step %q needs the GPU, but the model does not say how much GPU memory", s.Title())
			}
		}
	}
}

// stages reports whether each release has a separate model name on an Ollama server, under which it is queried.
func (m *Model) stages() bool { return m.Deploy != nil && m.Deploy.Ollama != nil }

// buildsImage reports whether the deployment builds an image of each release.
func (m *Model) buildsImage() bool {
	return m.Deploy != nil && m.Deploy.Compose != nil && m.Deploy.Compose.Build
}

// validateAsked checks the pipelines that conditions name.
func (m *Model) validateAsked(p *check.Problems) {
	asked := m.Policy.Pipelines()
	first := ""
	for _, where := range slices.Sorted(maps.Keys(asked)) {
		name := asked[where]
		if _, known := m.Pipeline[name]; !known {
			names := slices.Sorted(maps.Keys(m.Pipeline))
			hint := "name one of the model's pipelines: " + strings.Join(names, ", ")
			if near := check.Nearest(name, names); near != "" {
				hint = fmt.Sprintf("did you mean %q?", near)
			}
			p.Errorf(where+".pipeline", hint, "the model has no pipeline %q", name)
			continue
		}
		switch {
		case name == DefaultPipeline:
		case first == "":
			first = where
		case asked[first] != name:
			p.Warnf(where+".pipeline", "let conditions name only one pipeline besides default",
				"%s names pipeline %s and %s names %s: if both conditions trip, only the pipeline of the first one is run",
				first, asked[first], where, name)
		}
	}
}

func (m *Model) validateColumns(p *check.Problems) {
	pg := m.Labels.Postgres
	if pg == nil {
		return
	}
	if o := m.Serving.Ollama; o != nil {
		if err := o.CheckPrompt(pg.Text); err != nil {
			p.Errorf("serving.ollama.prompt_file", "name one of labels.postgres.text", "%v", err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(m.Pipeline)) {
		for i, step := range m.Pipeline[name] {
			if l := step.Label(); l != nil {
				if err := l.CheckPrompt(pg.Text); err != nil {
					p.Errorf(check.Index("pipeline."+name, i)+".prompt_file", "name one of labels.postgres.text", "%v", err)
				}
			}
		}
	}
	m.validateFields(p, pg.Text)
	for _, name := range slices.Sorted(maps.Keys(m.Serving.Targets)) {
		if len(pg.Targets) > 0 && pg.Targets[name] == "" {
			p.Errorf("serving.targets."+name, "add label: with a column or an SQL expression",
				"target %q has no column for its label", name)
		}
	}
	for i, column := range m.Heldout.Group {
		if !slices.Contains(pg.Text, column) {
			p.Errorf(check.Index("heldout.group", i), "name one of labels.postgres.text", "%q is not a text column", column)
		}
	}
}

// validateFields checks that serving.fields maps text columns, and none to the name of another field.
func (m *Model) validateFields(p *check.Problems, columns []string) {
	for _, column := range slices.Sorted(maps.Keys(m.Serving.Fields)) {
		path, field := "serving.fields."+column, m.Serving.Fields[column]
		if !slices.Contains(columns, column) {
			hint := "name one of labels.postgres.text"
			if near := check.Nearest(column, columns); near != "" {
				hint = fmt.Sprintf("did you mean %q?", near)
			}
			p.Errorf(path, hint, "%q is not a text column", column)
		}
		if _, mapped := m.Serving.Fields[field]; !mapped && slices.Contains(columns, field) {
			p.Errorf(path, "give column "+field+" another field too", "field %q is already used for column %[1]q", field)
		}
	}
}

// compile compiles a model's rules and keeps them. The result includes the faults of the files that the rules name.
func (c *checked) compile(f *File, m *Model, unread func(section string) bool) check.Problems {
	compiled, err := f.newPolicy(m, c.named)
	var invalid *check.Invalid
	var found check.Problems
	switch {
	case errors.As(err, &invalid):
		found = invalid.Problems
	case err != nil:
		found.Errorf("", "", "%v", err)
	default:
		found = compiled.Warnings()
		c.policy = compiled
	}
	return slices.DeleteFunc(found, func(p check.Problem) bool {
		top, _, _ := strings.Cut(p.Path, ".")
		top, _, _ = strings.Cut(top, "[")
		return unread(top) || top == "retrain_when" && unread("urgent_when")
	})
}

// named records a file that the configuration names, so that a change of it is noticed.
func (c *checked) named(path string, content []byte) {
	if c.files == nil {
		c.files = map[string]string{}
	}
	c.files[path] = HashFile(content)
}

// validateShadow validates a shadow's own sections.
func (f *File) validateShadow(m *Model, seen func(path string, content []byte)) check.Problems {
	found := m.Shadow.Validate(m.Policy, f.loc)
	if _, err := f.compilePolicy(m, m.Shadow.Over(m.Policy), seen); err != nil && len(found) == 0 {
		var invalid *check.Invalid
		if errors.As(err, &invalid) && m.Shadow.QuietHours != nil { // a calendar that cannot be read
			found = invalid.Problems
		}
	}
	return found
}

func (f *File) newPolicy(m *Model, seen func(path string, content []byte)) (*policy.Policy, error) {
	return f.compilePolicy(m, m.Policy, seen)
}

// compilePolicy compiles rules of a model. Paths of files in them, such as holidays, are resolved like the model's
// other paths.
func (f *File) compilePolicy(m *Model, c policy.Config, seen func(path string, content []byte)) (*policy.Policy, error) {
	return policy.Compile(c, f.loc, policy.Options{ReadFile: func(name string) ([]byte, error) {
		path := f.below(m, name)
		b, err := os.ReadFile(path)
		seen(path, b)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("there is no file %s", path)
		}
		return b, err
	}})
}

// HashFile returns the hash for Loaded.Files; "" for no content.
func HashFile(content []byte) string {
	if len(content) == 0 {
		return ""
	}
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// Policy returns a model's compiled rules.
func (f *File) Policy(model string) (*policy.Policy, error) {
	m := f.Models[model]
	if p, ok := f.policies[m]; ok {
		return p, nil
	}
	return f.newPolicy(m, func(string, []byte) {})
}

// Shadow returns the compiled rules of a model's shadow; nil without one.
func (f *File) Shadow(model string) (*policy.Policy, error) {
	m := f.Models[model]
	if m.Shadow == nil {
		return nil, nil //nolint:nilnil // no shadow is no fault
	}
	return f.compilePolicy(m, m.Shadow.Over(m.Policy), func(string, []byte) {})
}

// zoneHint suggests the time zone that was probably meant.
func zoneHint(name string) string {
	const hint = "write an IANA name such as Europe/Berlin or UTC"
	common := []string{
		"UTC", "Africa/Cairo", "Africa/Johannesburg", "Africa/Lagos", "America/Bogota", "America/Chicago", "America/Denver",
		"America/Los_Angeles",
		"America/New_York", "America/Sao_Paulo", "America/Toronto", "Asia/Dubai", "Asia/Hong_Kong", "Asia/Kolkata",
		"Asia/Shanghai", "Asia/Singapore",
		"Asia/Tokyo", "Australia/Sydney", "Europe/Amsterdam", "Europe/Berlin", "Europe/Istanbul", "Europe/Lisbon",
		"Europe/London", "Europe/Madrid",
		"Europe/Paris", "Europe/Rome", "Europe/Stockholm", "Europe/Vienna", "Europe/Warsaw", "Europe/Zurich",
		"Pacific/Auckland",
	}
	if near := check.Nearest(name, common); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	return hint
}

// checkListen refuses an address that is reachable from other hosts, since the page has no login.
func checkListen(address string) error {
	if address == "off" {
		return nil
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("%q is not an address with a port", address)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("%q has no port between 1 and 65535", address)
	}
	ip, err := netip.ParseAddr(host)
	if host != "localhost" && (err != nil || !ip.IsLoopback()) {
		return fmt.Errorf("%q is not a loopback address: everyone who reaches it could read the page", address)
	}
	return nil
}
