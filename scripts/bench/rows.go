package main

// rows is the whole report. A benchmark that is asked for has its line here; one without a line is not measured.
var rows = []row{
	{Name: "status page, one snapshot to HTML", Package: "./status", Bench: "BenchmarkPage", Metric: "ns/op", Goal: new(5e6)},
	{Name: "GPU gate, one sample judged", Package: "./gpu", Bench: "BenchmarkGate", Metric: "ns/op", Goal: new(50e3)},
	{Name: "policy, decide to hold", Package: "./policy", Bench: "BenchmarkDecide/hold", Metric: "ns/op", Goal: new(5e3)},
	{Name: "policy, decide to retrain", Package: "./policy", Bench: "BenchmarkDecide/trip", Metric: "ns/op", Goal: new(5e3)},
	{Name: "policy, recorded evaluations decided again", Package: "./policy", Bench: "BenchmarkBacktest", Metric: "evaluations/core-s", Goal: new(1e6), MoreIsWell: true},
	{Name: "configuration of 1,000 models, load", Package: "./configs", Bench: "BenchmarkLoad/1000", Metric: "ms", Goal: new(200.0)},
	{Name: "label change, 100,000 held-out items", Package: "./drift", Bench: "BenchmarkLabelChange/100000", Metric: "ns/op"},
	{Name: "label change, 1,000,000 (peer: 100,000)", Package: "./drift", Bench: "BenchmarkLabelChange/1000000", Metric: "ns/op", Peer: "BenchmarkLabelChange/100000"},
	{Name: "e-CUSUM, one label", Package: "./drift", Bench: "BenchmarkECUSUM", Metric: "ns/op", Goal: new(1e3)},
	{Name: "e-CUSUM, allocations", Package: "./drift", Bench: "BenchmarkECUSUM", Metric: "allocs/op", Goal: new(0.0)},
	{Name: "memory of a held-out item, of 1,000,000", Package: "./drift", Bench: "BenchmarkMemory", Metric: "B/item", Goal: new(200.0)},
	{Name: "scoring unseen texts (peer: bare load)", Package: "./drift", Bench: "BenchmarkScore", Metric: "texts/s", Peer: "BenchmarkScoreBare", Goal: new(0.8), GoalIsRatio: true, MoreIsWell: true},
	{Name: "classifier, train 1,680 texts", Package: "./classifier", Bench: "BenchmarkTrain", Metric: "s", Goal: new(5.0)},
	{Name: "classifier, one text", Package: "./classifier", Bench: "BenchmarkClassify", Metric: "ns/op"},
	{Name: "store, one commit (peer: write, fsync)", Package: "./store", Bench: "BenchmarkCommit", Metric: "ns/op", Peer: "BenchmarkFsync"},
	{Name: "outbox drain (peer: bare publish)", Package: "./internal/daemon", Bench: "BenchmarkDrain", Metric: "events/s", Peer: "BenchmarkPublish"},
}
