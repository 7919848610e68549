// Package serving asks the deployed classifier and turns its answers into canonical values.
//
// It owns the configuration of the service (Config), what an answer or a label of a target means (Target), the client that
// asks for many texts at once (Scorer), the question how the service is (Health), and the errors that separate a service
// that is away (ErrAsleep) from one whose answer cannot be used (ErrService).
//
// Targets and Answers are values; a Scorer is safe for concurrent use and keeps its connections. It stores nothing, judges
// no answer by a label, and never takes a missing answer for a wrong one.
package serving
