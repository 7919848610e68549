package actions

import (
	"strings"
	"time"

	"github.com/retraind/retraind/drift"
)

// AdoptedPrefix begins the digest of a release that was in service before retraind first deployed. It has no files of
// its own: it is identified by its answers.
const AdoptedPrefix = "adopted:"

// IsAdopted reports whether a digest is that of an adopted release.
func IsAdopted(digest string) bool { return strings.HasPrefix(digest, AdoptedPrefix) }

// Adopted describes an adopted release.
type Adopted struct {
	Health    string    `json:"health,omitempty"`     // digest that the health answer named, "" if it named none
	TrainedOn string    `json:"trained_on,omitempty"` // path of its training file, "" if unknown
	At        time.Time `json:"at"`
}

// AdoptedCaveat is what is wrong with the accuracy of an adopted release with unknown training data.
const AdoptedCaveat = "probably too high: what it trained on is not known (serving.adopt.trained_on)"

// minFairItems is the number of held-out items that an adopted champion cannot have trained on from which a candidate
// is compared with it.
const minFairItems = 50

// fairItems returns the items by which a candidate can be compared with the champion of a plan. An adopted champion
// usually trained on held-out items; if its training data is unknown, only items that came or were corrected since
// count. If those are too few it reports false: the candidate is then compared with the most frequent label.
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
