package gpu

import (
	"slices"
	"strings"
	"time"

	"github.com/retraind/retraind/internal/check"
	"github.com/retraind/retraind/internal/unit"
)

// Config says what a run needs of a GPU before its first step may use it.
type Config struct {
	// Free is the memory that must be free on one device, e.g. 20GiB.
	Free unit.Size `yaml:"free"`
	// StableFor is how long it must stay free before it is believed; a model that unloads gives memory back in pieces. Default 30s.
	StableFor unit.Duration `yaml:"stable_for"`
	// Wait is how long to wait for it; then the run is blocked, with the holder's name. Default 2h.
	Wait unit.Duration `yaml:"wait"`
	// Ignore lists programs that may stay on the GPU and are not reported as holders, e.g. Xorg.
	Ignore []string `yaml:"ignore"`
}

// WithDefaults fills what was left out.
func (c Config) WithDefaults() Config {
	if c.StableFor == 0 {
		c.StableFor = unit.Duration(30 * time.Second)
	}
	if c.Wait == 0 {
		c.Wait = unit.Duration(2 * time.Hour)
	}
	return c
}

// Validate finds faults; call it after WithDefaults.
func (c Config) Validate() check.Problems {
	var p check.Problems
	const tooLarge = 16 << 40
	switch {
	case c.Free <= 0:
		p.Errorf("free", "say how much the training needs, e.g. 20GiB", "no free GPU memory is asked for")
	case c.Free > tooLarge:
		p.Errorf("free", "the training's peak is meant, e.g. 20GiB", "%s is more memory than any GPU has", c.Free)
	}
	if c.StableFor < 0 {
		p.Errorf("stable_for", "30s is usual", "negative duration %s", c.StableFor)
	}
	if c.Wait <= c.StableFor {
		p.Errorf("wait", "wait longer than stable_for, e.g. 2h", "waiting %s can never see memory free for %s", c.Wait, c.StableFor)
	}
	for i, name := range c.Ignore {
		switch {
		case strings.TrimSpace(name) == "":
			p.Errorf("ignore", "name a program as ps shows it, e.g. Xorg", "empty program name")
		case slices.Contains(c.Ignore[:i], name):
			p.Warnf("ignore", "name it once", "%q is named twice", name)
		}
	}
	return p
}
