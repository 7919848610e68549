package playback_test

import (
	"syscall"
	"testing"
	"time"

	"github.com/retraind/retraind/internal/policytest"
)

const (
	hour = policytest.Hour
	day  = policytest.Day
)

// Short names for the shared helpers.
var (
	zones   = policytest.Zones
	zone    = policytest.Zone
	config  = policytest.Config
	compile = policytest.Compile
	noon    = policytest.Noon
	healthy = policytest.Healthy
	wrong   = policytest.Wrong
)

// cpuTime returns the CPU time of this process on all cores.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
