// Package teacher labels texts with a larger model. It implements the built-in step `label`.
//
// It owns the record of answers (Book), which is kept across runs: each answer is stored on arrival, by model,
// prompts and text, so that after a killed process or the end of the quiet hours at most the requests that were in
// progress are sent again. It also owns the figures of the model's agreement with people, and the overlay: the
// model's labels that an export adds to training rows without a label from a person. A Book is safe for concurrent
// use by one process. The package sends requests to the model and writes files; it never writes to a source of
// labels.
package teacher
