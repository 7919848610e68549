package actions

import (
	"cmp"
	"time"

	"github.com/retraind/retraind/internal/check"
	"github.com/retraind/retraind/internal/unit"
)

// RetentionConfig is which of a model's files stay on disk besides those in use. The deployed release, the former one,
// pinned ones, the target of `current`, and all files that an unfinished run needs are always kept.
type RetentionConfig struct {
	// Releases are the files of releases; the images of a removed release are removed with it. Default count 5.
	Releases KeepConfig `yaml:"releases" json:"releases,omitzero"`
	// Images are the images built for releases; default: as long as their release.
	Images KeepConfig `yaml:"images" json:"images,omitzero"`
	// Runs are the directories of ended runs: exported data, and the records and output of commands. Default count 20.
	Runs KeepConfig `yaml:"runs" json:"runs,omitzero"`
	// Steps are the records and output of the commands of ended runs; default: as long as their run.
	Steps KeepConfig `yaml:"steps" json:"steps,omitzero"`
}

// KeepConfig limits what is kept. Whatever exceeds a limit is removed, the oldest first; the newest is always kept.
type KeepConfig struct {
	// Count is how many are kept.
	Count int `yaml:"count" json:"count,omitempty"`
	// Age is how long each is kept; 0 means no limit.
	Age unit.Duration `yaml:"age" json:"age,omitempty"`
	// Size is the total size of those that are kept; 0 means no limit.
	Size unit.Size `yaml:"size" json:"size,omitempty"`
}

// The default numbers of releases and run directories to keep.
const (
	keepReleases = 5
	keepRuns     = 20
)

// WithDefaults returns the configuration with defaults filled in.
func (c RetentionConfig) WithDefaults() RetentionConfig {
	c.Releases.Count = cmp.Or(c.Releases.Count, keepReleases)
	c.Runs.Count = cmp.Or(c.Runs.Count, keepRuns)
	return c
}

// Validate returns the faults.
func (c RetentionConfig) Validate() check.Problems {
	var p check.Problems
	p.Under("releases", c.Releases.validate())
	p.Under("images", c.Images.validate())
	p.Under("runs", c.Runs.validate())
	p.Under("steps", c.Steps.validate())
	return p
}

func (c KeepConfig) validate() check.Problems {
	var p check.Problems
	if c.Count < 0 {
		p.Errorf("count", "write 1 or more, or leave it out", "count %d is negative", c.Count)
	}
	if c.Age < 0 {
		p.Errorf("age", "write a duration such as 90d", "%v is negative", c.Age)
	}
	if c.Size < 0 {
		p.Errorf("size", "write a size such as 100GiB", "%v is negative", c.Size)
	}
	return p
}

// kept is a file or directory that a retention rule applies to.
type kept struct {
	at    time.Time
	size  int64
	inUse bool // it is kept, but counts towards the limits
}

// surplus returns the indices of the things that exceed the limits; things are sorted from the newest to the oldest.
func (c KeepConfig) surplus(things []kept, now time.Time) (out []int) {
	var size int64
	for i, t := range things {
		old := c.Age > 0 && now.Sub(t.at) > c.Age.D()
		large := c.Size > 0 && size+t.size > c.Size.Bytes()
		many := c.Count > 0 && i >= c.Count
		if i > 0 && !t.inUse && (old || large || many) {
			out = append(out, i)
			continue
		}
		size += t.size
	}
	return out
}
