package main

// classifierRows returns the rows that compare the embedded classifier with scikit-learn, on real texts (which may be
// missing) and on generated ones.
func classifierRows() []row {
	var list []row
	for _, set := range []struct{ name, what string }{
		{"gnad10", "700 German news articles"},
		{"appstream", "850 German app descriptions, five times"},
		{"debian", "5,635 package descriptions"},
		{"generated", "17,000 generated texts"},
	} {
		for _, r := range []row{
			// At most half a point below 75 points.
			{Name: "right answers", Metric: "%right", Goal: new(0.993), GoalIsRatio: true},
			{Name: "training", Metric: "cpu-s", Goal: new(0.1), GoalIsRatio: true},
			{Name: "size", Metric: "MB"},
			{Name: "one text", Metric: "ms/text"},
			{Name: "calibration error", Metric: "%ece"},
		} {
			r.Name = "classifier, " + set.what + ", " + r.Name + " (peer: scikit-learn)"
			r.Package, r.Bench, r.Peer = "./classifier", "BenchmarkSet/"+set.name, "BenchmarkScikitLearn/"+set.name
			r.PeerMayLack, r.MayLack = true, set.name != "generated"
			list = append(list, r)
		}
	}
	return list
}
