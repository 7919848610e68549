package policy

import (
	"fmt"
	"strings"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/retraind/retraind/internal/unit"
)

// MaxRequestAge is the maximum age of a request. An older request is not carried out, because it may have been queued
// during an outage or while the host was suspended.
const MaxRequestAge = 10 * time.Minute

// Schedule is a compiled cron line. When the clocks change, a skipped time is left out and a repeated time is used
// twice. That does no harm, because a schedule only adds evaluations.
type Schedule struct {
	spec cron.Schedule
	loc  *time.Location
}

// ParseSchedule parses a cron line of five fields (minute, hour, day of month, month, day of week), @hourly,
// @daily, @weekly, @monthly, @yearly, or "@every 30m". The time zone is loc; a line cannot set its own.
func ParseSchedule(line string, loc *time.Location) (s Schedule, err error) {
	bad := func(hint, format string, args ...any) (Schedule, error) {
		return Schedule{}, &unit.Error{
			Message: fmt.Sprintf("schedule %q: ", cutText(line)) + fmt.Sprintf(format, args...),
			Hint:    hint,
		}
	}
	// The parser panics on some malformed zone prefixes; these are refused before it is called. Any other panic is
	// treated as an error in the line.
	defer func() {
		if r := recover(); r != nil {
			s, err = bad("write five fields, as in 30 2 * * *", "cannot be read")
		}
	}()
	trimmed := strings.TrimSpace(line)
	switch {
	case strings.Contains(strings.ToUpper(trimmed), "TZ="):
		return bad("set timezone at the top of the file", "a schedule cannot name a time zone")
	case strings.HasPrefix(trimmed, "@every"):
		every, perr := unit.ParseDuration(strings.TrimSpace(strings.TrimPrefix(trimmed, "@every")))
		if perr != nil {
			return bad("write @every 30m", "%v", perr)
		}
		if every < unit.Duration(time.Second) {
			return bad("write @every 30m", "%s is too short", every)
		}
		return Schedule{cron.Every(every.D()), loc}, nil
	case strings.HasPrefix(trimmed, "@reboot"):
		return bad("remove it: the daemon evaluates at its start anyway", "@reboot is not a time")
	case !strings.HasPrefix(trimmed, "@") && len(strings.Fields(trimmed)) != 5:
		return bad("write minute, hour, day of month, month and day of week, as in 30 2 * * *", "%d fields instead of 5",
			len(strings.Fields(trimmed)))
	}
	spec, perr := cron.ParseStandard(trimmed)
	if perr != nil {
		return bad(scheduleHint(trimmed), "%v", perr)
	}
	s = Schedule{spec, loc}
	if s.Next(time.Date(2026, 1, 1, 0, 0, 0, 0, loc)).IsZero() {
		return bad("check day and month", "no such date exists")
	}
	return s, nil
}

// scheduleHint returns a hint if a line uses the syntax of other cron implementations.
func scheduleHint(line string) string {
	fields := strings.Fields(line)
	if len(fields) != 5 {
		return "the words are @hourly, @daily, @weekly, @monthly, @yearly and @every 30m"
	}
	switch dow := strings.ToLower(fields[4]); {
	case strings.Contains(dow, "7"):
		return "write 0 or SUN for Sunday"
	case strings.Contains(dow, "-") && strings.ContainsAny(dow, "abcdefghijklmnopqrstuvwxyz"):
		return "the week starts on Sunday: write FRI,SAT,SUN,MON instead of FRI-MON"
	}
	return "write minute 0-59, hour 0-23, day 1-31, month 1-12 and day of week 0-6, as in 30 2 * * *"
}

// Next returns the first time after t, zero without a schedule.
func (s Schedule) Next(t time.Time) time.Time {
	if s.spec == nil {
		return time.Time{}
	}
	return s.spec.Next(t.In(s.loc))
}
