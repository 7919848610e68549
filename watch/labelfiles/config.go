package labelfiles

import (
	"path/filepath"
	"reflect"
	"strings"
	"time"

	"github.com/retraind/retraind/internal/check"
	"github.com/retraind/retraind/internal/unit"
	"github.com/retraind/retraind/watch/labelevent"
)

// Config is a directory of label files. Each line of a file is an event about one item; the newest event wins.
type Config struct {
	// Dir is the directory with the label files.
	Dir string `yaml:"dir"`
	// Pattern is a pattern of file names, with * and ?, or a list of them; default *.jsonl, *.ndjson and *.csv.
	Pattern unit.List `yaml:"pattern"`
	// Poll is how often all files are checked in addition to the notifications of the file system, because network file
	// systems send none; default 60s.
	Poll unit.Duration `yaml:"poll"`
	// Where the parts of a line are found.
	labelevent.Mapping `yaml:",inline"`
}

// DefaultPoll is how often label files are checked in addition to file-system notifications, if poll is not set.
const DefaultPoll = time.Minute

// Validate reports every error that can be found without opening the directory.
func (c *Config) Validate() check.Problems {
	found := c.Mapping.Validate()
	if c.Dir == "" {
		found.Errorf("dir", "name the directory with the label files", "no directory")
	}
	for i, pattern := range c.Pattern {
		at := check.Index("pattern", i)
		if _, err := filepath.Match(pattern, "x"); err != nil || pattern == "" {
			found.Errorf(at, `write "*.jsonl"`, "%q is not a pattern", pattern)
		} else if strings.ContainsRune(pattern, filepath.Separator) {
			found.Errorf(at, "name the directory under dir; directories below it are not read", "%q names a directory", pattern)
		}
	}
	if c.Poll < 0 || c.Poll > 0 && c.Poll.D() < 10*time.Millisecond {
		found.Errorf("poll", "write 60s", "%s is shorter than 10ms", c.Poll)
	}
	return found
}

// Plain reports whether a new file added.jsonl, in JSON Lines with the default field names, would be read.
func (c *Config) Plain() bool {
	return reflect.ValueOf(c.Mapping).IsZero() && c.matches("added.jsonl")
}

// matches reports whether a file in the directory is a label file. Hidden files, and temporary files of editors and
// atomic writers, are not label files.
func (c *Config) matches(name string) bool {
	if strings.HasPrefix(name, ".") || strings.HasSuffix(name, "~") || strings.HasSuffix(name, ".tmp") {
		return false
	}
	patterns := c.Pattern
	if len(patterns) == 0 {
		patterns = unit.List{"*.jsonl", "*.ndjson", "*.csv"}
	}
	for _, pattern := range patterns {
		if ok, _ := filepath.Match(pattern, name); ok {
			return true
		}
	}
	return false
}

func (c *Config) poll() time.Duration {
	if c.Poll == 0 {
		return DefaultPoll
	}
	return c.Poll.D()
}
