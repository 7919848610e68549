// Package evaluator runs the loop of a model: it evaluates when labels have changed, decides by the policy,
// records decisions with their reasons, and starts the runs that the policy calls for.
//
// It defines the order of one evaluation (new labels, unscored texts, report, decision, record, run), audits the
// figures each night, checks for suspicious relabels, and stores the hold and the request of a model.
//
// Threading: a Loop runs in one goroutine; its methods other than Run are safe for concurrent use.
//
// It never executes a run (package actions does), never reads a source of labels (package ingest does), and never
// answers a user (package backend does).
package evaluator
