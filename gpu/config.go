package gpu

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/invopop/jsonschema"

	"github.com/retraind/retraind/internal/check"
	"github.com/retraind/retraind/internal/unit"
)

// Config defines when the first step of a run that needs a GPU may start, and what happens if another program starts on
// the device during a step.
type Config struct {
	// Free is how much memory must be free on one device, such as 20GiB. If earlier runs of a step needed more, that much
	// must be free.
	Free unit.Size `yaml:"free"`
	// MaxUsed is how much memory may be in use on the device, such as 500MiB for a card that only a desktop uses. Set
	// either free or max_used.
	MaxUsed unit.Size `yaml:"max_used"`
	// StableFor is how long the device must stay free without interruption before the step starts, because a model that
	// unloads frees its memory in steps; default 30s.
	StableFor unit.Duration `yaml:"stable_for"`
	// Wait is how long a step waits for a free device. Then the run is blocked, and its reason names the program on the
	// device. Default 2h.
	Wait unit.Duration `yaml:"wait"`
	// Ignore lists what may compute on the device beside the training: programs, units, or compose services as
	// project/service.
	Ignore []string `yaml:"ignore"`
	// OnIntruder is what to do if another program starts on the device during a step: warn (report it) or abort (also
	// stop the step); default warn.
	OnIntruder OnIntruder `yaml:"on_intruder"`
	// Stop lists what a run stops while its steps use the GPU, in this order; name clients of Ollama before ollama.
	// Afterwards the run starts everything again in reverse order and checks its health.
	Stop []StopConfig `yaml:"stop"`
	// StopWithin is how long each entry of stop may take to stop, and then how long all may take to free their memory.
	// After that the run is blocked, and its reason names the entry or the process. Default 2m.
	StopWithin unit.Duration `yaml:"stop_within"`
}

// HostConfig holds the settings that all models of a host share.
type HostConfig struct {
	// Leases is the directory of the lock files with which runs, people and scripts of this host take turns on its GPUs;
	// all of them must use the same directory, and need write permission there. Default /run/retraind/gpu, or
	// /var/lock/retraind-gpu on a host without /run/retraind if that cannot be created.
	Leases string `yaml:"leases"`
}

// OnIntruder is what happens if another program starts on a step's device.
type OnIntruder string

// The values of on_intruder.
const (
	Warn  OnIntruder = "warn"  // publish an event and add a line to the run
	Abort OnIntruder = "abort" // also stop the step; the run ends as blocked
)

// JSONSchema lists the values.
func (OnIntruder) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{Type: "string", Enum: []any{Warn, Abort}}
}

// WithDefaults returns the configuration with defaults filled in.
func (c Config) WithDefaults() Config {
	if c.StableFor == 0 {
		c.StableFor = unit.Duration(30 * time.Second)
	}
	if c.Wait == 0 {
		c.Wait = unit.Duration(2 * time.Hour)
	}
	if c.OnIntruder == "" {
		c.OnIntruder = Warn
	}
	if c.StopWithin == 0 {
		c.StopWithin = unit.Duration(2 * time.Minute)
	}
	return c
}

// Paths resolves relative paths and sets the URL of the Ollama server.
func (c *Config) Paths(abs func(string) string, ollama string) {
	for i := range c.Stop {
		c.Stop[i].paths(abs)
		if len(c.Stop[i].Ollama) > 0 {
			c.Stop[i].Server = ollama
		}
	}
}

// Validate returns the faults; call it after WithDefaults.
func (c Config) Validate() check.Problems {
	var p check.Problems
	const tooLarge = 16 << 40
	switch {
	case c.Free == 0 && c.MaxUsed == 0:
		p.Errorf(
			"free",
			"set how much the training needs, e.g. free: 20GiB, or how much may be in use, e.g. max_used: 500MiB",
			"neither free nor max_used is set",
		)
	case c.Free != 0 && c.MaxUsed != 0:
		p.Errorf("max_used", "keep one of them", "free and max_used are both set")
	case c.Free < 0 || c.Free > tooLarge:
		p.Errorf("free", "set the peak memory of the training, e.g. 20GiB", "%s is more memory than any GPU has", c.Free)
	case c.MaxUsed < 0 || c.MaxUsed > tooLarge:
		p.Errorf("max_used", "set the memory that a desktop uses, e.g. 500MiB", "%s is more memory than any GPU has", c.MaxUsed)
	}
	if c.StableFor < 0 {
		p.Errorf("stable_for", "30s is usual", "negative duration %s", c.StableFor)
	}
	if c.Wait <= c.StableFor {
		p.Errorf(
			"wait",
			"set wait to more than stable_for, e.g. 2h",
			"wait %s is not longer than stable_for %s, so no run could start",
			c.Wait,
			c.StableFor,
		)
	}
	for i, name := range c.Ignore {
		switch {
		case strings.TrimSpace(name) == "":
			p.Errorf("ignore", "name a program as ps shows it, e.g. Xorg", "empty program name")
		case slices.Contains(c.Ignore[:i], name):
			p.Warnf("ignore", "name it once", "%q is named twice", name)
		}
	}
	if c.StopWithin < 0 {
		p.Errorf("stop_within", "2m is usual", "negative duration %s", c.StopWithin)
	}
	for i, s := range c.Stop {
		s.validate(&p, fmt.Sprintf("stop[%d]", i))
	}
	if c.OnIntruder != Warn && c.OnIntruder != Abort {
		p.Errorf("on_intruder", "write warn or abort", "unknown value %q", c.OnIntruder)
	}
	return p
}

// ignores reports whether a process may use the device beside a training.
func (c Config) ignores(p Process) bool {
	return slices.Contains(c.Ignore, p.Name) || p.Unit != "" && slices.Contains(c.Ignore, p.Unit) ||
		p.Project != "" && slices.Contains(c.Ignore, p.Project+"/"+p.Service)
}
