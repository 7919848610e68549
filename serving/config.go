package serving

import (
	"cmp"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/retraind/retraind/internal/check"
	"github.com/retraind/retraind/internal/text"
	"github.com/retraind/retraind/internal/unit"
)

// Config defines how to reach the deployed classifier and how to read its answers.
type Config struct {
	// Classify is the URL that gets a POST request with a JSON object of text fields and answers with a JSON object of
	// values.
	Classify string `yaml:"classify"`
	// Health is the URL that answers a GET request when the service is up.
	Health string `yaml:"health"`
	// Ollama describes a language model on an Ollama server; it replaces classify and health.
	Ollama *OllamaConfig `yaml:"ollama" json:",omitempty"`
	// HealthRelease is the path of the field of the health answer that has the digest of the loaded release; default
	// release.
	HealthRelease string `yaml:"health_release"`
	// Targets are the values of the answer that are compared with labels, by name; default: one named label.
	Targets map[string]Target `yaml:"targets"`
	// Gate names the target that decides about retraining and promotion; required with several targets.
	Gate string `yaml:"gate"`
	// Asleep is the treatment of an unreachable service: the value ok means that it is asleep, because its host may be
	// switched off; by default it counts as failed.
	Asleep string `yaml:"asleep"`
	// Concurrency is the largest number of concurrent requests; default 16, with ollama 4.
	Concurrency int `yaml:"concurrency"`
	// Timeout is how long one answer may take; default 30s, with ollama 2m.
	Timeout unit.Duration `yaml:"timeout"`
	// Fields maps text columns to the names of the request's fields; default: the column's name.
	Fields map[string]string `yaml:"fields"`
	// Batch is an endpoint that classifies several texts in one request; default: one request for each text.
	Batch *BatchConfig `yaml:"batch"`
	// Adopt describes a release that served before retraind was installed.
	Adopt *AdoptConfig `yaml:"adopt"`
	// Recheck is how retraind checks, between deployments, that the service still answers as the champion.
	Recheck *RecheckConfig `yaml:"recheck"`
}

// AdoptConfig configures a service that was deployed before retraind was: its answers become the first champion, so
// that its accuracy is known and the first candidate is compared with it.
type AdoptConfig struct {
	// TrainedOn is the training file of that release (JSON Lines with id, text columns, or both); its items do not count
	// for the accuracy. Without the file the accuracy is probably overestimated.
	TrainedOn string `yaml:"trained_on"`
	// Off ignores the release that served before: the first candidate is then compared only with a classifier that always
	// gives the most frequent label.
	Off bool `yaml:"off"`
}

// RecheckConfig defines the sample of held-out texts by which retraind detects that another model is deployed.
type RecheckConfig struct {
	// Sample is the number of texts that are sent to the service; default 20.
	Sample int `yaml:"sample"`
	// HealthOnly requests only the health URL, for a service whose answers are expensive.
	HealthOnly bool `yaml:"health_only"`
	// Every is the time between two samples; default 1h.
	Every unit.Duration `yaml:"every"`
}

// BatchConfig is an endpoint that takes {"items": [{field: text, …}, …]} and answers {"results": [answer, …]} with one
// answer for each item, in order, each in the format of the endpoint for one text.
type BatchConfig struct {
	// URL is the URL of the endpoint, such as http://localhost:8082/classify/batch.
	URL string `yaml:"url"`
	// Size is the number of texts in one request; default 64.
	Size int `yaml:"size"`
}

const (
	defaultConcurrency = 16
	defaultTimeout     = 30 * time.Second
	modelConcurrency   = 4 // an Ollama server answers one or a few requests at a time
	modelTimeout       = 2 * time.Minute
	maxConcurrency     = 1024
	defaultBatch       = 64
	maxBatch           = 10_000
	defaultRecheck     = 20
	maxRecheck         = 1000
	defaultTarget      = "label"
)

// WithDefaults returns the configuration with defaults filled in.
func (c Config) WithDefaults() Config {
	if c.HealthRelease == "" {
		c.HealthRelease = "release"
	}
	if len(c.Targets) == 0 {
		c.Targets = map[string]Target{defaultTarget: {}}
	}
	targets := make(map[string]Target, len(c.Targets))
	for name, t := range c.Targets {
		t.Name = name
		if t.Kind == "" {
			t.Kind = KindLabel
		}
		if t.Answer == "" {
			t.Answer = name
		}
		targets[name] = t
	}
	c.Targets = targets
	if c.Gate == "" && len(c.Targets) == 1 {
		for name := range c.Targets {
			c.Gate = name
		}
	}
	concurrency, timeout := defaultConcurrency, defaultTimeout
	if c.Ollama != nil {
		concurrency, timeout = modelConcurrency, modelTimeout
	}
	c.Concurrency = cmp.Or(c.Concurrency, concurrency)
	c.Timeout = cmp.Or(c.Timeout, unit.Duration(timeout))
	recheck := RecheckConfig{}
	if c.Recheck != nil {
		recheck = *c.Recheck
	}
	recheck.Sample = cmp.Or(recheck.Sample, defaultRecheck)
	recheck.Every = cmp.Or(recheck.Every, unit.Duration(time.Hour))
	c.Recheck = &recheck
	if c.Batch != nil && c.Batch.Size == 0 {
		c.Batch = &BatchConfig{URL: c.Batch.URL, Size: defaultBatch}
	}
	return c
}

