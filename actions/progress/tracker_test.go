package progress

import (
	"strings"
	"testing"
	"time"
)

// Output of real trainings: tqdm overwrites each bar with the next one, which begins with a carriage return.
const (
	head     = "==((====))==  Unsloth - 2x faster free finetuning | Num GPUs used = 1\n   \\\\   /|    Num examples = 51,760 | Num Epochs = 3 | Total steps = 375\n"
	mapping  = "Map:   0%|          | 0/1000 [00:00<?, ? examples/s]\rMap: 100%|##########| 1000/1000 [00:01<00:00, 812.11 examples/s]\n"
	training = "\r  0%|          | 0/375 [00:00<?, ?it/s]\r  1%|1         | 4/375 [00:12<18:32,  3.00s/it]"
	records  = "{'loss': 1.2345, 'grad_norm': 0.51, 'learning_rate': 0.0002, 'epoch': 0.36}\n"
	quoted   = "{'loss': '0.9876', 'grad_norm': '0.41', 'epoch': '1.5'}\n"
	half     = "\r 50%|#####     | 188/375 [09:24<09:21,  3.00s/it]"
	evalBar  = "\r 10%|#         | 5/50 [00:02<00:18,  2.50it/s]"
	finished = "{'train_runtime': 1234.5, 'train_samples_per_second': 10.1, 'train_loss': 0.8123, 'epoch': 3.0}\n"
)

func TestTrainer(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		output string
		share  float64
		said   string
		left   time.Duration
	}{
		"preparing": {head + mapping, 1, "Map, step 1000 of 1000, epoch 0 of 3", 0},
		"training": {
			head + mapping + training, 4.0 / 375, "step 4 of 375, epoch 0 of 3", 18*time.Minute + 32*time.Second,
		},
		"with records": {
			head + training + "\n" + records + half, 188.0 / 375, "step 188 of 375, epoch 0.36 of 3, loss 1.2345", nine,
		},
		"quoted numbers": {
			head + training + "\n" + quoted + half, 188.0 / 375, "step 188 of 375, epoch 1.5 of 3, loss 0.9876", nine,
		},
		"evaluating": {
			head + half + evalBar, 188.0 / 375, "step 188 of 375, epoch 0 of 3", nine,
		},
		"done": {head + half + "\n" + finished, 1, "step 188 of 375, epoch 3 of 3, loss 0.8123", 0},
		"no bars": {
			"  Num Epochs = 3\n  Total optimization steps = 375\n" + quoted, 0.5, "epoch 1.5 of 3, loss 0.9876", 0,
		},
		"half a record": {
			head + records + "{'loss': 0.5", 0.12, "epoch 0.36 of 3, loss 1.2345", 0,
		},
		"one bar each": {"Epoch 3/10:  50%|#####     | 50/100 [00:05<00:05, 10it/s]", 0.25, "step 50 of 100, epoch 3 of 10", 0},
		"one bar each, and records": {
			"Epoch 3/3:  50%|#####     | 5/10 [00:01<00:01,  5it/s]\n{'loss': 0.5, 'epoch': 2.5}\n", 2.5 / 3,
			"step 5 of 10, epoch 3 of 3, loss 0.5", 0,
		},
		"plain epochs": {"Epoch 1/4\nEpoch 3/4\n", 0.5, "epoch 2 of 4", 0},
		"hours": {
			" 10%|#         | 10/100 [1:00:00<9:00:01,  6.00s/it]", 0.1, "step 10 of 100", 9*time.Hour + time.Second,
		},
		"large numbers": {" 50%|#####     | 1.20M/2.40M [00:10<00:10, 1MB/s]", 0.5, "step 1200000 of 2400000", 1e10},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, ok := NewTracker(Trainer).Look([]byte(c.output), time.Time{})
			if !ok || p.Share == nil || !near(*p.Share, c.share) || p.Text != c.said || p.Left != c.left {
				t.Errorf("got %v %+v (%v), want %v %q %s", ok, p, deref(p.Share), c.share, c.said, c.left)
			}
		})
	}
}

func near(a, b float64) bool { return a-b < 1e-9 && b-a < 1e-9 }

func deref(f *float64) float64 {
	if f == nil {
		return -1
	}
	return *f
}

const nine = 9*time.Minute + 21*time.Second

