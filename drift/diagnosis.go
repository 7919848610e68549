package drift

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/retraind/retraind/drift/stats"
	"github.com/retraind/retraind/internal/text"
)

// TextDrift reports whether the texts since the promotion can be distinguished from those before it.
type TextDrift struct {
	Compared bool          `json:"compared"` // false if there are too few texts
	Then     int           `json:"then"`     // compared texts
	Now      int           `json:"now"`
	AUC      float64       `json:"auc"`   // of a classifier that predicts the period: 0.5 is chance, 1 is certainty
	Bound    float64       `json:"bound"` // above which the texts count as drifted
	Drifted  bool          `json:"drifted"`
	Words    []TellingWord `json:"words,omitempty"` // words that distinguish the periods, the strongest first
}

// TellingWord is a word with the numbers of compared texts that contain it.
type TellingWord struct {
	Word string `json:"word"`
	Then int    `json:"then"`
	Now  int    `json:"now"`
}

// CurvePoint is one run that trained a release and evaluated it.
type CurvePoint struct {
	Run      string    `json:"run"`
	At       time.Time `json:"at"`
	Examples int       `json:"examples"`
	Accuracy float64   `json:"accuracy"`
	N        int       `json:"n"` // held-out items in its evaluation
}

// Rare is a category with few training examples and low recall.
type Rare struct {
	Name     string  `json:"name"`
	Examples int     `json:"examples"`
	Recall   float64 `json:"recall"`
	Support  int     `json:"support"`
}

// LearningCurve estimates from past runs how much accuracy more examples would add.
type LearningCurve struct {
	Points []CurvePoint `json:"points,omitempty"` // fewest examples first
	// Gain is the accuracy, in points, that twice as many examples add: the slope b of accuracy = a + b log2(examples),
	// fitted by least squares. Error is the standard error of Gain. Known reports whether there are enough runs, and their
	// numbers of examples differ enough.
	Known bool    `json:"known"`
	Gain  float64 `json:"gain_per_doubling"`
	Error float64 `json:"standard_error"`
	Rare  []Rare  `json:"rare,omitempty"`
}

const (
	curvePoints = 4   // runs needed for a slope
	curveSpread = 1.3 // least ratio of the largest number of examples of a run to the smallest
	// rareExamples is the number of training examples below which a category counts as rare. In measurements on German
	// news, 10 examples had no effect, but 20 to 40 did.
	rareExamples = 40
	rareRecall   = 0.5
)

// NewLearningCurve fits the curve to `points`, and finds the rare categories among `now`. `training` maps each category
// to its number of examples in the release's training data, and each new category to its number for the next run.
func NewLearningCurve(points []CurvePoint, training map[string]int, now []Category) LearningCurve {
	c := LearningCurve{Points: slices.DeleteFunc(slices.Clone(points), func(p CurvePoint) bool { return p.Examples <= 0 })}
	slices.SortStableFunc(c.Points, func(a, b CurvePoint) int { return cmp.Compare(a.Examples, b.Examples) })
	for _, cat := range now {
		if n := training[cat.Name]; n < rareExamples && cat.Support > 0 && cat.Recall < rareRecall {
			c.Rare = append(c.Rare, Rare{cat.Name, n, cat.Recall, cat.Support})
		}
	}
	n := len(c.Points)
	if n < curvePoints || float64(c.Points[n-1].Examples) < curveSpread*float64(c.Points[0].Examples) {
		return c
	}
	var mx, my float64
	for _, p := range c.Points {
		mx += math.Log2(float64(p.Examples)) / float64(n)
		my += 100 * p.Accuracy / float64(n)
	}
	var sxx, sxy, rest float64
	for _, p := range c.Points {
		x := math.Log2(float64(p.Examples)) - mx
		sxx += x * x
		sxy += x * (100*p.Accuracy - my)
	}
	c.Gain = sxy / sxx
	for _, p := range c.Points {
		r := 100*p.Accuracy - my - c.Gain*(math.Log2(float64(p.Examples))-mx)
		rest += r * r
	}
	c.Error = math.Sqrt(rest / float64(n-2) / sxx)
	c.Known = true
	return c
}

// Tristate is the answer to a question of the diagnosis.
type Tristate string

// The answers.
const (
	Yes     Tristate = "yes"
	No      Tristate = "no"
	Unknown Tristate = "unknown"
)

// Finding is one question about the causes of a low accuracy, with its answer.
type Finding struct {
	Question string   `json:"question"`
	Answer   Tristate `json:"answer"`
	Text     string   `json:"text"`
}

// Diagnosis explains a model's accuracy: the causes of a drop, and three Findings.
type Diagnosis struct {
	Model    string         `json:"model"`
	At       time.Time      `json:"at"`
	Report   Report         `json:"report"`
	Drop     *Decomposition `json:"decomposition,omitempty"`
	Text     TextDrift      `json:"text"`
	Labels   Suspicion      `json:"labels"`
	Examples LearningCurve  `json:"examples"`
	Findings []Finding      `json:"findings"`
}

