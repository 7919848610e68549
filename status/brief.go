package status

import (
	"strings"

	"github.com/retraind/retraind/internal/text"
)

// The maximum lengths of texts in overviews, in characters; a command shows the rest.
const (
	briefSentence = 280
	briefDetail   = 160
)

// outputMark precedes the path of a command's output in the detail of its step.
const outputMark = "; its output: "

// BriefSentence returns the model's state, cut for overviews.
func (m Model) BriefSentence() string { return text.Brief(m.Sentence, briefSentence) }

// BriefReason returns two texts: how the run ended, cut for overviews and without the path of a command's output; and
// the command that shows what was left out, empty if nothing was.
func (r Run) BriefReason() (said, more string) {
	step := ""
	for _, s := range r.Steps {
		if strings.Contains(s.Detail, outputMark) {
			step = s.Name
		}
	}
	return r.brief(r.Reason, step, briefSentence)
}

// BriefDetail returns the detail of one of the run's steps in the same form as BriefReason.
func (r Run) BriefDetail(s Step) (said, more string) { return r.brief(s.Detail, s.Name, briefDetail) }

func (r Run) brief(whole, step string, most int) (said, more string) {
	cause, rest, logged := strings.Cut(whole, outputMark)
	cause = strings.TrimRight(cause, ": ")            // left over if the command printed nothing
	if _, beside, ok := strings.Cut(rest, "; "); ok { // keep what follows the path
		cause += "; " + beside
	}
	said = text.Brief(cause, most)
	switch {
	case logged && step == "":
		more = "retraind runs logs " + text.RunID(r.ID)
	case logged && strings.Contains(step, " "):
		more = "retraind runs logs " + text.RunID(r.ID) + " --step '" + step + "'"
	case logged:
		more = "retraind runs logs " + text.RunID(r.ID) + " --step " + step
	case said != cause:
		more = "retraind runs show " + text.RunID(r.ID) + " --json"
	}
	return said, more
}
