package policy_test

import "github.com/retraind/retraind/internal/policytest"

const (
	hour = policytest.Hour
	day  = policytest.Day
)

// Short names for the shared helpers.
var (
	arithmetic = policytest.Arithmetic
	zones      = policytest.Zones
	zone       = policytest.Zone
	below      = policytest.Below
	night      = policytest.Night
	config     = policytest.Config
	compile    = policytest.Compile
	noon       = policytest.Noon
	healthy    = policytest.Healthy
	wrong      = policytest.Wrong
)
