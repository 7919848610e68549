// Package teacher lets a larger model label texts: the work of the built-in step label.
//
// It owns the record of answers (Book), which outlives runs: each answer is kept when it comes, under the model, the
// prompts and the text that it was given for, so that a kill or the end of the quiet hours repeats no more than the texts
// in flight. It owns the agreement of the model with people, and the overlay that an export puts over its training rows.
// People's labels win everywhere. It asks, and writes files; it never writes to a source of labels.
package teacher
