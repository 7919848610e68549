// Package crashtest tests that a daemon killed at any point loses nothing and does nothing twice.
//
// It contains only tests. They build the real program with the tag "faults" and run a short scenario (first release,
// corrections, another run) on a real PostgreSQL with the real classifier service: once to list the points of package
// faults that the daemon passes, then once for each point, at which the daemon gets SIGKILL. After a kill the daemon is
// started again and the scenario continues. At the end the tests compare files, event stream and processes with what
// was done.
//
// TestKillsDuringGPUStop instead kills the daemon, a supervisor or both at random times, 1,000 times in the long run.
// Its service and training take almost no time. It prints its seed; RETRAIND_SEED sets it.
//
// TestCrash, TestCrashDuringGPUStop and TestKillsDuringGPUStop each limit how many of their scenarios run at a time.
// Each scenario has its own state directory, and its own database if it needs one. The package never runs under the
// race detector, which would not see the child processes.
package crashtest
