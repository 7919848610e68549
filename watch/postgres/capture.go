package postgres

import (
	"fmt"
	"time"

	"github.com/invopop/jsonschema"

	"github.com/retraind/retraind/internal/check"
)

// Capture is the method by which changes of a table are detected.
type Capture string

// The captures. Each change that a capture can see is counted exactly once, and the changes of one item arrive in
// order.
const (
	CaptureOutbox  Capture = "outbox"  // triggers write a row for each change, in the writer's own transaction
	CaptureLogical Capture = "logical" // the server's log is decoded (pgoutput), through a replication slot
	CapturePoll    Capture = "poll"    // rows whose watermark column has grown are read periodically
)

// captures lists all captures, the default first.
var captures = []Capture{CaptureOutbox, CaptureLogical, CapturePoll}

// Defaults of capture: poll.
const (
	DefaultPollCapture = 5 * time.Second
	DefaultOverlap     = time.Minute
	DefaultCompare     = time.Hour
)

// JSONSchema returns a schema that allows only the names of the captures.
func (Capture) JSONSchema() *jsonschema.Schema {
	values := make([]any, len(captures))
	for i, c := range captures {
		values[i] = c
	}
	return &jsonschema.Schema{Type: "string", Enum: values}
}

// Blind returns one sentence for each limitation of a capture: which changes it does not see, and when they are
// detected instead, if ever. For the outbox it returns nothing.
func (c Capture) Blind() []string {
	switch c {
	case CaptureLogical:
		return []string{
			"the writer of a change is unknown, unless author names a column",
			"a TRUNCATE, ATTACH or DETACH of a single partition is seen at the next poll, by a full read",
		}
	case CapturePoll:
		return []string{
			"deleted rows are missed until the next full compare",
			"a write that does not change the watermark is missed until the next full compare",
			"of several writes to a row between two polls only the last is seen",
			"a transaction that takes its watermark value, for example now(), and first writes more than overlap later is missed until the next full compare",
			"the writer of a change is unknown, unless author names a column",
		}
	}
	return nil
}

// otherCapture returns the reason for a full read when the stored cursor was written by another capture.
func otherCapture(before Capture) error {
	if before == "" {
		before = CaptureOutbox
	}
	return fmt.Errorf("the capture was changed from %s", before)
}

// capture returns the configured capture, or the default.
func (c *Config) capture() Capture {
	if c.Capture == "" {
		return CaptureOutbox
	}
	return c.Capture
}

// WithCapture returns a copy with the given capture; "" changes nothing. If the capture changes to one other than poll,
// the copy has no values for the keys that only capture: poll has.
func (c Config) WithCapture(capture Capture) *Config {
	if capture != "" && capture != c.capture() {
		c.Capture = capture
		if capture != CapturePoll {
			c.Watermark, c.Overlap, c.Compare = "", 0, 0
		}
	}
	return &c
}

// Title describes in a few words how changes are detected.
func (c *Config) Title() string {
	switch c.capture() {
	case CaptureLogical:
		return "from the server's log"
	case CapturePoll:
		return fmt.Sprintf("by polling %s every %s, the whole table every %s", c.watermark(), c.poll(), c.compare())
	}
	return "through triggers"
}

// Blind returns the limitations of the configured capture, as Capture.Blind does.
func (c *Config) Blind() []string { return c.capture().Blind() }

// watermark returns the watermark column of capture: poll.
func (c *Config) watermark() string {
	if c.Watermark == "" {
		return c.UpdatedAt
	}
	return c.Watermark
}

func (c *Config) overlap() time.Duration {
	if c.Overlap == 0 {
		return DefaultOverlap
	}
	return c.Overlap.D()
}

func (c *Config) compare() time.Duration {
	if c.Compare == 0 {
		return DefaultCompare
	}
	return c.Compare.D()
}

// validateCapture reports an unknown capture, and keys that are missing, invalid or not allowed with the capture.
func (c *Config) validateCapture(found *check.Problems) {
	switch c.capture() {
	case CaptureOutbox, CaptureLogical:
		for _, key := range []struct {
			name string
			set  bool
		}{{"watermark", c.Watermark != ""}, {"overlap", c.Overlap != 0}, {"compare", c.Compare != 0}} {
			if key.set {
				found.Errorf(key.name, "remove it, or set capture: poll", "%s has an effect only with capture: poll, and the capture is %s",
					key.name, c.capture())
			}
		}
	case CapturePoll:
		if c.watermark() == "" {
			found.Errorf("capture", "name a column that grows with each write, e.g. updated_at: updated_at",
				"capture: poll needs watermark or updated_at")
		}
		if err := checkName(c.Watermark); c.Watermark != "" && err != nil {
			found.Errorf("watermark", "name a column", "%s", err)
		}
		if c.Overlap < 0 {
			found.Errorf("overlap", "write 1m", "%s is negative", c.Overlap)
		}
		if c.compare() < c.poll() {
			found.Errorf("compare", fmt.Sprintf("write %s or more", c.poll()),
				"a full compare every %s is more frequent than a poll every %s", c.compare(), c.poll())
		}
	default:
		hint := "write outbox, logical or poll"
		if near := check.Nearest(string(c.Capture),
			[]string{string(CaptureOutbox), string(CaptureLogical), string(CapturePoll)}); near != "" {
			hint = fmt.Sprintf("did you mean %s? %s", near, hint)
		}
		found.Errorf("capture", hint, "there is no capture %q", c.Capture)
	}
}

// follows reports whether a capture can follow a relation that is not an ordinary table. kind is p for a partitioned
// table, i for a partition or a table with inheritance, v or m for a view, and f for a foreign table.
func (c Capture) follows(kind string) bool {
	switch c {
	case CaptureOutbox, CaptureLogical:
		return kind == "p"
	case CapturePoll:
		return kind != "i"
	}
	return false
}
