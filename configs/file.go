// Package configs defines the configuration file as a whole, loads it strictly, and computes the daemon's own settings.
//
// It owns the top level and combines the Config structs of the other packages with their defaults and Validate. Files
// are decoded by strictyaml, never by viper; viper only overlays environment and flags on the few scalar settings of
// the daemon. After Overlay a File is never changed, so that it may be shared. The package never watches a file and
// never connects anywhere.
package configs

import (
	"cmp"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/retraind/retraind/actions"
	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/gpu"
	"github.com/retraind/retraind/internal/check"
	"github.com/retraind/retraind/notify"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/serving"
	"github.com/retraind/retraind/watch/postgres"
	"github.com/retraind/retraind/watch/sources"
)

// File is a whole configuration.
type File struct {
	// Version is the version of the file's format; always 1.
	Version int `yaml:"version"`
	// Timezone is the IANA time zone of quiet hours, schedules and displayed times, such as Europe/Berlin; default UTC.
	Timezone string `yaml:"timezone"`
	// State is the directory in which retraind keeps its data; default /var/lib/retraind.
	State string `yaml:"state"`
	// Listen is the loopback address of the status page and the metrics; off serves neither. Default 127.0.0.1:7420.
	Listen string `yaml:"listen"`
	// Socket is the Unix socket through which the command line reaches the daemon; default: retraind.sock in
	// $RUNTIME_DIRECTORY, or in the state directory if that variable is not set.
	Socket string `yaml:"socket"`
	// NATS is the NATS server on which events are published; default: one inside the daemon.
	NATS notify.Config `yaml:"nats"`
	// Ollama is the Ollama server of serving.ollama, gpu.stop and the steps label, stage and ollama. Without it, gpu.stop
	// and the step ollama use http://127.0.0.1:11434; the others require it.
	Ollama *OllamaConfig `yaml:"ollama"`
	// GPU are the GPU settings that all models of this host share.
	GPU gpu.HostConfig `yaml:"gpu"`
	// Models are the deployed classifiers to monitor, by name.
	Models map[string]*Model `yaml:"models"`

	dir      string // directory of the file, for relative paths
	loc      *time.Location
	policies map[*Model]*policy.Policy // compiled when the file was checked
	files    map[string]string         // files that were read with it: hash by absolute path
	missing  check.Problems            // named files that do not exist
}

// OllamaConfig is an Ollama server.
type OllamaConfig struct {
	// URL is the URL of the server, such as http://127.0.0.1:11434.
	URL string `yaml:"url"`
}

// Model is one deployed classifier to watch.
type Model struct {
	// Dir is the working directory of the model's commands and the base of its relative paths; default: the directory of
	// this file.
	Dir string `yaml:"dir"`
	// Labels lists the sources of label changes.
	Labels sources.Config `yaml:"labels"`
	// Heldout selects the held-out items: accuracy is measured on them, and they are never used for training.
	Heldout drift.HeldoutConfig `yaml:"heldout"`
	// Serving describes how to reach the deployed classifier and read its answers.
	Serving serving.Config `yaml:"serving"`
	// The rules: evaluate, retrain_when, urgent_when, limits and quiet_hours.
	Policy policy.Config `yaml:",inline"`
	// Shadow is a second policy that is evaluated beside the active one and starts nothing, to try rules on live data. A
	// section that it leaves out is taken from the model.
	Shadow *policy.ShadowConfig `yaml:"shadow"`
	// GPU defines when a GPU is free for the steps that need one, and what a run may stop to free it.
	GPU *gpu.Config `yaml:"gpu"`
	// Deploy selects how the step deploy deploys a release: link (default), restart, compose or ollama.
	Deploy *actions.DeployConfig `yaml:"deploy"`
	// Pipeline lists the steps of each pipeline, by the pipeline's name; default: one that trains the embedded
	// classifier. If only some kinds of steps have a key, its meaning begins with the names of these kinds; commands are
	// the steps with exec.
	Pipeline map[string][]actions.StepConfig `yaml:"pipeline"`
	// Retention limits how many releases and runs of the model stay on disk.
	Retention actions.RetentionConfig `yaml:"retention"`
	// Promote defines when a candidate may replace the champion.
	Promote actions.PromoteConfig `yaml:"promote"`
}

// SetDefaults sets the defaults of the policy and of the promotion. It is called before a new entry is decoded, so that
// a zero in the file is not mistaken for a missing value.
func (m *Model) SetDefaults() {
	m.Policy = policy.Defaults()
	m.Promote = actions.PromoteConfig{}.WithDefaults()
}

const (
	defaultState  = "/var/lib/retraind"
	defaultListen = "127.0.0.1:7420"
)

// DefaultPipeline is the name of the pipeline that a policy starts if no tripped condition names another.
const DefaultPipeline = "default"

