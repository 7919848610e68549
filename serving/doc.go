// Package serving asks the deployed classifier and turns its answers into canonical values.
//
// It owns the configuration of the service (Config), the meaning of a target's answers and labels (Target), the client
// that asks for many texts at once (Scorer), the health check (Health), and the errors that separate an unreachable
// service (ErrAsleep) from an unusable answer (ErrService).
//
// Targets and Answers are values; a Scorer is safe for concurrent use and keeps its connections. The package stores
// nothing, compares no answer with a label, and never treats a missing answer as a wrong one.
package serving
