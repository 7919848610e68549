package evaluator

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/retraind/retraind/classifier"
	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/drift/stats"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/serving"
	"github.com/retraind/retraind/store"
	"github.com/retraind/retraind/watch"
)

// suspected contains the result of the last check for suspicious relabels, the sequence number of the last change that
// the check covered, and the earliest time of the next check.
type suspected struct {
	seq   int64
	again time.Time
	found *drift.Suspicion
}

const (
	// judgeEvery is the minimum interval between two checks of the relabels while a retrain waits. Each label change
	// causes a decision, and each check reads thousands of texts.
	judgeEvery = time.Second
	// judgeRest is the shortest pause before the next check, as a multiple of the duration of the last check.
	judgeRest = 10
)

// leave applies a stored change to a relabel history. It leaves out the changes that retraind made itself.
func leave(trail *drift.RelabelHistory, c store.Change) {
	switch {
	case watch.Op(c.Op) == watch.OpDelete:
		trail.Forget(c.Item)
	case !isOwn(c):
		trail.Add(c.Item, c.Heldout, c.Old, c.New, c.Author, c.At)
	}
}

// follow applies stored changes to a relabel history: those whose number is greater than `after` and at most `upTo`.
func follow(t *store.Tx, model string, trail *drift.RelabelHistory, after, upTo int64, beat func()) error {
	for after < upTo {
		batch, err := t.Changes(model, after, replayBatch)
		if err != nil || len(batch) == 0 {
			return err
		}
		for _, c := range batch {
			if c.N > upTo {
				return nil
			}
			leave(trail, c)
		}
		after = batch[len(batch)-1].N
		beat()
	}
	return nil
}

// suspicion checks the relabels if the decision is to retrain, and decides again with the result. It does not check
// before a requested retrain, because the person is assumed to have checked the labels. For a retrain that waits, the
// result of the last check may be used again. Before a retrain starts, the check is repeated if labels have changed
// since.
func (l *Loop) suspicion(ctx context.Context, r *drift.Report, h policy.History, d policy.Decision,
	now time.Time,
) (policy.Decision, error) {
	if d.Verdict != policy.VerdictRetrain || d.Forced || r.Release == "" {
		return d, nil
	}
	if l.suspected.found != nil {
		r.Suspicion = l.suspected.found
		d = l.rules.Policy.Decide(*r, h, now)
		if l.suspected.seq == l.monitor.Seq() || now.Before(l.suspected.again) && !d.Start() {
			return d, nil
		}
	}
	began := time.Now()
	r.Suspicion = nil
	x := judge{name: l.name, rule: l.rules, relabels: l.relabels, history: h, now: now, report: *r, beat: l.o.Beat}
	err := l.o.Store.View(ctx, func(t *store.Tx) error { return x.run(t) })
	if err != nil {
		return d, err
	}
	l.suspected = suspected{l.monitor.Seq(), now.Add(max(judgeEvery, judgeRest*time.Since(began))), &x.found}
	r.Suspicion = l.suspected.found
	return l.rules.Policy.Decide(*r, h, now), nil
}

// judge compares the relabels of each large group (by one author, or in one minute) with the model's answers and with
// the labels of the nearest texts.
type judge struct {
	name     string
	rule     *Rules
	relabels *drift.RelabelHistory
	history  policy.History
	now      time.Time
	report   drift.Report
	beat     func()

	found drift.Suspicion
}

// judgedTexts limits the number of texts among which neighbours are searched.
const judgedTexts = 3000

func (x *judge) run(t *store.Tx) error {
	x.found = drift.Suspicion{Relabelled: x.relabels.Len(), Restless: x.relabels.Restless(), Groups: x.relabels.Groups()}
	defer x.found.Conclude()
	if !slices.ContainsFunc(x.found.Groups, drift.RelabelGroup.Bulk) {
		return nil
	}
	row, err := t.Model(x.name)
	if err != nil {
		return err
	}
	jury, err := x.jury(t, row)
	if err != nil {
		return err
	}
	for i := range x.found.Groups {
		src := &x.found.Groups[i]
		if !src.Bulk() {
			continue
		}
		list := x.relabels.Of(*src)
		for _, r := range list[:min(len(list), drift.JudgedAtMost)] {
			jury.ask(r, src)
		}
		src.Judge()
		if !src.Suspicious {
			continue
		}
		if src.Without, err = x.without(t, row, *src); err != nil {
			return err
		}
	}
	return nil
}

