// Package crashtest tests that a daemon killed at any point loses nothing and does nothing twice.
//
// It has tests only. They build the real program with the tag "faults" and run a short scenario (first release,
// corrections, another run) on a real PostgreSQL with the real classifier service: once to count the points of package
// faults, then once for each point with SIGKILL there. After a kill the daemon is started again and the scenario
// continues; then files, event stream and processes are compared with what was done.
//
// TestKillsAside kills at random times instead: daemon, supervisor or both, 1,000 times in the soak, whose service and
// training cost next to nothing. It prints its seed, which RETRAIND_SEED repeats.
//
// Two scenarios run at a time, each with its own database and state directory. The package never runs under the race
// detector, which would not see the child processes: scripts/test.sh runs it without.
package crashtest
