package actions

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/retraind/retraind/actions/job"
	"github.com/retraind/retraind/actions/runner"
	"github.com/retraind/retraind/actions/teacher"
	"github.com/retraind/retraind/internal/ollamatest"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/serving"
)

const labelSchema = `{"type":"object","properties":{"label":{"type":"string","enum":["category 0","category 1","category 2"]}}}`

// class is the larger model of a test. It counts how often it is asked about each text, and after given numbers of
// requests it kills the process that asks. In the first night it stops answering after some requests, so that the night
// ends before the work is done.
type class struct {
	t     *testing.T
	dir   string // of the model
	kills []int  // numbers of requests, ascending

	mu     sync.Mutex // guards the rest
	asked  map[string]int
	n      int
	killed int
	kept   map[string]bool // texts with a recorded answer, read every 25 requests
	again  []string        // texts that were asked about although their answer was recorded
	full   int             // requests that are answered this night; 0 for all
}

func (c *class) ask(r *http.Request) (int, string) {
	if r.URL.Path != "/api/chat" {
		return 0, ""
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return http.StatusBadRequest, "" // its client was killed
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	var q struct{ Messages []struct{ Content string } }
	if err := json.Unmarshal(body, &q); err != nil {
		c.t.Error(err)
		return 0, ""
	}
	if c.count(strings.TrimSpace(q.Messages[len(q.Messages)-1].Content)) {
		<-r.Context().Done()
	}
	return 0, ""
}

// count counts a request, and reports whether it comes after the last one that is answered this night.
func (c *class) count(text string) (late bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	c.asked[text]++
	if c.kept[text] {
		c.again = append(c.again, text)
	}
	if c.n%25 == 0 {
		c.kept = c.recorded()
	}
	if c.killed < len(c.kills) && c.n >= c.kills[c.killed] && c.kill(c.killed%3) {
		c.killed++
	}
	return c.full > 0 && c.n > c.full
}

// recorded lists the texts whose answers are in the record.
func (c *class) recorded() map[string]bool {
	out := map[string]bool{}
	for _, l := range c.lines() {
		out[titleOf(l.Item)] = true
	}
	return out
}

// lines returns the complete lines of the record.
func (c *class) lines() (lines []teacher.Line) {
	files, err := filepath.Glob(filepath.Join(c.dir, "labels", "*.jsonl"))
	if err != nil || len(files) > 1 {
		c.t.Error(files, err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			c.t.Error(err)
		}
		for line := range bytes.Lines(b) {
			var l teacher.Line
			if json.Unmarshal(line, &l) == nil {
				lines = append(lines, l)
			}
		}
	}
	return lines
}

// kill kills with SIGKILL the supervisor of the current attempt (which is 0), its child process (1), or both as a power
// cut does (2). It reports false if the attempt has only just begun.
func (c *class) kill(which int) bool {
	claims, _ := filepath.Glob(filepath.Join(c.dir, "runs/*/steps/label/*/claimed"))
	began := func(claim string) time.Time { return runner.Began(filepath.Dir(claim)) }
	slices.SortFunc(claims, func(a, b string) int { return began(a).Compare(began(b)) })
	if len(claims) == 0 {
		return false
	}
	var supervisor, child int
	pid, _ := os.ReadFile(claims[len(claims)-1])
	if _, err := fmt.Sscan(string(pid), &supervisor); err != nil {
		return false
	}
	all, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", supervisor))
	for _, path := range all {
		list, _ := os.ReadFile(path)
		_, _ = fmt.Sscan(string(list), &child)
	}
	if child == 0 {
		return false
	}
	if which != 1 {
		_ = syscall.Kill(supervisor, syscall.SIGKILL)
	}
	if which != 0 {
		_ = syscall.Kill(child, syscall.SIGKILL)
	}
	return true
}

func titleOf(id string) string {
	var n int
	if _, err := fmt.Sscanf(id, "new %d", &n); err == nil {
		return fmt.Sprint("unread ", n)
	}
	return "text " + id
}

// 1,000 texts are labelled over two nights, in which processes are killed with SIGKILL six times. Every text is
// labelled, no text is asked about again after its answer was recorded, and the result is that of an undisturbed night.
func TestLabelKilledOverTwoNights(t *testing.T) {
	t.Parallel()
	outcomesOnly(t)
	const texts, half, inFlight = 1000, 500, 4
	w := newWorld(t)
	for i := range texts {
		w.source.list = append(w.source.list, row(fmt.Sprint("new ", i), fmt.Sprint("unread ", i), "", false))
	}
	fake := ollamatest.NewFake(t)
	ollamatest.Classifier{
		Words: map[string][]string{"1": {"category 1"}, "2": {"category 2"}, "5": {"category 2"}}, Else: []string{"category 0"},
	}.Install(t, fake.URL, "teacher", "")
	c := &class{t: t, dir: w.dir, asked: map[string]int{}, full: half}
	rng := rand.New(rand.NewPCG(23, 23))
	for i := range 6 { // three in each half
		c.kills = append(c.kills, (i/3)*(half+20)+20+rng.IntN(half-60))
	}
	slices.Sort(c.kills)
	fake.Break(c.ask)

	label := &LabelStep{
		Do: DoLabel, StepCommon: StepCommon{Retries: 3}, Checkpoints: true, Concurrency: inFlight,
		OllamaConfig: serving.OllamaConfig{Model: "teacher", URL: fake.URL, Format: json.RawMessage(labelSchema)},
	}
	night := func(length time.Duration) Plan {
		w.runs++
		p := w.plan(append([]StepConfig{{label}}, pipeline(w.train(7))...))
		p.Until = time.Now().Add(length)
		w.add(p)
		w.handOver(p)
		return p
	}
	first, nights := w.await(night(4*time.Second)), 1
	for length := 8 * time.Second; len(c.lines()) == 0 && first.Outcome == string(policy.OutcomeBlocked); length *= 2 {
		first, nights = w.await(night(length)), nights+1 // on a slow machine nothing was answered in time
	}
	if first.Outcome != string(policy.OutcomeBlocked) ||
		!strings.Contains(first.Reason, "label is not finished at the end of the quiet hours; it continues in the next quiet hours") {
		t.Fatalf("the first night has %s: %s", first.Outcome, first.Reason)
	}
	before := len(c.lines())
	c.mu.Lock()
	c.full = 0
	c.mu.Unlock()
	second := night(time.Hour)
	if r := w.await(second); r.Outcome != string(policy.OutcomePromoted) {
		t.Fatalf("the second night has %s: %s; %v", r.Outcome, r.Reason, w.steps(r.ID))
	}

	attempts, err := filepath.Glob(filepath.Join(second.RunDir, "steps/label/*/result.json"))
	if err != nil || len(attempts) != 1 {
		t.Fatal(attempts, err)
	}
	last := filepath.Dir(attempts[0])
	facts := labelFacts(t, last)
	fake.Break(nil)
	c.mu.Lock()
	defer c.mu.Unlock()
	distinct := len(c.asked)
	t.Logf("killed after %v requests; %d answers kept after the first night; %d requests for %d texts; %d labelled, agreement %.3f",
		c.kills, before, c.n, distinct, facts.Labelled, facts.Agreement.Share)
	if c.killed != len(c.kills) || before == 0 || before >= texts {
		t.Errorf("killed %d times, %d answers after the first night", c.killed, before)
	}
	if facts.Labelled != texts || facts.Unusable != 0 || distinct != texts+facts.Agreement.N {
		t.Errorf("%+v, %d texts asked about", facts, distinct)
	}
	if len(c.again) > 0 || c.n > distinct+(c.killed+nights)*inFlight {
		t.Errorf("%d requests for %d texts after %d kills and %d ends of a night; with a recorded answer: %q",
			c.n, distinct, c.killed, nights, c.again)
	}
	undisturbed(t, last, second.overlayFile(), facts)
}

func labelFacts(t *testing.T, dir string) (f teacher.Facts) {
	t.Helper()
	r, wrote, err := job.ReadResult(dir)
	if err == nil && wrote {
		err = json.Unmarshal(r.Data, &f)
	}
	if err != nil || !wrote || f.Agreement == nil {
		t.Fatal(r, wrote, err)
	}
	return f
}

// undisturbed labels the same items without an interruption, and compares the results.
func undisturbed(t *testing.T, attempt, overlay string, facts teacher.Facts) {
	t.Helper()
	var in teacher.Input
	if err := json.Unmarshal([]byte(readText(t, filepath.Join(attempt, "input.json"))), &in); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	in.Books, in.Overlay = filepath.Join(dir, "labels"), filepath.Join(dir, "overlay.jsonl")
	r, err := teacher.Work(t.Context(), job.Job{Dir: dir, Input: job.Encode(in)})
	if err != nil {
		t.Fatal(err)
	}
	var want teacher.Facts
	if err := json.Unmarshal(r.Data, &want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want.Agreement, facts.Agreement); diff != "" {
		t.Error("agreement: ", diff)
	}
	if readText(t, in.Overlay) != readText(t, overlay) {
		t.Error("the labels differ from those of an undisturbed night")
	}
}
