package actions

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/retraind/retraind/internal/text"
	"github.com/retraind/retraind/serving"
)

// maxProbes limits how many texts a verification asks about; those on which the two releases differ come first.
const maxProbes = 400

// minDiffering is the minimum number of requests about texts on which the two releases differ, if there are any.
const minDiffering = 20

// probe is one request of a verification, with the answers of the wanted and of the former release for each target.
type probe struct {
	text   serving.Text
	want   serving.Answers
	former serving.Answers // nil if unknown
}

// differs reports whether the two releases answer differently, in any target.
func (p probe) differs() bool { return p.former != nil && !p.want.Agrees(p.former) }

// asFormer reports whether an answer equals the former release's in each target where the two releases differ.
func (p probe) asFormer(got serving.Answers) bool {
	for target, value := range p.want {
		if former, ok := p.former[target]; ok && former != value && got[target] != former {
			return false
		}
	}
	return true
}

// probes chooses the texts that a verification asks about; those on which the two releases differ come first.
func probes(items []heldItem, want, former answers) []probe {
	var out []probe
	for _, it := range items {
		key := [2]string{it.Item, it.TextHash}
		w, ok := want[key]
		if !ok {
			continue
		}
		text := serving.Text{Item: it.Item, Hash: it.TextHash, Fields: it.Text}
		out = append(out, probe{text: text, want: w.Answers, former: former[key].Answers})
	}
	slices.SortStableFunc(out, func(a, b probe) int {
		switch {
		case a.differs() == b.differs():
			return cmp.Compare(a.text.Hash, b.text.Hash) // hashes are random: the first ones are a random sample
		case a.differs():
			return -1
		}
		return 1
	})
	out = out[:min(len(out), maxProbes)]
	// If the two releases differ on only a few texts, each of these is asked several times: if one of two processes still
	// has the old model, every second answer may be right.
	if n := differing(out); n > 0 {
		var again []probe
		for i := n; i < minDiffering; i++ {
			again = append(again, out[i%n])
		}
		out = slices.Insert(out, n, again...) // a slow model is asked only about the first probes
	}
	return out
}

// differing returns the number of probes on which the two releases differ; they come first.
func differing(ask []probe) int {
	i := slices.IndexFunc(ask, func(p probe) bool { return !p.differs() })
	if i < 0 {
		return len(ask)
	}
	return i
}

// proof repeats the requests until the answers match the release, or the time is over.
type proof struct {
	scorer  *serving.Scorer
	gate    string
	promote PromoteConfig
	release string // digest
	health  string // digest that the health answer must have, if it has one; "" accepts any
	former  bool   // answers of another release are known, and must be distinguished from this one's
	other   string // how messages name that other release; "" means former
	probes  []probe
	smoke   []Smoke
}

// run repeats the requests until the release is verified or the time is over. It returns the facts of the last attempt,
// and why they do not verify the release, "" if they do.
func (p proof) run(ctx context.Context) (VerifyFacts, string, error) {
	start := time.Now()
	for tries := 1; ; tries++ {
		facts, why := p.once(ctx)
		facts.Tries, facts.Seconds = tries, time.Since(start).Seconds()
		if ctx.Err() != nil {
			return facts, why, context.Cause(ctx)
		}
		wait := pause(tries, p.promote.VerifyWithin.D()-time.Since(start))
		if why == "" || wait <= 0 {
			return facts, why, nil
		}
		select {
		case <-ctx.Done():
			return facts, why, context.Cause(ctx)
		case <-time.After(wait):
		}
	}
}

// verifyTimeout returns the timeout of the step verify. The default one does not end the step before verify_within is
// over.
func (p Plan) verifyTimeout(step Step) time.Duration {
	if step.Timeout == builtinTimeout {
		return max(step.Timeout, p.Promote.VerifyWithin.D()+builtinTimeout/2)
	}
	return step.Timeout
}

// pause returns how long to wait after the given number of attempts. The wait grows, but never exceeds the time left,
// so that the last attempt is made at the end. It is zero or negative if no time is left.
func pause(tries int, left time.Duration) time.Duration {
	return min(50*time.Millisecond<<min(tries-1, 7), 5*time.Second, left)
}

func (p proof) once(ctx context.Context) (VerifyFacts, string) {
	f := VerifyFacts{Release: p.release}
	health, err := p.scorer.Health(ctx)
	if err != nil {
		return f, err.Error()
	}
	f.Health = health.Release
	// The health answer comes first: while the service names another release, it is enough to ask about a few texts.
	ask := p.probes
	if p.otherHealth(f) {
		ask = ask[:min(len(ask), 40)]
	}
	byItem := make(map[string]probe, len(ask))
	texts := make([]serving.Text, 0, len(ask))
	for _, pr := range ask {
		byItem[pr.text.Item] = pr
		texts = append(texts, pr.text)
	}
	f.Runtime = health.Runtime
	if health.Runtime != "" { // a language model: slow, and possibly not loaded yet
		n, err := p.afford(ctx, texts)
		if err != nil {
			return f, err.Error()
		}
		texts = texts[:n]
	}
	var took []float64
	wrong := map[string]int{}
	err = p.scorer.Score(ctx, texts, func(t serving.Text, a serving.Answer) {
		pr := byItem[t.Item]
		f.Probed++
		took = append(took, float64(a.Took.Microseconds())/1000)
		if pr.differs() {
			f.Differ++
			if pr.asFormer(a.Values) {
				f.AsFormer++
			}
		}
		if pr.want.Agrees(a.Values) {
			f.Agreed++
		} else {
			wrong[p.difference(pr.want, a.Values)]++
		}
	})
	if err != nil {
		return f, err.Error()
	}
	f.P95 = percentile95(took)
	bad := p.askSmoke(ctx, &f)
	if why := p.judge(f, wrong); why != "" {
		return f, why // more informative than a failed smoke case
	}
	return f, bad
}

