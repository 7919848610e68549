package quiethours

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/teambition/rrule-go"

	"github.com/retraind/retraind/internal/text"
)

// seriesEnd is the date up to which a series is expanded if it has no end, or a later one.
var seriesEnd = time.Date(2099, 12, 31, 0, 0, 0, 0, time.UTC)

// mostRepetitions is the maximum number of repetitions of an event: weekly for a century.
const mostRepetitions = 5300

// untilTime matches an UNTIL with a time, so that the time can be replaced by the end of the day. Otherwise the rule
// parser could interpret it as a different day than the calendar does.
var untilTime = regexp.MustCompile(`(?i)(UNTIL=\d{8})T\d{6}Z?`)

// repetitions lists the start times of the event and its repetitions (RFC 5545, 3.8.5): the event's start, those of the
// rule and added dates, without excluded dates.
func (e *event) repetitions() (starts []time.Time, err error) {
	defer func() { // the library panics on some impossible rules, such as the sixth Friday of a month
		if r := recover(); r != nil {
			err = fmt.Errorf("the repetition %s cannot be read: it has an impossible part", text.Cut(e.rule, 60))
		}
	}()
	starts = append([]time.Time{e.start}, e.also...)
	if e.rule != "" {
		option, err := rrule.StrToROption(untilTime.ReplaceAllString(strings.ToUpper(e.rule), "${1}T235959Z"))
		if err != nil {
			return nil, fmt.Errorf("the repetition %s cannot be read: %w", text.Cut(e.rule, 60), err)
		}
		if option.Freq > rrule.DAILY {
			return nil, fmt.Errorf("the repetition %s is more frequent than daily", text.Cut(e.rule, 60))
		}
		option.Dtstart = e.start
		if option.Until.IsZero() || option.Until.After(seriesEnd) {
			option.Until = seriesEnd
		}
		rule, err := rrule.NewRRule(*option)
		if err != nil {
			return nil, fmt.Errorf("the repetition %s cannot be read: %w", text.Cut(e.rule, 60), err)
		}
		next := rule.Iterator()
		for t, ok := next(); ok; t, ok = next() {
			if starts = append(starts, t); len(starts) > mostRepetitions {
				return nil, fmt.Errorf("the repetition %s has more than %d dates", text.Cut(e.rule, 60), mostRepetitions)
			}
		}
	}
	slices.SortFunc(starts, time.Time.Compare)
	starts = slices.CompactFunc(starts, time.Time.Equal)
	return slices.DeleteFunc(starts, func(t time.Time) bool {
		return slices.ContainsFunc(e.not, func(not time.Time) bool {
			// Some programs exclude an all-day date by its midnight in UTC or by the date alone.
			return not.Equal(t) || not.Equal(t.Truncate(24*time.Hour))
		})
	}), nil
}
