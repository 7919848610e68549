package drift

import (
	"fmt"
	"strings"

	"github.com/retraind/retraind/internal/text"
)

// Suspicion reports whether the label changes since the training look like mistakes instead of corrections. A source
// (see RelabelGroup) is suspicious if it made at least half of the changes, and most of its changes that can be judged
// contradict both the deployed release and the labels of the nearest texts. No condition suffices alone, because a
// team's only annotator also makes most of the changes, and every correction contradicts the release. But a correction
// fits the labels of similar texts, which were corrected in the same way, while shuffled labels do not. Relabels are
// also suspicious if the labels of at least 20 items went back and forth, and these are more than half as many as the
// relabelled items.
type Suspicion struct {
	Relabelled int            `json:"relabelled"` // items whose label differs from the training
	Restless   int            `json:"restless"`   // items whose label went back and forth
	Groups     []RelabelGroup `json:"sources,omitempty"`
	Suspicious bool           `json:"suspicious"`
	Text       string         `json:"text"`
}

const (
	bulkItems    = 20  // relabels of one source below which it is not checked
	bulkShare    = 0.5 // share of all relabels below which it is not checked
	leastJudged  = 10  // held-out relabels below which a source is not judged
	contradicted = 0.5 // share of the judged relabels above which the source is suspicious
	// Confident is the least confidence at which a different answer of the release counts as a contradiction. If the
	// service returns no confidence, every different answer counts.
	Confident = 0.5
	// Nearest is the number of nearest texts that a relabel is compared with.
	Nearest = 9
	// JudgedAtMost bounds how many relabels of a source are judged.
	JudgedAtMost = 200
)

// Bulk reports whether a source made enough of the label changes to be checked.
func (s RelabelGroup) Bulk() bool { return s.Items >= bulkItems && s.Share >= bulkShare }

// Judge sets Suspicious from the counts of judged relabels.
func (s *RelabelGroup) Judge() {
	s.Suspicious = s.Bulk() && s.Judged >= leastJudged && float64(s.Contradicted) > contradicted*float64(s.Judged)
}

// Conclude sets the verdict and its text from the sources.
func (s *Suspicion) Conclude() {
	s.Suspicious, s.Text = false, ""
	if s.Restless >= bulkItems && 2*s.Restless > s.Relabelled {
		s.Suspicious = true
		s.Text = fmt.Sprintf("%d items were relabelled back and forth: people do not agree on their labels", s.Restless)
	}
	for _, src := range s.Groups {
		if !src.Suspicious {
			continue
		}
		s.Suspicious = true
		s.Text = src.sentence(s.Relabelled)
		break
	}
	if s.Text != "" {
		return
	}
	switch {
	case s.Relabelled == 0:
		s.Text = "no item has been relabelled since the training"
	case s.Relabelled < bulkItems:
		s.Text = fmt.Sprintf("too few relabels since the training to judge them: %d, at least %d are needed", s.Relabelled, bulkItems)
	case len(s.Groups) > 0 && s.Groups[0].Bulk() && s.Groups[0].Judged < leastJudged:
		s.Text = fmt.Sprintf("%s made %d of %d relabels; too few of these are on held-out items to judge them",
			s.Groups[0].Title(), s.Groups[0].Items, s.Relabelled)
	case len(s.Groups) > 0 && s.Groups[0].Bulk():
		s.Text = s.Groups[0].count(s.Relabelled) + "; that is not suspicious"
	default:
		s.Text = fmt.Sprintf("no single author made most of the %s", text.Plural(s.Relabelled, "relabel"))
	}
}

// count describes the relabels of a group, and how many of them contradict.
func (s RelabelGroup) count(all int) string {
	return fmt.Sprintf("%s made %d of %d relabels, "+
		"and of the %d that can be judged %d contradict both the model's answer and the labels of the most similar texts",
		s.Title(), s.Items, all, s.Judged, s.Contradicted)
}

func (s RelabelGroup) sentence(all int) string {
	text := s.count(all)
	if w := s.Without; w != nil {
		verdict := "a retrain would still be due"
		if !w.Retrain {
			verdict = "no condition would trip"
		}
		text += fmt.Sprintf("; without them accuracy would be %.1f%%, and %s", 100*w.Accuracy, verdict)
	}
	return text
}

// Title returns a source's display name.
func (s RelabelGroup) Title() string {
	if s.Kind == ByMinute {
		return "writers in the minute " + strings.TrimSuffix(strings.Replace(s.Name, "T", " ", 1), ":00Z") + " UTC"
	}
	if s.Name == "" {
		return "an unknown author"
	}
	return "author " + text.Cut(s.Name, 60)
}
