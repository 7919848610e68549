package main

// way returns the diagram of the path of a label change through the stages, and of what each stage stores.
func way() picture {
	return picture{
		title: "From a corrected label to an event",
		description: "Label changes flow through watch, ingest, drift, policy and a run to the classifier service, " +
			"and as events to NATS. Each stage continues from what it has stored.",
		width: 940, height: 330,
		boxes: []box{
			{10, 20, 150, "label sources", []string{"PostgreSQL table,", "files, NATS, webhooks"}, "outside"},
			{200, 20, 150, "watch", []string{"reads changes;", "stores the position"}, "stage"},
			{390, 20, 150, "ingest", []string{"applies changes;", "stores the items"}, "stage"},
			{580, 20, 150, "drift", []string{"updates the figures;", "stores the answers"}, "stage"},
			{770, 20, 160, "policy", []string{"decides; stores the", "decision with reasons"}, "stage"},
			{770, 140, 160, "run", []string{"export, train, gate,", "release, verify;", "a journal of each step"}, "stage"},
			{580, 148, 150, "classifier service", []string{"serves the champion"}, "outside"},
			{770, 266, 160, "notify", []string{"publishes the outbox"}, "stage"},
			{580, 266, 150, "NATS", []string{"events for subscribers"}, "outside"},
			{200, 140, 340, "quiet hours, cooldown, budget, breaker", []string{"limits in the policy: a retrain that waits", "is a stored decision, not a sleeping process"}, "outside"},
		},
		arrows: []arrow{
			{points: []int{160, 55, 198, 55}},
			{points: []int{350, 55, 388, 55}},
			{points: []int{540, 55, 578, 55}},
			{points: []int{730, 55, 768, 55}, label: "report", at: [2]int{732, 14}},
			{points: []int{850, 91, 850, 138}, label: "decision", at: [2]int{858, 120}},
			{points: []int{770, 172, 732, 172}},
			{points: []int{640, 148, 640, 93}, label: "answers to held-out texts", at: [2]int{480, 124}},
			{points: []int{850, 228, 850, 264}, label: "events", at: [2]int{858, 250}},
			{points: []int{770, 290, 732, 290}},
		},
	}
}