// Conclude computes the drop's causes and the answers from the other fields.
func (d *Diagnosis) Conclude() {
	d.Drop = Decompose(d.Report.Baseline, d.Report)
	d.Findings = []Finding{d.distribution(), d.labels(), d.examples()}
}

func (d *Diagnosis) distribution() Finding {
	f := Finding{Question: "Did the distribution change?", Answer: No}
	l := d.Report.Labels
	var found []string
	if l.PSI >= 0.1 {
		found = append(found, fmt.Sprintf("the mix of labels moved (PSI %.2f, Jensen-Shannon %.2f%s)", l.PSI, l.JS,
			chiText(l.Chi)))
	}
	if len(l.New) > 0 {
		found = append(found, "new categories: "+counted(l.New, "example"))
	}
	if len(l.Gone) > 0 {
		found = append(found, "vanished categories: "+counted(l.Gone, "training example"))
	}
	if d.Text.Drifted {
		found = append(found, fmt.Sprintf("new texts can be distinguished from old ones (AUC %.2f, %d old and %d new texts)",
			d.Text.AUC, d.Text.Then, d.Text.Now))
	}
	switch {
	case len(found) > 0:
		f.Answer, f.Text = Yes, join(found)
	case l.Chi == nil:
		f.Answer, f.Text = Unknown, "the training data of the release is unknown"
	default:
		f.Text = fmt.Sprintf("the mix of labels is nearly the same as in the training data (PSI %.2f)", l.PSI)
		if d.Text.Compared {
			f.Text += fmt.Sprintf("; new texts look like old ones (AUC %.2f, %d old and %d new texts)", d.Text.AUC,
				d.Text.Then, d.Text.Now)
		} else {
			f.Text += fmt.Sprintf("; too few new texts to compare (%d held out)", d.Text.Now)
		}
	}
	return f
}

func (d *Diagnosis) labels() Finding {
	f := Finding{Question: "Are labels suspicious?", Answer: No, Text: d.Labels.Text}
	if d.Labels.Suspicious {
		f.Answer = Yes
	}
	return f
}

func (d *Diagnosis) examples() Finding {
	f := Finding{Question: "Are examples too few?", Answer: No}
	c := d.Examples
	var found []string
	for _, r := range c.Rare {
		found = append(found, fmt.Sprintf("only %s of %s to learn from, and %d of its %d held-out items are recognised",
			text.Plural(r.Examples, "example"), text.Cut(r.Name, 60), int(math.Round(r.Recall*float64(r.Support))), r.Support))
	}
	curve := c.missing()
	switch {
	case c.Known && c.Gain > 2*c.Error && c.Gain >= 1:
		found = append(found, fmt.Sprintf("accuracy still rises by %.1f points with each doubling of the examples "+
			"(standard error %.1f)", c.Gain, c.Error))
	case c.Known:
		curve = fmt.Sprintf("twice as many examples would bring %+.1f points (standard error %.1f)", c.Gain, c.Error)
	}
	switch {
	case len(found) > 0:
		f.Answer, f.Text = Yes, join(found)
	case !c.Known:
		f.Answer, f.Text = Unknown, curve
	default:
		f.Text = curve
	}
	return f
}

// missing describes why the learning curve cannot be fitted yet.
func (c LearningCurve) missing() string {
	const unknown = "the learning curve is not known yet: it needs "
	if n := len(c.Points); n >= curvePoints {
		return fmt.Sprintf(unknown+"trainings whose largest has %.1f times the examples of the smallest; "+
			"the %d trainings so far have %s to %s examples", curveSpread, n, text.Count(c.Points[0].Examples),
			text.Count(c.Points[n-1].Examples))
	}
	return fmt.Sprintf(unknown+"%d trainings of different sizes and has %d", curvePoints, len(c.Points))
}

func chiText(c *stats.ChiSquare) string {
	if c == nil || c.Freedom == 0 {
		return ""
	}
	if c.P < 0.001 {
		return ", chi-square p < 0.001"
	}
	return fmt.Sprintf(", chi-square p = %.3f", c.P)
}

// counted lists the largest categories with their counts, in descending order, and the number of the others.
func counted(mix map[string]int, noun string) string {
	names := slices.Sorted(maps.Keys(mix))
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(mix[b], mix[a]) })
	const most = 5
	var parts []string
	for i, name := range names {
		if i == most {
			parts = append(parts, fmt.Sprintf("%d more", len(names)-most))
			break
		}
		n := noun
		if mix[name] != 1 {
			n += "s"
		}
		parts = append(parts, fmt.Sprintf("%s (%d %s)", text.Cut(name, 60), mix[name], n))
	}
	return strings.Join(parts, ", ")
}

func join(parts []string) string { return strings.Join(parts, "; ") }
