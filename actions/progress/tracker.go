package progress

import (
	"regexp"
	"strings"
	"time"

	"github.com/retraind/retraind/internal/text"
)

// Tracker follows the lines that a command prints. It is given the end of the output repeatedly, so that lines may be
// repeated or missing: its result depends on the last ones of each kind.
type Tracker struct {
	expression *regexp.Regexp // nil for the lines of trainers
	trainer    trainer
	last       Progress
}

// NewTracker returns a tracker for a pattern that Check found right; nil for none.
func NewTracker(pattern string) *Tracker {
	if wrong, _ := Check(pattern); wrong != "" || pattern == "" {
		return nil
	}
	if pattern == Trainer {
		return &Tracker{}
	}
	return &Tracker{expression: regexp.MustCompile(pattern)}
}

// Look reads the end of the output, of at most Tail bytes, and returns how far the command is. It reports false where
// nothing new was said.
func (t *Tracker) Look(tail []byte, now time.Time) (Progress, bool) {
	if len(tail) > Tail {
		tail = tail[len(tail)-Tail:]
	}
	whole := string(afterCut(tail))
	lines := strings.FieldsFunc(whole, isEnd)
	p := t.last
	for i, line := range lines {
		// The last line may be half of one that is being written.
		half := i == len(lines)-1 && !isEnd(rune(whole[len(whole)-1]))
		switch {
		case t.expression == nil:
			t.trainer.line(line, half)
		case !half:
			if q, ok := found(t.expression, line); ok {
				p = q
			}
		}
	}
	if t.expression == nil {
		p = t.trainer.progress()
	}
	p.Text = text.OneLine(p.Text, shown)
	if p.Same(t.last) {
		return p, false
	}
	p.At = now
	t.last = p
	return p, true
}