// percentile95 returns the 95th percentile of values by the nearest rank: the smallest value that at least 95% of the
// values do not exceed. It is 0 without values.
func percentile95(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	return slices.Sorted(slices.Values(values))[(len(values)*95+99)/100-1]
}

// timed is the number of texts used to measure the time of one answer. fewest is the minimum number of texts of a
// verification: the requests about differing texts, some of which may be repetitions, and at least 10 others.
const (
	timed  = 4
	fewest = minDiffering + 10
)

// afford returns how many of the texts can be asked in a quarter of the verification's time. It does not time the first
// text, whose answer may have to wait until the model is loaded.
func (p proof) afford(ctx context.Context, texts []serving.Text) (int, error) {
	if len(texts) <= fewest {
		return len(texts), nil
	}
	none := func(serving.Text, serving.Answer) {}
	if err := p.scorer.Score(ctx, texts[:1], none); err != nil {
		return 0, err
	}
	start := time.Now()
	err := p.scorer.Score(ctx, texts[1:1+timed], none)
	return affordable(len(texts), time.Since(start)/timed, p.promote.VerifyWithin.D()), err
}

// affordable returns how many of n texts can be asked in a quarter of the verification's time, if each takes the given
// time. It is at least fewest, unless n is smaller.
func affordable(n int, each, within time.Duration) int {
	if each <= 0 {
		return n
	}
	return min(n, max(fewest, int(within/4/each)))
}

// canonicalSmoke returns the cases with canonical answers, as the scorer returns them. An answer that is no label of the
// target stays as it is written.
func canonicalSmoke(gate serving.Target, cases []Smoke) []Smoke {
	cases = slices.Clone(cases)
	for i, s := range cases {
		if canonical, err := gate.CanonicalLabel(s.Expect); err == nil {
			cases[i].Expect = canonical
		}
	}
	return cases
}

func (p proof) askSmoke(ctx context.Context, f *VerifyFacts) string {
	texts := make([]serving.Text, len(p.smoke))
	for i, s := range p.smoke {
		texts[i] = serving.Text{Item: fmt.Sprint(i), Fields: s.Text}
	}
	bad := ""
	err := p.scorer.Score(ctx, texts, func(t serving.Text, a serving.Answer) {
		f.Smoke++
		var i int
		_, _ = fmt.Sscan(t.Item, &i)
		if got := a.Values[p.gate]; got != p.smoke[i].Expect {
			f.SmokeBad++
			bad = fmt.Sprintf("smoke case %d is answered %q, expected %q", i+1, got, p.smoke[i].Expect)
		}
	})
	if err != nil {
		return err.Error()
	}
	return bad
}

// otherHealth reports whether the service's health names another release than the wanted one.
func (p proof) otherHealth(f VerifyFacts) bool {
	return f.Health != "" && p.health != "" && f.Health != p.health
}

// difference describes the first target with a wrong answer, the gating one first.
func (p proof) difference(want, got serving.Answers) string {
	names := append([]string{p.gate}, slices.Sorted(maps.Keys(want))...)
	for _, target := range names {
		if value, ok := want[target]; ok && got[target] != value {
			if target == p.gate {
				return fmt.Sprintf("%q instead of %q", got[target], value)
			}
			return fmt.Sprintf("%s %q instead of %q", target, got[target], value)
		}
	}
	return "no answer"
}

func (p proof) judge(f VerifyFacts, wrong map[string]int) string {
	switch {
	case f.Differ > 0 && f.AsFormer == f.Differ:
		return fmt.Sprintf("the service has not loaded %s: the two releases answer %d of the %d requests differently, and to all of these the service gives the %s release's answer; does it read its model only at start?",
			text.Digest(p.release), f.Differ, f.Probed, cmp.Or(p.other, "former"))
	case p.otherHealth(f):
		return fmt.Sprintf("the service's health answer names release %s, not %s", text.Digest(f.Health), text.Digest(p.health))
	// Parity is also required of the differing texts alone: among hundreds of other texts a few old answers would not
	// be noticed.
	case float64(f.AsFormer) > (1-float64(p.promote.Parity))*float64(f.Differ):
		return fmt.Sprintf("%d of %d answers that should differ are still the %s release's: does one of several processes still serve it?",
			f.AsFormer, f.Differ, cmp.Or(p.other, "former"))
	case f.Probed > 0 && float64(f.Agreed) < float64(p.promote.Parity)*float64(f.Probed):
		names := slices.SortedFunc(maps.Keys(wrong),
			func(a, b string) int { return cmp.Or(-cmp.Compare(wrong[a], wrong[b]), cmp.Compare(a, b)) })
		return fmt.Sprintf("only %d of %d answers equal the artifact's offline answers, but at least %v must (promote.parity); most frequent differences: %s",
			f.Agreed, f.Probed, p.promote.Parity, strings.Join(names[:min(2, len(names))], ", "))
	case f.Probed == 0 && f.Health == "":
		return "nothing proves what is served: no held-out item has a stored answer of the release, and the health answer names no release; set serving.health_release, or label more items"
	case p.former && f.Differ == 0 && f.Health == "":
		return "nothing proves what is served: the new and the former release answer every held-out item alike, and the health answer names no release; set serving.health_release"
	case p.promote.MaxLatency > 0 && f.P95 > float64(p.promote.MaxLatency.D().Microseconds())/1000:
		return fmt.Sprintf("the service is too slow: its 95th percentile latency is %.0f ms, %v is allowed (promote.max_latency)",
			f.P95, p.promote.MaxLatency)
	}
	return ""
}
