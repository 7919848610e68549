package main

import (
	"fmt"
	"math"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"github.com/retraind/retraind/configs"
	"github.com/retraind/retraind/internal/unit"
)

// mostSwept limits the number of values of a sweep.
const mostSwept = 200

var sweepRange = regexp.MustCompile(`^([0-9]+(?:\.[0-9]+)?)([a-zA-Z%]*)\.\.([0-9]+(?:\.[0-9]+)?)([a-zA-Z%]*)(?::([0-9]+(?:\.[0-9]+)?)([a-zA-Z%]*))?$`)

// parseSweep parses "key=1..5", "key=1..3:0.5", "key=12h..48h:12h" or "key=a,b,c".
func parseSweep(text string) (key string, values []string, err error) {
	key, list, ok := strings.Cut(text, "=")
	if !ok || key == "" || list == "" {
		return "", nil, fmt.Errorf("%q: %w", text, errSweep)
	}
	m := sweepRange.FindStringSubmatch(list)
	if m == nil {
		if strings.Contains(list, "..") {
			return "", nil, fmt.Errorf("%q: %w", text, errSweep)
		}
		values = strings.Split(list, ",")
		if len(values) > mostSwept {
			return "", nil, fmt.Errorf("%q: %d values; at most %d are allowed", text, len(values), mostSwept)
		}
		return key, values, nil
	}
	from, to, step, suffix := number(m[1]), number(m[3]), 1.0, m[4]
	if m[5] != "" {
		step = number(m[5])
	}
	if m[2] != suffix && m[2] != "" || m[6] != suffix && m[6] != "" {
		return "", nil, fmt.Errorf("%q: the bounds and the step of the range have different units", text)
	}
	n := int(math.Floor((to-from)/step + 1e-9))
	if step == 0 || n < 0 || n >= mostSwept {
		return "", nil, fmt.Errorf("%q: not a range of 1 to %d values", text, mostSwept)
	}
	for i := range n + 1 {
		values = append(values, strconv.FormatFloat(math.Round((from+float64(i)*step)*1e9)/1e9, 'f', -1, 64)+suffix)
	}
	return key, values, nil
}

func number(text string) float64 {
	f, _ := strconv.ParseFloat(text, 64) // the pattern admits only numbers; a huge one is infinite, and no range
	return f
}

// belowFloor returns the accuracy below which days are counted, or 0 if no days are counted: that of --floor, else
// accuracy_below of the edited policies. If a sweep changes accuracy_below, it is that of the file, so that the days of
// all values can be compared.
func (o backtest) belowFloor(file *configs.File, edited []*configs.File, model string) (float64, error) {
	if o.floor != "" {
		var p unit.Percent
		if err := p.UnmarshalText([]byte(o.floor)); err != nil {
			return 0, fail(exitUsage, "--floor: %w", err)
		}
		return p.F(), nil
	}
	of := func(f *configs.File) float64 {
		if b := f.Models[model].Policy.RetrainWhen.AccuracyBelow; b != nil {
			return b.Share.F()
		}
		return 0
	}
	floor := of(edited[0])
	for _, e := range edited {
		if of(e) != floor {
			return of(file), nil
		}
	}
	return floor, nil
}

// keysOf lists the YAML keys of a struct.
func keysOf(v any) []string {
	var keys []string
	for t, i := reflect.TypeOf(v), 0; i < t.NumField(); i++ {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ",")
		keys = append(keys, name)
	}
	return keys
}
