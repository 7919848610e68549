package actions

import "fmt"

// Cause is the problem that a retrain should fix, as far as a comparison of candidate and champion can show it. The
// zero value names no problem.
type Cause struct {
	Categories []string `json:"categories,omitempty"` // whose recall was too low
	MacroF1    bool     `json:"macro_f1,omitempty"`   // macro-F1 had fallen
}

// judgeCause returns why a candidate is refused if it is worse than the champion at what the retrain should fix, ""
// otherwise. categories are those of the gating target.
func judgeCause(cause Cause, categories []Category, f GateFacts) string {
	for _, c := range categories {
		for _, name := range cause.Categories {
			if c.Name == name && c.Candidate < c.Champion {
				return fmt.Sprintf("the retrain was meant to raise the recall of category %q, but would lower it from %.0f%% to %.0f%% on %d items",
					c.Name, 100*c.Champion, 100*c.Candidate, c.Support)
			}
		}
	}
	if cause.MacroF1 && f.Champion != nil && f.Candidate.MacroF1 < f.Champion.MacroF1 {
		return fmt.Sprintf("the retrain was meant to raise macro-F1, but would lower it from %.1f to %.1f", 100*f.Champion.MacroF1,
			100*f.Candidate.MacroF1)
	}
	return ""
}
