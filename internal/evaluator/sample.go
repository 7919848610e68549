package evaluator

import (
	"context"
	"maps"
	"math"
	"slices"

	"github.com/retraind/retraind/serving"
	"github.com/retraind/retraind/store"
)

// sampleText is a text of a sample, with the stored answers of known releases.
type sampleText struct {
	text  serving.Text
	want  serving.Answers            // the champion's
	other map[string]serving.Answers // other releases', by digest
	got   serving.Answers            // the service's
}

// recheckPool returns the texts from which samples are taken: held-out texts that the champion has answered, in random
// order. Texts to which another release has given a different answer alternate with the other texts.
func (l *Loop) recheckPool(ctx context.Context, champion string) ([]sampleText, error) {
	var differ, rest []sampleText
	err := l.o.Store.View(ctx, func(t *store.Tx) error {
		mine := map[[2]string]serving.Answers{}
		if err := t.Predictions(l.name, champion,
			func(p store.Prediction) { mine[[2]string{p.Item, p.TextHash}] = p.Answers }); err != nil {
			return err
		}
		others := map[string]map[[2]string]serving.Answers{}
		releases, err := t.Releases(l.name, recheckReleases)
		if err != nil {
			return err
		}
		for _, r := range releases {
			if r.Digest == champion {
				continue
			}
			answers := map[[2]string]serving.Answers{}
			if err := t.Predictions(l.name, r.Digest,
				func(p store.Prediction) { answers[[2]string{p.Item, p.TextHash}] = p.Answers }); err != nil {
				return err
			}
			if len(answers) > 0 {
				others[r.Digest] = answers
			}
		}
		for it, err := range t.HeldOut(l.name) {
			if err != nil {
				return err
			}
			key := [2]string{it.ID, it.TextHash}
			want, ok := mine[key]
			if !ok {
				continue
			}
			x := sampleText{
				text: serving.Text{Item: it.ID, Hash: it.TextHash, Fields: it.Text}, want: want,
				other: map[string]serving.Answers{},
			}
			differs := false
			for digest, answers := range others {
				if a, ok := answers[key]; ok {
					x.other[digest] = a
					differs = differs || !want.Agrees(a)
				}
			}
			if differs {
				differ = append(differ, x)
			} else {
				rest = append(rest, x)
			}
		}
		return nil
	})
	l.rand.Shuffle(len(differ), func(i, j int) { differ[i], differ[j] = differ[j], differ[i] })
	l.rand.Shuffle(len(rest), func(i, j int) { rest[i], rest[j] = rest[j], rest[i] })
	return interleave(differ, rest), err
}

// recheckReleases is the number of newest releases with which a foreign service is compared.
const recheckReleases = 8

// interleave alternates between the two lists.
func interleave(a, b []sampleText) []sampleText {
	out := make([]sampleText, 0, len(a)+len(b))
	for i := range max(len(a), len(b)) {
		if i < len(a) {
			out = append(out, a[i])
		}
		if i < len(b) {
			out = append(out, b[i])
		}
	}
	return out
}

// askSample scores a part of the pool and counts the answers that differ from the champion's.
func (l *Loop) askSample(ctx context.Context, part []sampleText) (wrong int, err error) {
	place := map[string]int{}
	texts := make([]serving.Text, len(part))
	for i, x := range part {
		place[x.text.Item], texts[i] = i, x.text
	}
	err = l.ask(ctx, texts, func(t serving.Text, a serving.Answer) {
		x := &part[place[t.Item]]
		x.got = a.Values
		if !x.want.Agrees(a.Values) {
			wrong++
		}
	})
	return wrong, err
}

// likeliest returns the known release that most likely gave the service's answers, or "" if there is none. The release
// must agree in nine of ten texts for which its answer is stored, and more often than the champion.
func likeliest(asked []sampleText) string {
	known, agreed := map[string]int{}, map[string]int{}
	champion := 0
	for _, x := range asked {
		if x.got == nil {
			continue
		}
		if x.want.Agrees(x.got) {
			champion++
		}
		for digest, answers := range x.other {
			known[digest]++
			if answers.Agrees(x.got) {
				agreed[digest]++
			}
		}
	}
	best := ""
	for _, digest := range slices.Sorted(maps.Keys(known)) {
		if 10*agreed[digest] >= 9*known[digest] && agreed[digest] > max(champion, agreed[best]) {
			best = digest
		}
	}
	return best
}

// evidence adds a sample to the log likelihood ratio of "another model answers, and differs in a tenth of the texts, or
// five times as often as parity allows if that is more" against "the champion answers, and differs as often as parity
// allows". The result is never below 0, so that a long time without differences does not delay the detection of a
// change (Page 1954).
func evidence(before float64, asked, wrong int, parity float64) float64 {
	p0 := max(1-parity, 0.001)
	p1 := max(foreignDisagrees, 5*p0)
	if p1 >= 1 {
		return before // with a parity this low the two cannot be distinguished
	}
	e := before + float64(wrong)*math.Log(p1/p0) + float64(asked-wrong)*math.Log((1-p1)/(1-p0))
	return max(e, 0)
}
