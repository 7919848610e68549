// Package playback runs policies over time without a model: tests of a policy over invented figures (Case), and
// recorded history decided again by the same or another policy (Backtest).
//
// It owns the files of policy tests, the daemon's loop in virtual time, and the comparison of results. Everything
// is pure and deterministic; every decision is made by package policy. It never reads a clock, a file or a store.
package playback
