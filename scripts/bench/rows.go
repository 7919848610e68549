package main

// rows is the whole report. Only benchmarks with a row here are measured.
var rows = append(classifierRows(), []row{
	{
		Name: "status page, one snapshot to HTML", Package: "./status", Bench: "BenchmarkPage", Metric: "ns/op",
		Goal: new(5e6),
	},
	{Name: "GPU gate, one sample judged", Package: "./gpu", Bench: "BenchmarkGate", Metric: "ns/op", Goal: new(50e3)},
	{
		Name: "GPU probe, a child that queries the driver", Package: "./cmd/retraind", Bench: "BenchmarkGPUProbe", Metric: "ms",
		Goal: new(150.0),
	},
	{Name: "policy, decide to hold", Package: "./policy", Bench: "BenchmarkDecide/hold", Metric: "ns/op", Goal: new(50e3)},
	{
		Name: "policy, decide to retrain", Package: "./policy", Bench: "BenchmarkDecide/trip", Metric: "ns/op",
		Goal: new(50e3),
	},
	// The evaluations of a year, one every five minutes, must be decided again in a second.
	{
		Name: "policy, recorded evaluations decided again", Package: "./policy/playback", Bench: "BenchmarkBacktest",
		Metric: "evaluations/core-s", Goal: new(1.1e5),
	},
	{
		Name: "configuration of 1,000 models, load", Package: "./configs", Bench: "BenchmarkLoad/1000", Metric: "ms",
		Goal: new(200.0),
	},
	{
		Name: "label change, 100,000 held-out items (peer: scikit-learn)", Package: "./drift",
		Bench: "BenchmarkLabelChange/100000", Metric: "ns/op", Peer: "BenchmarkScikitLearn/100000", PeerMayLack: true,
		Goal: new(1e-4), GoalIsRatio: true,
	},
	{
		Name: "label change, 1,000,000 items (peer: scikit-learn, 100,000)", Package: "./drift",
		Bench: "BenchmarkLabelChange/1000000", Metric: "ns/op", Peer: "BenchmarkScikitLearn/100000", PeerMayLack: true,
		Goal: new(1e-4), GoalIsRatio: true,
	},
	{
		Name: "label change, 1,000,000 items (peer: 100,000 items)", Package: "./drift",
		Bench: "BenchmarkLabelChange/1000000", Metric: "ns/op", Peer: "BenchmarkLabelChange/100000", Goal: new(1.1),
		GoalIsRatio: true,
	},
	{
		Name: "label change, another of 1,000,000 each time", Package: "./drift", Bench: "BenchmarkLabelChange/1000000-cold",
		Metric: "ns/op", Peer: "BenchmarkScikitLearn/100000", PeerMayLack: true, Goal: new(1e-4), GoalIsRatio: true,
	},
	{
		Name: "e-CUSUM, one label", Package: "./drift/stats", Bench: "BenchmarkSequential/ecusum", Metric: "ns/op",
		Goal: new(1e3),
	},
	{
		Name: "e-CUSUM, allocations", Package: "./drift/stats", Bench: "BenchmarkSequential/ecusum", Metric: "allocs/op",
		Goal: new(0.0),
	},
	{
		Name: "e-process, one label", Package: "./drift/stats", Bench: "BenchmarkSequential/eprocess", Metric: "ns/op",
		Goal: new(1e3),
	},
	{
		Name: "e-process, allocations", Package: "./drift/stats", Bench: "BenchmarkSequential/eprocess", Metric: "allocs/op",
		Goal: new(0.0),
	},
	{
		Name: "memory of a held-out item, of 1,000,000", Package: "./drift", Bench: "BenchmarkMemory", Metric: "B/item",
		Goal: new(200.0),
	},
	{
		Name: "scoring 20,000 unseen texts (peer: bare load)", Package: "./serving", Bench: "BenchmarkScore",
		Metric: "texts/s", Peer: "BenchmarkScore", PeerMetric: "bare-texts/s", Goal: new(0.7), GoalIsRatio: true,
	},
	{Name: "classifier, train 1,680 texts", Package: "./classifier", Bench: "BenchmarkTrain", Metric: "s", Goal: new(5.0)},
	{Name: "classifier, one text", Package: "./classifier", Bench: "BenchmarkClassify", Metric: "ns/op"},
	{
		Name: "store, one commit (peer: write, fsync)", Package: "./store", Bench: "BenchmarkCommit", Metric: "ns/op",
		Peer: "BenchmarkFsync",
	},
	{
		Name: "outbox drain (peer: bare publish)", Package: "./internal/daemon", Bench: "BenchmarkDrain", Metric: "events/s",
		Peer: "BenchmarkPublish",
	},
	{
		Name: "writers, 8, triggers (peer: no capture)", Package: "./watch/postgres", Bench: "BenchmarkWriters/outbox/8",
		Metric: "tx/s", Peer: "BenchmarkWriters/none/8", Goal: new(0.9), GoalIsRatio: true,
	},
	{
		Name: "writers, 32, triggers (peer: no capture)", Package: "./watch/postgres", Bench: "BenchmarkWriters/outbox/32",
		Metric: "tx/s", Peer: "BenchmarkWriters/none/32", Goal: new(0.9), GoalIsRatio: true,
	},
	{
		Name: "writers, 8, the log (peer: no capture)", Package: "./watch/postgres", Bench: "BenchmarkWriters/logical/8",
		Metric: "tx/s", Peer: "BenchmarkWriters/none/8", Goal: new(0.95), GoalIsRatio: true,
	},
	{
		Name: "writers, 32, the log (peer: no capture)", Package: "./watch/postgres", Bench: "BenchmarkWriters/logical/32",
		Metric: "tx/s", Peer: "BenchmarkWriters/none/32", Goal: new(0.95), GoalIsRatio: true,
	},
	{
		Name: "writers, 8, pg_notify a row (peer: no capture)", Package: "./watch/postgres",
		Bench: "BenchmarkWriters/notify/8", Metric: "tx/s", Peer: "BenchmarkWriters/none/8",
	},
	{
		Name: "writers, 32, pg_notify a row (peer: no capture)", Package: "./watch/postgres",
		Bench: "BenchmarkWriters/notify/32", Metric: "tx/s", Peer: "BenchmarkWriters/none/32",
	},
	{
		Name: "writers, 8, a trigger that does nothing (peer: no capture)", Package: "./watch/postgres",
		Bench: "BenchmarkWriters/empty/8", Metric: "tx/s", Peer: "BenchmarkWriters/none/8",
	},
	{
		Name: "writers, 32, a trigger that does nothing (peer: no capture)", Package: "./watch/postgres",
		Bench: "BenchmarkWriters/empty/32", Metric: "tx/s", Peer: "BenchmarkWriters/none/32",
	},
	{
		Name: "writers, 8, a trigger that only inserts (peer: no capture)", Package: "./watch/postgres",
		Bench: "BenchmarkWriters/least/8", Metric: "tx/s", Peer: "BenchmarkWriters/none/8",
	},
	{
		Name: "writers, 32, a trigger that only inserts (peer: no capture)", Package: "./watch/postgres",
		Bench: "BenchmarkWriters/least/32", Metric: "tx/s", Peer: "BenchmarkWriters/none/32",
	},
	{
		Name: "writers of no label, triggers (peer: no capture)", Package: "./watch/postgres",
		Bench: "BenchmarkWritersElsewhere/outbox/8", Metric: "tx/s", Peer: "BenchmarkWritersElsewhere/none/8",
		Goal: new(0.95), GoalIsRatio: true,
	},
	{
		Name: "writers of no label, the log (peer: no capture)", Package: "./watch/postgres",
		Bench: "BenchmarkWritersElsewhere/logical/8", Metric: "tx/s", Peer: "BenchmarkWritersElsewhere/none/8",
		Goal: new(0.95), GoalIsRatio: true,
	},
	{
		Name: "100,000 rows in a statement, triggers (peer: none)", Package: "./watch/postgres",
		Bench: "BenchmarkStatement/outbox", Metric: "s", Peer: "BenchmarkStatement/none", Goal: new(2.0), GoalIsRatio: true,
	},
	{
		Name: "100,000 rows in a statement, the log (peer: none)", Package: "./watch/postgres",
		Bench: "BenchmarkStatement/logical", Metric: "s", Peer: "BenchmarkStatement/none", Goal: new(1.2), GoalIsRatio: true,
	},
	{
		Name: "commit to decision, triggers, p50", Package: "./internal/daemon", Bench: "BenchmarkCommitToDecision/p50",
		Metric: "ms", Goal: new(10.0),
	},
	{
		Name: "commit to decision, triggers, p99", Package: "./internal/daemon", Bench: "BenchmarkCommitToDecision/p99",
		Metric: "ms", Goal: new(50.0),
	},
	{
		Name: "commit to change, triggers, p50", Package: "./watch/postgres", Bench: "BenchmarkCommitToChange/outbox/p50",
		Metric: "ms", Goal: new(10.0),
	},
	{
		Name: "commit to change, triggers, p99", Package: "./watch/postgres", Bench: "BenchmarkCommitToChange/outbox/p99",
		Metric: "ms", Goal: new(50.0),
	},
	{
		Name: "commit to change, the log, p50", Package: "./watch/postgres", Bench: "BenchmarkCommitToChange/logical/p50",
		Metric: "ms", Goal: new(10.0),
	},
	{
		Name: "commit to change, the log, p99", Package: "./watch/postgres", Bench: "BenchmarkCommitToChange/logical/p99",
		Metric: "ms", Goal: new(50.0),
	},
	{
		Name: "1,000,000 changes, memory, triggers", Package: "./watch/postgres", Bench: "BenchmarkMillion/outbox",
		Metric: "MB", Goal: new(16.0),
	},
	{
		Name: "1,000,000 changes, memory, the log", Package: "./watch/postgres", Bench: "BenchmarkMillion/logical",
		Metric: "MB", Goal: new(16.0),
	},
	{
		Name: "1,000,000 changes, read, triggers", Package: "./watch/postgres", Bench: "BenchmarkMillion/outbox",
		Metric: "changes/s", Goal: new(1e5),
	},
	{
		Name: "1,000,000 changes, read, the log", Package: "./watch/postgres", Bench: "BenchmarkMillion/logical",
		Metric: "changes/s", Goal: new(1e5),
	},
	// With this goal, a table of 100,000 items is read ten seconds after the first start. SQLite takes most of this time.
	{
		Name: "a table's first read, into the monitor", Package: "./internal/daemon", Bench: "BenchmarkBacklog/table",
		Metric: "changes/s", Goal: new(1e4),
	},
	{
		Name: "a backlog of the outbox, into the monitor", Package: "./internal/daemon", Bench: "BenchmarkBacklog/outbox",
		Metric: "changes/s", Goal: new(1e4),
	},
	{
		Name: "whole export (peer: bare binary COPY)", Package: "./internal/daemon", Bench: "BenchmarkExport/ours",
		Metric: "rows/s", Peer: "BenchmarkExport/copy",
	},
	{
		Name: "whole export beside a daemon that knows the items", Package: "./internal/daemon",
		Bench: "BenchmarkExport/known", Metric: "rows/s",
	},
	{
		Name: "whole export (peer: psycopg's named cursor)", Package: "./internal/daemon", Bench: "BenchmarkExport/ours",
		Metric: "rows/s", Peer: "BenchmarkExport/psycopg", PeerMayLack: true, Goal: new(1.0), GoalIsRatio: true,
	},
	{
		Name: "1,000,000 rows exported, memory of the process", Package: "./internal/daemon", Bench: "BenchmarkExportMemory",
		Metric: "MB",
	},
	{
		Name: "1,000,000 rows exported, without the binary's pages", Package: "./internal/daemon",
		Bench: "BenchmarkExportMemory", Metric: "own-MB", Goal: new(32.0),
	},
	{
		Name: "table read for export (peer: psycopg's named cursor)", Package: "./watch/postgres",
		Bench: "BenchmarkExport/rows", Metric: "rows/s", Peer: "BenchmarkExport/psycopg", PeerMayLack: true, Goal: new(1.0),
		GoalIsRatio: true,
	},
	{
		Name: "table read for export (peer: bare binary COPY)", Package: "./watch/postgres", Bench: "BenchmarkExport/rows",
		Metric: "rows/s", Peer: "BenchmarkExport/copy",
	},
}...)
