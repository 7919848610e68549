package actions

import (
	"strings"
	"time"

	"github.com/retraind/retraind/drift"
)

// AdoptedPrefix is the prefix of the digest of an adopted release: one that was in service before retraind first
// deployed. Such a release has no files of its own and is identified by its answers.
const AdoptedPrefix = "adopted:"

// IsAdopted reports whether a digest is that of an adopted release.
func IsAdopted(digest string) bool { return strings.HasPrefix(digest, AdoptedPrefix) }

// Adopted describes an adopted release.
type Adopted struct {
	Health    string    `json:"health,omitempty"`     // digest that the health answer named, "" if it named none
	TrainedOn string    `json:"trained_on,omitempty"` // path of its training file, "" if unknown
	At        time.Time `json:"at"`
}

// AdoptedCaveat says how the accuracy of an adopted release is biased if its training data is unknown.
const AdoptedCaveat = "probably too high: it is unknown which items the release was trained on (set serving.adopt.trained_on)"

// minFairItems is how many held-out items are needed to compare a candidate with an adopted champion whose training
// data is unknown. Only items that arrived or were corrected after the adoption count: the champion cannot have trained
// on their present label.
const minFairItems = 50

// fairItems returns the held-out items by which a candidate can be compared with the champion. An adopted champion has
// usually trained on held-out items. If its training data is unknown, only items that arrived or were corrected after
// its adoption are returned. If those are too few, fairItems reports false: the candidate is then compared with the
// most frequent label.
func fairItems(champion Champion, items []drift.LabelChange) ([]drift.LabelChange, bool) {
	if champion.Adopted == nil || champion.Adopted.TrainedOn != "" {
		return items, true
	}
	var since []drift.LabelChange
	for _, it := range items {
		if it.Seq > champion.Seq {
			since = append(since, it)
		}
	}
	return since, len(since) >= minFairItems
}
