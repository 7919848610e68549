// Package crashtest proves that killing the daemon anywhere loses nothing and does nothing twice.
//
// It holds tests alone. They build the real program with the tag "faults", play a small story (first release,
// corrections, another run) on a real PostgreSQL with the real classifier service, once to count the points that are
// passed and then once for each of them with SIGKILL at that point. After each the daemon is started again, the story
// goes on, and what is left on disk, in the event stream and in the process table is compared with what was done.
// Stories run two at a time, each with a database and a state directory of its own. It never runs under the race
// detector: the processes that matter are not the test's own, and scripts/test.sh runs it without.
package crashtest
