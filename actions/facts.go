package actions

import (
	"time"

	"github.com/retraind/retraind/actions/compose"
	"github.com/retraind/retraind/actions/ollamatags"
	"github.com/retraind/retraind/actions/teacher"
	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/drift/stats"
)

// Facts are the results of a step, stored with its outcome for later steps, for the run's result and for people.
type Facts struct {
	Export *ExportFacts `json:"export,omitempty"`
	Gate   *GateFacts   `json:"gate,omitempty"`
	Verify *VerifyFacts `json:"verify,omitempty"`
	// Label is the result of the step label, with the larger model's agreement with people.
	Label *teacher.Facts `json:"label,omitempty"`
	// Stage is the candidate's name on an Ollama server.
	Stage *ollamatags.Made `json:"stage,omitempty"`
	// Figures are the measurements in a command's result file.
	Figures map[string]float64 `json:"figures,omitempty"`
	// Predict is the release that answered the held-out items before the gate.
	Predict *PredictFacts `json:"predict,omitempty"`
	// Deploy is the container that was deployed or restored.
	Deploy *compose.Deployed `json:"deploy,omitempty"`
	// GPUIdle is the share of the time in which a command left its GPU idle; nil if unknown.
	GPUIdle *float64 `json:"gpu_idle,omitempty"`
}

// ExportFacts describes one export; it is also the manifest beside the files.
type ExportFacts struct {
	Items      int            `json:"items"`                // items written that people have labelled
	Train      int            `json:"train"`                // of these, for training and validation
	Test       int            `json:"test"`                 // of these, held out
	Unlabelled int            `json:"unlabelled"`           // rows without a label: omitted
	Overlay    int            `json:"overlay,omitempty"`    // rows that only the step label has labelled
	Duplicates int            `json:"duplicates"`           // training rows with the text of a held-out one: omitted
	Incomplete int            `json:"incomplete,omitempty"` // training rows without a complete chat answer: omitted
	Labels     map[string]int `json:"labels"`               // of the items in Train, by people's label of the gating target
	Seq        int64          `json:"seq"`                  // last label change that is certainly in the export; 0 if unknown
	Info       string         `json:"info"`                 // fingerprint of the exported state
	At         time.Time      `json:"at"`
	// SaltID names the salt: exports with equal ids have the same held-out items.
	SaltID string `json:"salt_id"`
	// Prompts is the digest of the files for the requests and chats of a language model; "" for other models.
	Prompts string `json:"prompts,omitempty"`
	// Splits describes the files, by name without .jsonl.
	Splits map[drift.Side]*SplitFacts `json:"splits"`
}

// SplitFacts describes one file of an export.
type SplitFacts struct {
	Items  int            `json:"items"`
	Labels map[string]int `json:"labels"` // items by label of the gating target
	SHA256 string         `json:"sha256"` // hash of the file
}

// GateFacts is the comparison of candidate and champion on one frozen snapshot of the held-out set. Accuracies are
// fractions; differences are in points.
type GateFacts struct {
	Release   string     `json:"release"` // digest of the candidate
	Seq       int64      `json:"seq"`     // last label change in the snapshot
	N         int        `json:"n"`       // held-out items that both answered
	Leaked    int        `json:"leaked"`  // held-out items that candidate or champion trained on: not compared
	Candidate Score      `json:"candidate"`
	Champion  *Score     `json:"champion,omitempty"` // nil before the first release
	Wins      int        `json:"wins"`               // only the candidate is right
	Losses    int        `json:"losses"`             // only the champion is right
	Gate      Gate       `json:"gate"`
	Margin    float64    `json:"margin"`
	Bound     float64    `json:"bound"` // not_worse: lower 95% bound of the difference in points
	P         float64    `json:"p"`     // better: one-sided exact McNemar
	Majority  float64    `json:"majority"`
	Worse     []Category `json:"worse,omitempty"` // categories that lose more than the floor allows
	// Missed has, for each category, the rate at which the candidate misses it; later the rate on new items is compared
	// with this one.
	Missed map[string]stats.Stretch `json:"missed,omitempty"`
	// Differ is the number of items with different answers, in any target: the verification asks about these first.
	Differ int `json:"differ"`
	// FormatErrors is the number of items for which the candidate's answer cannot be used.
	FormatErrors int `json:"format_errors,omitempty"`
	// Base is the comparison with the model that the candidate was trained from; nil if the run did not ask that model.
	Base *BaseFacts `json:"base,omitempty"`
	// Targets are the comparisons of the targets that do not gate.
	Targets []TargetFacts `json:"targets,omitempty"`
	// Figures are the measurements of the run's own steps, ChampionFigures those of the run that trained the champion.
	// Failing is the name of the figure for which the candidate was refused.
	Figures         map[string]float64 `json:"figures,omitempty"`
	ChampionFigures map[string]float64 `json:"champion_figures,omitempty"`
	Failing         string             `json:"failing,omitempty"`
	// Decided is format_errors, targets.NAME or base_model if that refused the candidate. It is "" if the rule in
	// promote.gate, a category or a figure did.
	Decided string `json:"decided,omitempty"`
}