// jury is the set of held-out items used to judge relabels, with the release's answers.
type jury struct {
	target     string
	items      []store.Item
	place      map[string]int // by item
	answers    map[[2]string]store.Prediction
	carry      map[string]int // number of items by label
	neighbours *classifier.Neighbours
}

func (x *judge) jury(t *store.Tx, row store.Model) (*jury, error) {
	j := &jury{
		target: x.rule.Model.Serving.List()[0].Name, place: map[string]int{}, carry: map[string]int{},
		answers: map[[2]string]store.Prediction{},
	}
	for it, err := range t.HeldOut(x.name) {
		if err != nil {
			return nil, err
		}
		it.Labels = serving.Values(x.rule.Model.Serving.List(), it.Labels)
		if _, ok := it.Labels[j.target]; ok {
			j.items = append(j.items, it)
		}
	}
	// The relabelled items of the groups that are judged come first, then others in the order of their hash, which is a
	// random sample.
	wanted := map[string]bool{}
	for _, src := range x.found.Groups {
		if !src.Bulk() {
			continue // it may share items with a bulk group: a minute with its author
		}
		list := x.relabels.Of(src)
		for _, r := range list[:min(len(list), drift.JudgedAtMost)] {
			wanted[r.Item] = true
		}
	}
	fair := slices.SortedFunc(slices.Values(j.items), func(a, b store.Item) int {
		return cmp.Or(cmp.Compare(b2i(wanted[b.ID]), b2i(wanted[a.ID])), cmp.Compare(a.TextHash, b.TextHash))
	})
	j.items = fair[:min(len(fair), judgedTexts)]
	texts, labels := make([]map[string]string, len(j.items)), make([]string, len(j.items))
	for i, it := range j.items {
		j.place[it.ID], texts[i], labels[i] = i, it.Text, it.Labels[j.target]
		j.carry[labels[i]]++
	}
	j.neighbours = classifier.NewNeighbours(texts)
	return j, t.Predictions(x.name, row.Champion, func(p store.Prediction) {
		if i, ok := j.place[p.Item]; ok && j.items[i].TextHash == p.TextHash {
			j.answers[[2]string{p.Item, p.TextHash}] = p
		}
	})
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// ask checks one relabel. The neighbours contradict the relabel if the ratio of the new label to the old label is no
// higher among them than among all texts.
func (j *jury) ask(r drift.Relabelled, src *drift.RelabelGroup) {
	i, ok := j.place[r.Item]
	if !ok {
		return
	}
	p, answered := j.answers[[2]string{r.Item, j.items[i].TextHash}]
	favour, against := 0, 0
	for _, n := range j.neighbours.Nearest(i, drift.Nearest) {
		switch j.items[n].Labels[j.target] {
		case r.To:
			favour++
		case r.From:
			against++
		}
	}
	if !answered || favour+against == 0 {
		return // it cannot be judged
	}
	src.Judged++
	model := p.Answers[j.target] != r.To && (p.Confidence == 0 || p.Confidence >= drift.Confident)
	if model {
		src.Model++
	}
	// Compare with the counts expected by chance, not with a majority: during an ongoing correction most similar texts
	// still have the old label, but those with the new label are close to each other.
	if favour*(j.carry[r.From]+1) <= against*j.carry[r.To] { // each count is without the item itself, plus one
		src.Neighbours++
		if model {
			src.Contradicted++
		}
	}
}

// without computes the accuracy and the decision that would result without a group's relabels.
func (x *judge) without(t *store.Tx, row store.Model, src drift.RelabelGroup) (*drift.Without, error) {
	before := x.relabels.Before(src)
	m, err := monitor(t, row, x.rule, before, x.beat)
	if err != nil {
		return nil, err
	}
	r := m.Report(x.now)
	r.NewItems = x.report.NewItems
	for _, other := range x.relabels.Others(src) {
		switch answer, ok := m.AnswerTo(other.Item); {
		case !ok:
		case answer == other.From:
			r.Relabels.RightToWrong++
		case answer == other.To:
			r.Relabels.WrongToRight++
		}
	}
	r.Relabels.P = stats.SignTest(r.Relabels.RightToWrong, r.Relabels.WrongToRight)
	h := x.history
	h.Last = nil
	d := x.rule.Policy.Decide(r, h, x.now)
	return &drift.Without{
		Accuracy: r.Accuracy, Scored: r.Scored, Drop: r.Drop,
		Retrain: d.Verdict == policy.VerdictRetrain, Text: d.Text,
	}, nil
}