func (f *File) withDefaults() {
	f.policies, f.files = map[*Model]*policy.Policy{}, map[string]string{}
	if f.Timezone == "" {
		f.Timezone = "UTC"
	}
	if f.State == "" {
		f.State = defaultState
	}
	if f.Listen == "" {
		f.Listen = defaultListen
	}
	if !strings.Contains(f.State, "://") { // a URL stays unchanged: validate refuses it
		f.State = f.abs(f.State)
	}
	f.Socket, f.GPU.Leases = f.abs(f.Socket), f.abs(f.GPU.Leases)
	f.NATS.CredentialsFile, f.NATS.NKeyFile = secretFile(f.NATS.CredentialsFile, f.abs), secretFile(f.NATS.NKeyFile, f.abs)
	if t := f.NATS.TLS; t != nil {
		t.CAFile, t.CertFile, t.KeyFile = f.abs(t.CAFile), f.abs(t.CertFile), secretFile(t.KeyFile, f.abs)
	}
	for name, m := range f.Models {
		if m == nil {
			m = &Model{}
			m.SetDefaults()
			f.Models[name] = m
		}
		m.withDefaults(f)
		if m.Labels.NATS != nil {
			m.Labels.NATS = m.Labels.NATS.WithDefaults(name)
		}
	}
}

func (m *Model) withDefaults(f *File) {
	m.Dir = f.abs(m.Dir)
	abs := func(path string) string { return f.below(m, path) }
	m.Heldout = m.Heldout.WithDefaults()
	m.Heldout.SaltFile, m.Heldout.File = secretFile(m.Heldout.SaltFile, abs), abs(m.Heldout.File)
	if a := m.Serving.Adopt; a != nil {
		a.TrainedOn = abs(a.TrainedOn)
	}
	if o := m.Serving.Ollama; o != nil {
		o.SystemFile, o.PromptFile = abs(o.SystemFile), abs(o.PromptFile)
		o.FormatFile, o.TemplateFile = abs(o.FormatFile), abs(o.TemplateFile)
		if f.Ollama != nil {
			o.URL = f.Ollama.URL
		}
	}
	for _, steps := range m.Pipeline {
		for _, s := range steps {
			if l := s.Label(); l != nil && f.Ollama != nil {
				l.URL = f.Ollama.URL
			}
			s.SetOllama(f.OllamaURL())
			if l := s.Label(); l != nil && l.Write != nil {
				l.Write.DSNFile = secretFile(l.Write.DSNFile, abs)
			}
		}
	}
	m.Serving = m.Serving.WithDefaults()
	for name, t := range m.Serving.Targets {
		t.Normalize = serving.NormalizeBy(m.Labels.Normalize)
		m.Serving.Targets[name] = t
	}
	if len(m.Pipeline) == 0 {
		serve := actions.DoRelease
		if m.Deploy != nil {
			serve = actions.DoDeploy
		}
		m.Pipeline = map[string][]actions.StepConfig{DefaultPipeline: actions.DefaultPipeline(serve)}
	}
	if m.Deploy != nil {
		m.Deploy.Paths(abs)
	}
	for _, steps := range m.Pipeline {
		for i := range steps {
			steps[i].Paths(m.Dir, abs)
		}
	}
	if m.GPU != nil {
		g := m.GPU.WithDefaults()
		g.Paths(abs, f.OllamaURL())
		m.GPU = &g
	}
	if files := m.Labels.Files; files != nil {
		files.Dir = abs(files.Dir)
	}
	if h := m.Labels.HTTP; h != nil {
		h.SecretFile = secretFile(h.SecretFile, abs)
	}
	if pg := m.Labels.Postgres; pg != nil {
		pg.DSNFile = secretFile(pg.DSNFile, abs)
		pg.Normalized = string(serving.NormalizeBy(m.Labels.Normalize))
		if columns := m.labelColumns(pg); columns != nil {
			m.Labels.Postgres = pg.WithTargets(columns)
		}
	}
}

// OllamaURL returns the configured URL of Ollama, else the default one on this host.
func (f *File) OllamaURL() string {
	if f != nil && f.Ollama != nil && f.Ollama.URL != "" {
		return f.Ollama.URL
	}
	return gpu.OllamaURL
}

// StopsForGPU lists what runs of the model stop while their steps use the GPU.
func (m *Model) StopsForGPU() []gpu.StopConfig {
	if m.GPU == nil {
		return nil
	}
	return m.GPU.Stop
}

// labelColumns maps each serving target to its label column: the target's own, else the one that the source names. It
// returns nil if a target has no column; the source then stays unchanged, and Validate reports the problem.
func (m *Model) labelColumns(pg *postgres.Config) map[string]string {
	out := map[string]string{}
	for name, t := range m.Serving.Targets {
		column := cmp.Or(t.Label, pg.Targets[name], pg.Label)
		if column == "" {
			return nil
		}
		out[name] = column
	}
	return out
}

// abs resolves a relative path against the file's directory; an empty one stays empty.
func (f *File) abs(path string) string {
	if path == "" || filepath.IsAbs(path) || f.dir == "" {
		return path
	}
	return filepath.Join(f.dir, path)
}

// below resolves a relative path of a model against its dir.
func (f *File) below(m *Model, path string) string {
	if path == "" || m.Dir == "" || filepath.IsAbs(path) {
		return f.abs(path)
	}
	return filepath.Join(m.Dir, path)
}

// Steps returns the steps of a pipeline, with each include replaced by the steps of the included pipeline.
func (m *Model) Steps(pipeline string) []actions.StepConfig {
	return actions.Steps(m.Pipeline, pipeline)
}

// Location returns the file's time zone.
func (f *File) Location() *time.Location { return f.loc }

// Names lists the names of the models in alphabetical order.
func (f *File) Names() []string { return slices.Sorted(maps.Keys(f.Models)) }

// ModelName is the pattern of a model's name.
const ModelName = `^[a-z0-9_-]{1,32}$`

var modelName = regexp.MustCompile(ModelName)
