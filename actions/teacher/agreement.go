package teacher

import (
	"maps"
	"slices"

	"github.com/retraind/retraind/drift/stats"
)

// Agreement is the agreement of the model with people, measured over items that are not training data.
type Agreement struct {
	Target     string              `json:"target"`
	N          int                 `json:"n"` // items that both have labelled
	Agreed     int                 `json:"agreed"`
	Share      float64             `json:"share"`
	Low        float64             `json:"low"`  // Wilson 95%
	High       float64             `json:"high"` // Wilson 95%
	Kappa      float64             `json:"kappa"`
	Categories []CategoryAgreement `json:"categories"`
}

// CategoryAgreement is the agreement about one category against all others.
type CategoryAgreement struct {
	Name   string  `json:"name"`
	People int     `json:"people"` // items with this category as people's label
	Model  int     `json:"model"`  // items with this category as the model's label
	Both   int     `json:"both"`
	Recall float64 `json:"recall"` // Both / People; Low and High are its interval
	Low    float64 `json:"low"`
	High   float64 `json:"high"`
	Kappa  float64 `json:"kappa"`
}

// Agree computes the agreement from pairs of labels, people's first.
func Agree(target string, pairs [][2]string) Agreement {
	a := Agreement{Target: target, N: len(pairs)}
	people, model, both := map[string]int{}, map[string]int{}, map[string]int{}
	for _, p := range pairs {
		people[p[0]]++
		model[p[1]]++
		if p[0] == p[1] {
			both[p[0]]++
			a.Agreed++
		}
	}
	if a.N == 0 {
		return a
	}
	n := float64(a.N)
	a.Share = float64(a.Agreed) / n
	a.Low, a.High = stats.Wilson(a.Agreed, a.N)
	chance := 0.0
	for _, name := range slices.Sorted(maps.Keys(people)) { // in a fixed order, so that the sum is always the same
		chance += float64(people[name]) * float64(model[name]) / (n * n)
	}
	a.Kappa = kappa(a.Share, chance)
	names := maps.Clone(people)
	maps.Copy(names, model)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		c := CategoryAgreement{Name: name, People: people[name], Model: model[name], Both: both[name]}
		if c.People > 0 {
			c.Recall = float64(c.Both) / float64(c.People)
			c.Low, c.High = stats.Wilson(c.Both, c.People)
		}
		p, m := float64(c.People)/n, float64(c.Model)/n
		c.Kappa = kappa(1-float64(c.People+c.Model-2*c.Both)/n, p*m+(1-p)*(1-m))
		a.Categories = append(a.Categories, c)
	}
	return a
}

// kappa is Cohen's kappa, the agreement beyond chance: (observed - chance) / (1 - chance). It is 0 if chance alone
// always agrees.
func kappa(observed, chance float64) float64 {
	if chance >= 1 {
		return 0
	}
	return (observed - chance) / (1 - chance)
}
