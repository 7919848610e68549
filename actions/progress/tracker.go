package progress

import (
	"regexp"
	"strings"
	"time"

	"github.com/retraind/retraind/internal/text"
)

// Tracker finds the progress in the output of a command. Look is called repeatedly with the end of the output, and may
// therefore see lines twice or not at all. Only the last line of each kind affects the result.
type Tracker struct {
	expression *regexp.Regexp // nil for the lines of trainers
	trainer    trainer
	last       Progress
}

// NewTracker returns a tracker for a pattern; nil if the pattern is empty or does not pass Check.
func NewTracker(pattern string) *Tracker {
	if wrong, _ := Check(pattern); wrong != "" || pattern == "" {
		return nil
	}
	if pattern == Trainer {
		return &Tracker{}
	}
	return &Tracker{expression: regexp.MustCompile(pattern)}
}

// Look reads the end of the output, at most Tail bytes, and returns the progress. It reports false if the progress has
// not changed.
func (t *Tracker) Look(tail []byte, now time.Time) (Progress, bool) {
	if len(tail) > Tail {
		tail = tail[len(tail)-Tail:]
	}
	whole := string(afterCut(tail))
	lines := strings.FieldsFunc(whole, isEnd)
	p := t.last
	for i, line := range lines {
		// The last line may be incomplete.
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
