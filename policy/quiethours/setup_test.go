package quiethours_test

import "github.com/retraind/retraind/internal/policytest"

const (
	hour = policytest.Hour
	day  = policytest.Day
)

// Short names for the shared helpers.
var (
	arithmetic = policytest.Arithmetic
	zone       = policytest.Zone
	clock      = policytest.Clock
	days       = policytest.Days
	night      = policytest.Night
	noon       = policytest.Noon
)

const holidays = "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nSUMMARY:Christmas and a very long\r\n  name\r\nDTSTART;VALUE=DATE:20261225\r\nDTEND;VALUE=DATE:20261227\r\nEND:VEVENT\r\n" +
	"BEGIN:VEVENT\r\nDTSTART;TZID=Europe/Berlin:20261120T100000\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