// The same output again is no change of the progress, and a tail that begins in the middle of a line is read correctly.
func TestTrackerAgain(t *testing.T) {
	t.Parallel()
	tracker := NewTracker(Trainer)
	if _, ok := tracker.Look([]byte(head+training), time.Time{}); !ok {
		t.Fatal("nothing found")
	}
	if p, ok := tracker.Look([]byte(head+training), time.Time{}); ok {
		t.Errorf("found again: %+v", p)
	}
	p, ok := tracker.Look([]byte(strings.Repeat(half, 1000)), time.Time{})
	if !ok || p.Text != "step 188 of 375, epoch 0 of 3" {
		t.Errorf("got %+v, %v", p, ok)
	}
}

func TestOutputWithoutEnd(t *testing.T) {
	t.Parallel()
	for _, pattern := range []string{Trainer, `(?P<done>\d+)/(?P<total>\d+)`} {
		if p, ok := NewTracker(pattern).Look([]byte(strings.Repeat("1/2 loss 0.5 ", 1<<20)), time.Time{}); ok {
			t.Errorf("%s: found %+v in a line without an end", pattern, p)
		}
	}
}

func TestExpression(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		pattern, output, said string
		share                 float64 // -1: none
		ok                    bool
	}{
		"done and total":   {`item (?P<done>\d+) of (?P<total>\d+)`, "item 5 of 20\nitem 6 of 20\nother\n", "", 0.3, true},
		"thousands":        {`(?P<done>[\d,]+)/(?P<total>[\d,]+)`, "1,000/4,000\n", "", 0.25, true},
		"percent":          {`at (?P<share>\d+%) (?P<text>.*)`, "at 42% of the tensors\n", "of the tensors", 0.42, true},
		"fraction":         {`^(?P<share>[\d.]+)$`, "0.5\n", "", 0.5, true},
		"text alone":       {`^phase: (?P<text>.+)$`, "phase: merging\n", "merging", -1, true},
		"half a line":      {`(?P<done>\d+)/(?P<total>\d+)`, "1/10\n5/1", "", 0.1, true},
		"more than all":    {`(?P<done>\d+)/(?P<total>\d+)`, "11/10\n", "", -1, false},
		"by nothing":       {`(?P<done>\d+)/(?P<total>\d+)`, "1/0\n", "", -1, false},
		"no number":        {`(?P<share>\S+) done`, "NaN done\n", "", -1, false},
		"escape sequences": {`(?P<text>.+)`, "a\x1b[31mb\n", "a\ufffd[31mb", -1, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if wrong, _ := Check(c.pattern); wrong != "" {
				t.Fatal(wrong)
			}
			p, ok := NewTracker(c.pattern).Look([]byte(c.output), time.Time{})
			if ok != c.ok || ok && (!near(deref(p.Share), c.share) || p.Text != c.said) {
				t.Errorf("got %v %+v (%v), want %v %q", ok, p, deref(p.Share), c.share, c.said)
			}
		})
	}
}

func TestPatterns(t *testing.T) {
	t.Parallel()
	for pattern, want := range map[string]string{
		"":                             "",
		"trainer":                      "",
		`(?P<text>x)`:                  "",
		`(?P<done>x`:                   "missing closing )",
		`(?P<done>\d+)`:                "the expression has only one of the groups done and total",
		`\d+`:                          "no named group",
		`(?P<percent>\d+)`:             `unknown group "percent"`,
		`(?P<share>a)(?P<done>b)`:      "share and also",
		strings.Repeat("a", 501):       "501 characters",
		`(?P<text>(a{1000}){1000}){9}`: "",
	} {
		wrong, hint := Check(pattern)
		if pattern == `(?P<text>(a{1000}){1000}){9}` { // package regexp refuses expressions that would need too much memory
			if wrong == "" {
				t.Error("an expression of unlimited size is accepted")
			}
			continue
		}
		if want == "" && wrong != "" || !strings.Contains(wrong, want) || wrong != "" && hint == "" {
			t.Errorf("%q: got %q (%q), want %q", pattern, wrong, hint, want)
		}
	}
}

func FuzzTracker(f *testing.F) {
	for _, s := range []string{head, training, records, half, finished, "\r\r\n\n", "Epoch 0/0\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, output string) {
		p, _ := NewTracker(Trainer).Look([]byte(output), time.Time{})
		if p.Share != nil && !(*p.Share >= 0 && *p.Share <= 1) {
			t.Errorf("share %v", *p.Share)
		}
	})
}
