package progress

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// trainer reads the lines that training programs usually print: the bars of tqdm, the records of Hugging Face Trainer
// (which Unsloth prints too), and the headers of both libraries with the length of the training.
type trainer struct {
	bar    bar
	epoch  float64
	epochs float64
	steps  int64 // of the whole training, from the header
	loss   string
	ended  bool // the last record, with train_runtime, was printed
}

// bar is one state of a tqdm bar.
type bar struct {
	title       string
	done, total int64
	left        time.Duration
}

var (
	// barLine matches " 42%|####2     | 420/1000 [03:12<04:25,  2.18it/s]", with a title before it.
	barLine = regexp.MustCompile(`^(.*?)\s*\d{1,3}%\|[^|]*\|\s*([\d.]+[kMG]?)/([\d.]+[kMG]?)\s+\[[\d:]+<([\d:?]+)`)
	// headEpochs and headSteps match "Num Epochs = 3 | Total steps = 375", and "Total optimization steps = 375".
	headEpochs = regexp.MustCompile(`Num Epochs\s*=\s*([\d,]+)`)
	headSteps  = regexp.MustCompile(`Total (?:optimization )?steps\s*=\s*([\d,]+)`)
	// record and its fields match {'loss': 1.2345, 'grad_norm': 0.5, 'epoch': 0.36}, with or without quotes around the
	// numbers.
	record      = regexp.MustCompile(`^\s*\{.*\}\s*$`)
	recordLoss  = regexp.MustCompile(`['"](?:train_)?loss['"]:\s*['"]?([\d.eE+-]+)`)
	recordEpoch = regexp.MustCompile(`['"]epoch['"]:\s*['"]?([\d.eE+-]+)`)
	// epochOf matches "Epoch 3/10", alone or as a bar's title.
	epochOf = regexp.MustCompile(`(?i)\bepochs?[ :=]+(\d+)\s*(?:/|of)\s*(\d+)`)
)

// line reads one line of output. half means that the line may be incomplete. It then counts only if it contains a
// complete bar, since tqdm ends a bar's line only when it prints the next bar.
func (t *trainer) line(line string, half bool) {
	if m := barLine.FindStringSubmatch(line); m != nil {
		t.draw(bar{title: barTitle(m[1]), done: count(m[2]), total: count(m[3]), left: clockTime(m[4])})
		return
	}
	if half {
		return
	}
	if m := headEpochs.FindStringSubmatch(line); m != nil {
		t.epochs = float64(count(m[1]))
	}
	if m := headSteps.FindStringSubmatch(line); m != nil {
		t.steps = count(m[1])
	}
	if record.MatchString(line) {
		t.record(line)
		return
	}
	if m := epochOf.FindStringSubmatch(line); m != nil {
		t.inEpoch(m)
	}
}

func (t *trainer) record(line string) {
	if m := recordLoss.FindStringSubmatch(line); m != nil {
		t.loss = m[1]
	}
	if m := recordEpoch.FindStringSubmatch(line); m != nil {
		e, err := strconv.ParseFloat(m[1], 64)
		if err == nil && e >= 0 && !epochOf.MatchString(t.bar.title) { // a bar with an epoch in its title is more precise
			t.epoch = e
		}
	}
	t.ended = strings.Contains(line, "train_runtime")
}

// inEpoch handles "epoch 3 of 10": the third is running, so two are complete.
func (t *trainer) inEpoch(m []string) {
	n, of := float64(count(m[1])), float64(count(m[2]))
	if n >= 1 && n <= of {
		t.epoch, t.epochs = n-1, of
	}
}

// draw stores the state of a printed bar. The training's bar has no title and runs from the first to the last step;
// draw ignores the bar of an evaluation during the training.
func (t *trainer) draw(b bar) {
	if b.total <= 0 || b.done > b.total {
		return
	}
	now := t.bar
	training := now.total > 0 && now.title == "" && now.done < now.total
	switch {
	case training && (b.title != "" || b.total != now.total):
		return
	case t.steps > 0 && now.title == "" && now.total == t.steps && b.total != t.steps: // the header's number of steps identifies the training's bar
		return
	}
	if m := epochOf.FindStringSubmatch(b.title); m != nil {
		t.inEpoch(m)
	}
	t.bar = b
}

// progress returns the progress according to the lines read so far.
func (t *trainer) progress() Progress {
	var p Progress
	var said []string
	inEpoch := epochOf.MatchString(t.bar.title)
	switch {
	case t.ended:
		one := 1.0
		p.Share = &one
	case t.bar.total > 0:
		s := float64(t.bar.done) / float64(t.bar.total)
		p.Left = t.bar.left
		if inEpoch && t.epochs > 0 { // one bar for each epoch
			s, p.Left = (t.epoch+s)/t.epochs, 0
		}
		p.Share = &s
	case t.epochs > 0:
		s := min(1, t.epoch/t.epochs)
		p.Share = &s
	}
	if b := t.bar; b.total > 0 {
		if b.title != "" && !inEpoch {
			said = append(said, b.title)
		}
		said = append(said, fmt.Sprintf("step %d of %d", b.done, b.total))
	}
	if e := t.epochText(inEpoch); e != "" {
		said = append(said, e)
	}
	if t.loss != "" {
		said = append(said, "loss "+t.loss)
	}
	p.Text = strings.Join(said, ", ")
	return p
}

func (t *trainer) epochText(inEpoch bool) string {
	switch {
	case inEpoch && t.epochs > 0:
		return fmt.Sprintf("epoch %.0f of %.0f", t.epoch+1, t.epochs)
	case t.epochs > 0:
		return fmt.Sprintf("epoch %.3g of %.0f", t.epoch, t.epochs)
	case t.epoch > 0:
		return fmt.Sprintf("epoch %.3g", t.epoch)
	}
	return ""
}

// barTitle returns the text before a bar, without terminal control sequences.
func barTitle(s string) string {
	s = cursor.ReplaceAllString(s, "")
	return strings.TrimRight(strings.TrimSpace(s), ":")
}

var cursor = regexp.MustCompile(`\x1b\[[0-9;]*[A-Za-z]`)

// count parses a number as tqdm prints it: 1000, 1,000 or 1.2M.
func count(s string) int64 {
	unit := 1.0
	for suffix, u := range map[string]float64{"k": 1e3, "M": 1e6, "G": 1e9} {
		if rest, ok := strings.CutSuffix(s, suffix); ok {
			s, unit = rest, u
		}
	}
	f, err := strconv.ParseFloat(strings.ReplaceAll(s, ",", ""), 64)
	if err != nil || !(f >= 0 && f < 1e12) {
		return 0
	}
	return int64(f * unit)
}

// clockTime parses 04:25 or 1:04:25; 0 if unknown.
func clockTime(s string) time.Duration {
	var d time.Duration
	for part := range strings.SplitSeq(s, ":") {
		n, err := strconv.Atoi(part)
		if err != nil || n < 0 || n > 1e6 {
			return 0
		}
		d = d*60 + time.Duration(n)*time.Second
	}
	return d
}
