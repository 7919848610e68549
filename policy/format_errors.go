package policy

import (
	"strconv"
	"time"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/internal/text"
)

type formatErrorsAbove struct{ bound float64 }

func (f formatErrorsAbove) judge(r *drift.Report, _ time.Time, c *Condition) {
	share := r.FormatErrorShare()
	c.settle(share, f.bound, true, share > f.bound, true)
}

func (f formatErrorsAbove) explain(r *drift.Report, _ time.Time, c *Condition) string {
	c.missing(nil) // a label does not affect whether an answer is usable
	return strconv.Itoa(r.FormatErrors) + " of " + strconv.Itoa(r.Scored) + " answers are unusable" +
		choose(c.Tripped, ", more than ", ", not more than ") + text.Percent(f.bound)
}
