package playback

import (
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/internal/check"
	"github.com/retraind/retraind/internal/text"
	"github.com/retraind/retraind/internal/unit"
	"github.com/retraind/retraind/policy"
)

// seriesNames are the names of the series in a test; a name that ends in a dot is followed by a category's name.
var seriesNames = []string{
	"accuracy", "macro_f1", "scored", "changed", "psi", "right_to_wrong", "wrong_to_right", "new_items", "new_errors",
	"alarmed", "state",
	"recall.", "support.", "new.",
}

// states are the values of the series state.
var states = []string{
	string(drift.StateOK), string(drift.StateNoRelease), string(drift.StateUnscored), string(drift.StateInsufficient),
	string(drift.StateAsleep), string(drift.StateForeign), string(drift.StateError),
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func validSeries(name string) error {
	for _, n := range seriesNames {
		if name == n && !strings.HasSuffix(n, ".") || strings.HasSuffix(n, ".") && strings.HasPrefix(name, n) &&
			len(name) > len(n) {
			return nil
		}
	}
	hint := "the names are accuracy, macro_f1, scored, changed, psi, right_to_wrong, wrong_to_right, new_items, " +
		"new_errors, alarmed, state, recall.CATEGORY, support.CATEGORY, new.CATEGORY"
	if near := check.Nearest(name, seriesNames); near != "" {
		hint = fmt.Sprintf("did you mean %q?", near)
	}
	return &unit.Error{Message: fmt.Sprintf("unknown figure %q", text.Cut(name, 60)), Hint: hint}
}

func knownReason(r policy.Reason) error {
	if r == "" || slices.Contains(policy.Reasons(), r) {
		return nil
	}
	var names []string
	for _, k := range policy.Reasons() {
		names = append(names, string(k))
	}
	hint := "the reasons are " + strings.Join(names, ", ")
	if near := check.Nearest(string(r), names); near != "" {
		hint = fmt.Sprintf("did you mean %q?", near)
	}
	return &unit.Error{Message: fmt.Sprintf("unknown reason %q", text.Cut(string(r), 60)), Hint: hint}
}

// sample is one value of a series: a number, or a word for the state. given is false for a step without a value.
type sample struct {
	given bool
	value float64
	word  string
}

var seriesPart = regexp.MustCompile(`^([0-9]+(?:\.[0-9]+)?)(%?)(?:([+-])([0-9]+(?:\.[0-9]+)?)(%?))?(?:x0*[1-9][0-9]{0,4})?$`)

// mostSamples is the maximum length of a series: hourly values for more than ten years.
const mostSamples = 100_000

// parseSeries parses values over time: "91%" is one value, "91%x3" is the value three times, "0+25x4" is 0 25 50 75,
// "_" is a step without a value, and "_x3" is three such steps. States are written as words: "ok asleepx3 ok".
func parseSeries(values string, words bool) ([]sample, error) {
	const hint = `write values such as "91% 90%x5 0.9-0.01x3", with _ for a step without a value`
	var out []sample
	for _, part := range strings.Fields(values) {
		name, times, repeated := strings.Cut(part, "x")
		n := 1
		if repeated {
			var err error
			if n, err = strconv.Atoi(times); err != nil || n < 1 {
				name, n = part, 1
			}
		}
		if len(out)+n > mostSamples {
			return nil, &unit.Error{
				Message: fmt.Sprintf("the series has more than %d values", mostSamples),
				Hint:    "make the step longer",
			}
		}
		m := seriesPart.FindStringSubmatch(part)
		switch {
		case name == "_":
			out = append(out, slices.Repeat([]sample{{}}, n)...)
		case words && slices.Contains(states, name):
			out = append(out, slices.Repeat([]sample{{given: true, word: name}}, n)...)
		case m != nil && !words:
			start, step := scaled(m[1], m[2]), scaled("0"+m[4], m[5])
			if m[3] == "-" {
				step = -step
			}
			for i := range n {
				out = append(out, sample{given: true, value: math.Round((start+float64(i)*step)*1e12) / 1e12})
			}
		case words:
			return nil, &unit.Error{
				Message: fmt.Sprintf("%q is not a state", text.Cut(part, 60)),
				Hint:    "the states are " + strings.Join(states, ", "),
			}
		default:
			return nil, &unit.Error{Message: fmt.Sprintf("%q is not a value of a series", text.Cut(part, 60)), Hint: hint}
		}
	}
	if len(out) == 0 {
		return nil, &unit.Error{Message: "the series is empty", Hint: hint}
	}
	return out, nil
}

// possible returns an error if a value is negative, or if that of a share is above 100%.
func possible(name string, values []sample) error {
	share := name == "accuracy" || name == "macro_f1" || strings.HasPrefix(name, "recall.")
	for _, v := range values {
		switch {
		case v.value < 0:
			return &unit.Error{Message: fmt.Sprintf("the value %v is negative", v.value), Hint: "write fewer or smaller steps"}
		case share && v.value > 1:
			return &unit.Error{Message: fmt.Sprintf("the value %v is more than 100%%", v.value), Hint: "write 91% or 0.91"}
		}
	}
	return nil
}

func scaled(number, percent string) float64 {
	f, _ := strconv.ParseFloat(number, 64) // the pattern matches numbers only
	if percent != "" {
		f /= 100
	}
	return f
}
