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
	// Label is what a larger model labelled, and how often as people did.
	Label *teacher.Facts `json:"label,omitempty"`
	// Stage is the name that a candidate has on an Ollama server.
	Stage *ollamatags.Made `json:"stage,omitempty"`
	// Figures are the measurements in a command's result file.
	Figures map[string]float64 `json:"figures,omitempty"`
	// Predict is the release that was asked before the gate.
	Predict *PredictFacts `json:"predict,omitempty"`
	// Deploy is the container that was deployed, or brought back.
	Deploy *compose.Deployed `json:"deploy,omitempty"`
	// GPUIdle is the share of the time in which a command left its GPU idle, where that is known.
	GPUIdle *float64 `json:"gpu_idle,omitempty"`
}

// ExportFacts describes one export; it is also the manifest beside the files.
type ExportFacts struct {
	Items      int            `json:"items"`                // labelled items written
	Train      int            `json:"train"`                // of them for training, with those for validation
	Test       int            `json:"test"`                 // of them held out
	Unlabelled int            `json:"unlabelled"`           // rows without a label: left out
	Overlay    int            `json:"overlay,omitempty"`    // rows that no person labelled, and the step label did
	Duplicates int            `json:"duplicates"`           // rows with the text of a held-out one: left out of the training
	Incomplete int            `json:"incomplete,omitempty"` // training rows whose labels do not fill the answer of the chat format: left out
	Labels     map[string]int `json:"labels"`               // training items by label of the gating target, with those for validation
	Seq        int64          `json:"seq"`                  // last label change that is surely in the export
	Info       string         `json:"info"`                 // fingerprint of the exported state
	At         time.Time      `json:"at"`
	// SaltID names the salt: exports with equal ids were split alike.
	SaltID string `json:"salt_id"`
	// Prompts is the digest of the files that the requests and chats of a language model are made of; "" for other models.
	Prompts string `json:"prompts,omitempty"`
	// Splits describes the files, by name without .jsonl.
	Splits map[drift.Side]*SplitFacts `json:"splits"`
}

// SplitFacts describes one file of an export.
type SplitFacts struct {
	Items  int            `json:"items"`
	Labels map[string]int `json:"labels"` // items by label of the gating target
	SHA256 string         `json:"sha256"` // of the file
}

// GateFacts is the comparison of candidate and champion on one frozen snapshot of the held-out set. Accuracies are
// fractions, differences points.
type GateFacts struct {
	Release   string     `json:"release"` // digest of the candidate
	Seq       int64      `json:"seq"`     // last label change in the snapshot
	N         int        `json:"n"`       // held-out items that both answered
	Leaked    int        `json:"leaked"`  // held-out items that one of them was trained on: not compared
	Candidate Score      `json:"candidate"`
	Champion  *Score     `json:"champion,omitempty"` // nil before the first release
	Wins      int        `json:"wins"`               // only the candidate is right
	Losses    int        `json:"losses"`             // only the champion is right
	Gate      Gate       `json:"gate"`
	Margin    float64    `json:"margin"`
	Bound     float64    `json:"bound"` // not_worse: lower 95 % bound of the difference in points
	P         float64    `json:"p"`     // better: one-sided exact McNemar
	Majority  float64    `json:"majority"`
	Worse     []Category `json:"worse,omitempty"` // categories that lose more than the floor allows
	// Missed is how often the candidate missed each category: what its new items are compared with later.
	Missed map[string]stats.Stretch `json:"missed,omitempty"`
	// Differ are the items that the two answer differently, in whichever target: the proof of the deployment asks about
	// them.
	Differ int `json:"differ"`
	// FormatErrors are the items of which the candidate's answer cannot be used.
	FormatErrors int `json:"format_errors,omitempty"`
	// Targets are the comparisons of the targets that do not gate.
	Targets []TargetFacts `json:"targets,omitempty"`
	// Figures are what the steps of the run have measured themselves, ChampionFigures the same of the run that made the
	// champion; Failing is the figure that refused the candidate.
	Figures         map[string]float64 `json:"figures,omitempty"`
	ChampionFigures map[string]float64 `json:"champion_figures,omitempty"`
	Failing         string             `json:"failing,omitempty"`
}

// TargetFacts is the comparison of candidate and champion in one target, over the items that carry a label of it.
type TargetFacts struct {
	Name      string  `json:"name"`
	N         int     `json:"n"`
	Candidate Score   `json:"candidate"`
	Champion  *Score  `json:"champion,omitempty"` // nil before the first release
	Wins      int     `json:"wins"`               // only the candidate is right
	Losses    int     `json:"losses"`             // only the champion is right
	Margin    float64 `json:"margin"`             // points that it may be worse by
	Bound     float64 `json:"bound"`              // lower 95 % bound of the difference in points
}

// Score is one side of the comparison.
type Score struct {
	Correct  int     `json:"correct"`
	Accuracy float64 `json:"accuracy"`
	Low      float64 `json:"low"`  // Wilson 95 %
	High     float64 `json:"high"` // Wilson 95 %
	MacroF1  float64 `json:"macro_f1"`
}

// Category is one category's recall and F1 on both sides; P is the chance of the recall's fall by chance alone.
type Category struct {
	Name        string  `json:"name"`
	Support     int     `json:"support"`
	Champion    float64 `json:"champion"`
	Candidate   float64 `json:"candidate"`
	ChampionF1  float64 `json:"champion_f1"`
	CandidateF1 float64 `json:"candidate_f1"`
	P           float64 `json:"p"`
}

// VerifyFacts is the proof of what is served.
type VerifyFacts struct {
	Release  string  `json:"release"`           // digest that must be served
	Health   string  `json:"health"`            // digest that the health answer names, "" if it names none
	Runtime  string  `json:"runtime,omitempty"` // program and version that run the model, where they are no part of the release
	Probed   int     `json:"probed"`            // items asked
	Agreed   int     `json:"agreed"`            // answers as the artifact gave offline
	Differ   int     `json:"differ"`            // of the items asked, those that the former release answers otherwise
	AsFormer int     `json:"as_former"`         // of those, answered as the former release
	Smoke    int     `json:"smoke"`             // smoke cases asked
	SmokeBad int     `json:"smoke_bad"`         // and answered otherwise than expected
	P95      float64 `json:"p95_ms"`            // 95th percentile of an answer's time
	Tries    int     `json:"tries"`             // how often it was asked until it was proved or time was up
	Seconds  float64 `json:"seconds"`           // from the first question to the last
}

// find returns the newest facts of a kind in a run's journal.
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
