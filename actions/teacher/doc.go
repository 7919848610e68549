// Package teacher labels texts with a larger model: the work of the built-in step label.
//
// It owns the record of answers (Book), which is kept across runs: each answer is stored on arrival, under the model,
// the prompts and the text, so that a kill or the end of the quiet hours repeats at most the requests in flight. It
// also owns the agreement of the model with people, and the overlay that an export applies to its training rows.
// People's labels always win. A Book is safe for concurrent use by one process. The package sends requests to the model
// and writes files; it never writes to a source of labels.
package teacher
