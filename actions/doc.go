// Package actions executes a decision: a run with its steps, from the export to a verified deployment or a rollback.
//
// It owns the plan of a run, the pure rule for a run's next action (Next), the step kinds, the comparison of a
// candidate (gate), the verification of a deployment (verify), and the durable workflow that executes a run. Next uses
// no clock and no I/O. Every action is idempotent. One Executor serves many runs at once; runs of one model never
// overlap. The package never decides whether to retrain, never changes anything without recording it first, and never
// lets the link `current`, which services follow, point to anything but a complete release.
package actions
