package status

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/retraind/retraind/internal/text"
	"github.com/retraind/retraind/store"
)

type runView struct {
	ID, Trigger, Reason, Pipeline string
	More                          string // command that shows what Reason leaves out
	Class                         string // outcome, or state while there is none
	Label                         string
	Took                          string
	Now                           string // what is in progress, for an active run
	At                            timeView
	Ended                         bool
	Bar                           barView
	Steps                         []stepView
}

type stepView struct {
	Name, State, Class, Took, Detail string
	More                             string // command that shows what Detail leaves out
}

func newRunView(now time.Time, r Run) runView {
	v := runView{
		ID: r.ID, Trigger: text.Capital(text.Brief(r.Trigger, briefSentence)), Pipeline: r.Pipeline,
		Class: r.Word(), At: newTime(now, latest(r)), Ended: !r.Ended.IsZero(), Bar: newBar(now, r),
	}
	v.Reason, v.More = r.BriefReason()
	v.Reason = text.Capital(v.Reason)
	v.Label = strings.ReplaceAll(v.Class, "_", " ")
	switch {
	case r.Started.IsZero():
	case r.Ended.IsZero():
		v.Took = "for " + text.Elapsed(r.Took(now))
	default:
		v.Took = "took " + text.Elapsed(r.Took(now))
	}
	for i, s := range r.Steps {
		step := stepView{Name: s.Name, State: strings.ReplaceAll(string(s.State), "_", " "), Class: tone(s.State)}
		step.Detail, step.More = r.BriefDetail(s)
		if !s.Started.IsZero() {
			step.Took = text.Elapsed(time.Duration(s.Seconds(now) * float64(time.Second)))
		}
		if s.Attempt > 1 {
			step.Name += fmt.Sprintf(", attempt %d", s.Attempt)
		}
		v.Steps = append(v.Steps, step)
		if s.State == store.StepRunning {
			v.Now = fmt.Sprintf("step %d of %d: %s", i+1, len(r.Steps), s.Name)
			for _, said := range []string{progressText(now, s), step.Detail} {
				if said != "" {
					v.Now += ", " + said
				}
			}
		}
	}
	return v
}

// progressText returns a step's progress, with the estimated remaining time.
func progressText(now time.Time, s Step) string {
	if s.Progress == nil || !(*s.Progress >= 0 && *s.Progress <= 1) {
		return s.ProgressText
	}
	said := fmt.Sprintf("%.0f%%", 100**s.Progress)
	if s.ProgressText != "" {
		said += ", " + s.ProgressText
	}
	if left, ok := s.Left(now); ok {
		said += ", about " + text.Distance(left) + " left"
	}
	return said
}

// latest returns the time of the last change of a run.
func latest(r Run) time.Time {
	for _, t := range []time.Time{r.Ended, r.Started, r.Created} {
		if !t.IsZero() {
			return t
		}
	}
	return time.Time{}
}

// tone returns the CSS class of a step's state: the kinds of failure share one.
func tone(state store.StepState) string {
	switch state {
	case store.StepOK, store.StepRunning, store.StepWaiting:
		return string(state)
	default:
		return "bad"
	}
}

// barView is a run's time line: one segment per step, whose width shows how long the step took.
type barView struct {
	Label    string
	Segments []segmentView
}

type segmentView struct {
	X, W  string // percent
	Class string
	Title string
}

// least is the minimum width of a segment, in percent, before all are scaled (see shares).
const least = 0.8

func newBar(now time.Time, r Run) barView {
	var bar barView
	seconds := make([]float64, len(r.Steps))
	total, known := 0.0, 0
	for i, s := range r.Steps {
		if seconds[i] = s.Seconds(now); !s.Started.IsZero() {
			total += seconds[i]
			known++
		}
	}
	// Pending steps have no duration yet: each gets the mean of the started ones.
	for i, s := range r.Steps {
		if s.Started.IsZero() && r.Outcome == "" {
			seconds[i] = math.Max(total, 1) / math.Max(float64(known), 1)
		}
	}
	widths := shares(seconds)
	x := 0.0
	var said []string
	for i, s := range r.Steps {
		title := s.Name + ": " + string(s.State)
		if !s.Started.IsZero() {
			title += ", " + text.Elapsed(time.Duration(s.Seconds(now)*float64(time.Second)))
		}
		said = append(said, title)
		bar.Segments = append(bar.Segments,
			segmentView{X: decimal(x), W: decimal(widths[i]), Class: tone(s.State), Title: title})
		x += widths[i]
	}
	bar.Label = strings.Join(said, "; ")
	if bar.Label == "" {
		bar.Label = "no step has begun"
	}
	return bar
}

// shares converts lengths into percentages of their sum. Those below least are raised to it; then all are scaled so
// that together they are 100.
func shares(lengths []float64) []float64 {
	sum := 0.0
	for _, l := range lengths {
		sum += l
	}
	out := make([]float64, len(lengths))
	total := 0.0
	for i, l := range lengths {
		if sum > 0 {
			out[i] = 100 * l / sum
		}
		out[i] = math.Max(out[i], least)
		total += out[i]
	}
	for i := range out {
		out[i] *= 100 / total
	}
	return out
}

// decimal formats a coordinate with two places, which are finer than a pixel.
func decimal(f float64) string {
	return strings.TrimRight(strings.TrimRight(fmt.Sprintf("%.2f", f), "0"), ".")
}

type releaseView struct {
	Digest, Short, State, Class, Accuracy, Range string
	At                                           timeView
}

func newReleaseView(now time.Time, r Release) releaseView {
	v := releaseView{
		Digest: r.Digest, Short: text.Digest(r.Digest), State: strings.ReplaceAll(string(r.State), "_", " "),
		Class: string(r.State), At: newTime(now, r.Created), Accuracy: "not measured",
	}
	if a := r.Accuracy; a != nil {
		v.Accuracy, v.Range = text.Percent(a.After), interval(a.Low, a.High)
	}
	return v
}
