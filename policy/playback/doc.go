// Package playback plays policies over time without a model: tests of a policy over invented figures (Case), and a record
// of what happened decided again by the same or another policy (Backtest).
//
// It owns the files of policy tests, the daemon's loop in virtual time, and what is compared. Everything is pure and
// deterministic; every decision is made by policy itself. It never reads a clock, a file or a store.
package playback
