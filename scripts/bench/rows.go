package main

// rows is the whole report. A benchmark that is asked for has its line here; one without a line is not measured.
var rows = []row{
	{Name: "status page, one snapshot to HTML", Package: "./status", Bench: "BenchmarkPage", Metric: "ns/op", Goal: 5e6},
	{Name: "GPU gate, one sample judged", Package: "./gpu", Bench: "BenchmarkGate", Metric: "ns/op", Goal: 50e3},
}
