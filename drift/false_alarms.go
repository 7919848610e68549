package drift

import (
	"math/rand/v2"
)

// mostDrawn limits the items that FalseAlarms draws for a threshold, unless ten years need more; a million take about
// 0.2 s.
const mostDrawn = 5e6

// FalseAlarms returns how often each threshold would trip in a year if nothing changed. It simulates the given number
// of years, or fewer if many items arrive, always with the same seed: perDay held-out items arrive daily, with labels
// and wrong answers distributed as in the report, and the figures over all items are checked once a day. A threshold
// that trips counts once and restarts from the report, as after a promotion. Without data the results are 0.
func FalseAlarms(r Report, perDay float64, years int, trips []func(Report) bool) []float64 {
	out := make([]float64, len(trips))
	if r.Scored <= 0 || years <= 0 || !(perDay > 0) {
		return out
	}
	years = min(years, max(10, int(mostDrawn/(365*perDay))))
	rng := rand.New(rand.NewPCG(3, 4))
	start := make([]tally, len(r.Category))
	var support, missed []int // cumulative counts: of items by label, and of wrong answers by answer
	for i, c := range r.Category {
		start[i] = tally{support: c.Support, predicted: c.Predicted, correct: c.Correct}
		support, missed = append(support, c.Support), append(missed, c.Predicted-c.Correct)
		if i > 0 {
			support[i] += support[i-1]
			missed[i] += missed[i-1]
		}
	}
	last := len(r.Category) - 1
	if last < 0 || support[last] <= 0 {
		return out
	}
	const tries = 20
	pick := func(cumulative []int) int {
		if cumulative[last] == 0 {
			return 0
		}
		at := rng.IntN(cumulative[last])
		for i, n := range cumulative {
			if at < n {
				return i
			}
		}
		return last
	}
	now := r
	for t, trip := range trips {
		for range years {
			rows := append([]tally(nil), start...)
			n, correct := r.Scored, r.Correct
			due := rng.Float64()
			for range 365 {
				for due += perDay; due >= 1; due-- {
					label := pick(support)
					n++
					rows[label].support++
					if c := r.Category[label]; rng.IntN(max(c.Support, 1)) < c.Correct {
						rows[label].predicted++
						rows[label].correct++
						correct++
						continue
					}
					for range tries { // a wrong answer must be another category
						if answer := pick(missed); answer != label {
							rows[answer].predicted++
							break
						}
					}
				}
				s := scores(rows, n, correct, true)
				now.Scored, now.Correct, now.Accuracy, now.MacroF1 = n, correct, s.Accuracy, s.MacroF1
				now.Category = make([]Category, len(rows))
				for i, row := range rows {
					now.Category[i] = Category{
						Name: r.Category[i].Name, Support: row.support, Predicted: row.predicted,
						Correct: row.correct, Recall: row.recall(),
					}
				}
				if trip(now) {
					out[t]++
					rows, n, correct = append(rows[:0], start...), r.Scored, r.Correct
				}
			}
		}
		out[t] /= float64(years)
	}
	return out
}
