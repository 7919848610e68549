// Package evaluator runs the loop of a model: it evaluates when labels have changed, decides by the policy,
// records decisions with their reasons, and starts the runs that the policy calls for.
//
// It owns the order of one evaluation (new labels, unscored texts, report, decision, record, run), the nightly
// audit of the figures, the judgement of suspicious relabels, and the stored hold and request of a model.
//
// Threading: a Loop is one goroutine; its methods other than Run are safe for concurrent use.
//
// It never executes a run, never reads a source of labels, and never talks to a user: package actions executes,
// package ingest reads, package backend answers.
package evaluator