// TargetFacts is the comparison of candidate and champion in one target, over the items that have a label for it.
type TargetFacts struct {
	Name      string  `json:"name"`
	N         int     `json:"n"`
	Candidate Score   `json:"candidate"`
	Champion  *Score  `json:"champion,omitempty"` // nil before the first release
	Wins      int     `json:"wins"`               // only the candidate is right
	Losses    int     `json:"losses"`             // only the champion is right
	Margin    float64 `json:"margin"`             // points by which the candidate may be worse
	Bound     float64 `json:"bound"`              // lower 95% bound of the difference in points
}

// Score has the figures of the candidate or of the champion in a comparison.
type Score struct {
	Correct  int     `json:"correct"`
	Accuracy float64 `json:"accuracy"`
	Low      float64 `json:"low"`  // Wilson 95%
	High     float64 `json:"high"` // Wilson 95%
	MacroF1  float64 `json:"macro_f1"`
}

// Category has the champion's and the candidate's recall in one category (Champion, Candidate), and their F1. P is the
// p-value of the fall in recall.
type Category struct {
	Name        string  `json:"name"`
	Support     int     `json:"support"`
	Champion    float64 `json:"champion"`
	Candidate   float64 `json:"candidate"`
	ChampionF1  float64 `json:"champion_f1"`
	CandidateF1 float64 `json:"candidate_f1"`
	P           float64 `json:"p"`
}

// VerifyFacts are the results of a verification.
type VerifyFacts struct {
	Release  string  `json:"release"`           // digest of the release that must be served
	Health   string  `json:"health"`            // digest in the health answer, "" if it has none
	Runtime  string  `json:"runtime,omitempty"` // program that runs the model, with version, if it is not part of the release
	Probed   int     `json:"probed"`            // items asked
	Agreed   int     `json:"agreed"`            // answers equal to the artifact's offline answers
	Differ   int     `json:"differ"`            // of the items asked, those that the former release answers differently
	AsFormer int     `json:"as_former"`         // of these, answered like the former release
	Smoke    int     `json:"smoke"`             // smoke cases asked
	SmokeBad int     `json:"smoke_bad"`         // of these, with an unexpected answer
	P95      float64 `json:"p95_ms"`            // 95th percentile of an answer's time
	Tries    int     `json:"tries"`             // number of attempts until success or timeout
	Seconds  float64 `json:"seconds"`           // from the first request to the last
}

// find returns the newest facts of one kind in a run's journal, nil if there are none.
func find[T any](done []Outcome, pick func(Facts) *T) *T {
	for i := len(done) - 1; i >= 0; i-- {
		if f := pick(done[i].Facts); f != nil {
			return f
		}
	}
	return nil
}

func exported(done []Outcome) *ExportFacts {
	return find(done, func(f Facts) *ExportFacts { return f.Export })
}

func gated(done []Outcome) *GateFacts { return find(done, func(f Facts) *GateFacts { return f.Gate }) }

func verified(done []Outcome) *VerifyFacts {
	return find(done, func(f Facts) *VerifyFacts { return f.Verify })
}