// List returns the targets, the gating one first and the others by name.
func (c Config) List() []Target {
	c = c.WithDefaults()
	names := slices.Sorted(maps.Keys(c.Targets))
	list := make([]Target, 0, len(names))
	for _, name := range names {
		if name == c.Gate {
			list = slices.Insert(list, 0, c.Targets[name])
		} else {
			list = append(list, c.Targets[name])
		}
	}
	return list
}

// MayBeAsleep reports whether the service may be unreachable without this being an error.
func (c Config) MayBeAsleep() bool { return c.Asleep == "ok" }

// Validate returns the faults; call it after WithDefaults.
func (c Config) Validate() check.Problems {
	var p check.Problems
	if c.Ollama == nil {
		checkURL(&p, "classify", c.Classify)
		checkURL(&p, "health", c.Health)
	} else {
		p.Under("ollama", c.Ollama.Validate(c.Targets))
		c.validateInstead(&p)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Targets)) {
		t := c.Targets[name]
		switch t.Kind {
		case "", KindLabel, KindBool, KindSet:
		default:
			p.Errorf("targets."+name+".kind", "one of label, bool, set", "unknown kind %q", t.Kind)
		}
		if t.Kind == KindBool && t.Null != "" && t.Null != "true" && t.Null != "false" {
			p.Errorf("targets."+name+".null", "true or false", "null is %q, which is not a bool", t.Null)
		}
		if strings.HasPrefix(t.Answer, ".") || strings.HasSuffix(t.Answer, ".") || strings.Contains(t.Answer, "..") {
			p.Errorf("targets."+name+".answer", "field names with single dots between them: result.label",
				"path %q has an empty part", t.Answer)
		}
	}
	if _, ok := c.Targets[c.Gate]; !ok && len(c.Targets) > 0 {
		hint := "name one of " + strings.Join(slices.Sorted(maps.Keys(c.Targets)), ", ")
		if c.Gate == "" {
			p.Errorf("gate", hint, "there are %d targets, and gate names none of them", len(c.Targets))
		} else {
			p.Errorf("gate", hint, "no target is called %q", c.Gate)
		}
	}
	if c.Asleep != "" && c.Asleep != "ok" {
		p.Errorf("asleep", "write ok if the host may be off, otherwise remove it", "unknown value %q", c.Asleep)
	}
	if c.Concurrency < 1 || c.Concurrency > maxConcurrency {
		p.Errorf("concurrency", "16 to 64 is usual", "%d texts in flight is not between 1 and %d", c.Concurrency,
			maxConcurrency)
	}
	if c.Timeout <= 0 {
		p.Errorf("timeout", "for example 30s", "timeout %v is not positive", time.Duration(c.Timeout))
	}
	if b := c.Batch; b != nil {
		checkURL(&p, "batch.url", b.URL)
		if b.Size < 1 || b.Size > maxBatch {
			p.Errorf("batch.size", "64 is usual", "%d texts in one request is not between 1 and %d", b.Size, maxBatch)
		}
	}
	if r := c.Recheck; r != nil && (r.Sample < 0 || r.Sample > maxRecheck) {
		p.Errorf("recheck.sample", "20 is usual", "%d texts is not between 1 and %d", r.Sample, maxRecheck)
	}
	if r := c.Recheck; r != nil && r.Every < unit.Duration(time.Second) {
		p.Errorf("recheck.every", "for example 1h", "%v is less than a second", r.Every)
	}
	if a := c.Adopt; a != nil && a.Off && a.TrainedOn != "" {
		p.Errorf("adopt.trained_on", "remove one of the two", "trained_on has no effect if adopt is off")
	}
	taken := map[string]string{}
	for _, column := range slices.Sorted(maps.Keys(c.Fields)) {
		field := c.Fields[column]
		if field == "" {
			p.Errorf("fields."+column, "the name that the service expects", "empty field name")
		} else if other, ok := taken[field]; ok {
			p.Errorf("fields."+column, "give each column a different field", "field %q is already used for column %q", field, other)
		}
		taken[field] = column
	}
	return p
}

// validateInstead refuses settings of an HTTP service together with a model of an Ollama server.
func (c Config) validateInstead(p *check.Problems) {
	for _, key := range []struct {
		name    string
		written bool
	}{
		{"classify", c.Classify != ""},
		{"health", c.Health != ""},
		{"batch", c.Batch != nil},
		{"fields", len(c.Fields) > 0},
	} {
		if key.written {
			p.Errorf(key.name, "remove one of the two",
				"%s is for an HTTP service, but serving.ollama names a model", key.name)
		}
	}
}

func checkURL(p *check.Problems, path, raw string) {
	example := "http://localhost:8082/" + path
	if path == "batch.url" {
		example = "http://localhost:8082/classify/batch"
	}
	if raw == "" {
		p.Errorf(path, "for example "+example, "%s names no URL", path)
		return
	}
	u, err := url.Parse(raw)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		p.Errorf(path, "for example "+example, "%q is not an http or https URL", text.URL(raw))
	}
}
