// Package playback runs policies over time without a model. A Case tests a policy on invented figures. A Backtest shows
// what the same or another policy would have decided on recorded history.
//
// It owns the files of policy tests, the daemon's loop in virtual time, and the comparison of results. Everything
// is pure and deterministic; every decision is made by package policy. It never reads a clock, a file or a store.
package playback
