package main

// run returns the diagram of a run: forward through the steps, or back through the undo steps.
func run() picture {
	p := picture{
		title: "The life of a run",
		description: "Export, train, gate, release, restart and verify lead to promoted. A failure before the release " +
			"ends as rejected, failed, cancelled or blocked. A failure after it undoes the steps, proves the " +
			"previous release and ends as rolled back; if that fails too, the model is held.",
		width: 940, height: 330,
	}
	steps := []struct {
		title string
		line  string
	}{
		{"export", "data, split"},
		{"train", "your command"},
		{"gate", "comparison"},
		{"release", "switch of the link"},
		{"restart", "your command"},
		{"verify", "proof"},
	}
	const first, pitch, width = 10, 132, 116
	for i, s := range steps {
		x := first + pitch*i
		p.boxes = append(p.boxes, box{x, 20, width, s.title, []string{s.line}, "stage"})
		p.arrows = append(p.arrows, arrow{points: []int{x + width, 47, x + pitch - 2, 47}})
	}
	p.boxes = append(
		p.boxes,
		box{802, 20, 128, "promoted", []string{"the champion"}, "good"},
		box{10, 150, 380, "rejected, failed, cancelled or blocked", []string{"the steps are undone; the champion keeps serving"}, "bad"},
		box{406, 150, 248, "undo", []string{"release, then your undo commands"}, "stage"},
		box{670, 150, 116, "proof", []string{"previous release"}, "stage"},
		box{802, 150, 128, "rolled_back", []string{"previous champion"}, "bad"},
		box{670, 258, 260, "failed, and the model is held", []string{"until a person has checked"}, "bad"},
	)
	back := func(points ...int) { p.arrows = append(p.arrows, arrow{points: points, retreat: true}) }
	back(68, 74, 68, 148)
	back(200, 74, 200, 148)
	back(332, 74, 332, 148)
	back(464, 74, 464, 148)
	back(596, 74, 596, 148)
	back(728, 74, 728, 112, 630, 112, 630, 148)
	p.arrows = append(
		p.arrows,
		arrow{points: []int{654, 177, 668, 177}},
		arrow{points: []int{786, 177, 800, 177}, label: "", at: [2]int{0, 0}},
		arrow{points: []int{728, 204, 728, 256}, label: "not proved", at: [2]int{736, 234}, retreat: true},
	)
	return p
}
