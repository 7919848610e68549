// Package actions carries a decision out: a run with its steps, from export to verified deployment or back.
//
// It owns the plan of a run, the pure rule that says what a run does next (Next), the step kinds, the proof of a
// candidate (gate) and of a deployment (verify), and the durable workflow that executes them. Next has no clock and no
// I/O; everything else may be entered twice and finds its own traces. One Executor serves many runs at once; runs of
// one model never overlap. It never decides whether to retrain, never touches what it has not recorded first, and never
// leaves `current` pointing at anything but a complete release.
package actions
