package actions

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/store"
)

func TestFigures(t *testing.T) {
	t.Parallel()
	many := `{"x0": 1`
	for i := range maxFigures {
		many += `, "y` + strings.Repeat("0", i%60) + number(float64(i)) + `": 1`
	}
	for name, c := range map[string]struct {
		file, wrong string
		want        map[string]float64
	}{
		"figures":      {`{"a": 0.93, "b/loss": 2e-1}` + "\n", "", map[string]float64{"a": 0.93, "b/loss": 0.2}},
		"empty file":   {"", "it is not a JSON object", nil},
		"half a file":  {`{"accuracy": 0.93, "lo`, "inside the JSON object", nil},
		"half a value": {`{"accuracy": 0.`, `"accuracy"`, nil},
		"no end":       {`{"accuracy": 0.93`, "inside the JSON object", nil},
		"NaN":          {`{"accuracy": NaN}`, "invalid character 'N'", nil},
		"infinity":     {`{"accuracy": 1e999}`, "too large", nil},
		"a text":       {`{"accuracy": "0.93"}`, `is "0.93", but a figure must be a number`, nil},
		"null":         {`{"accuracy": null}`, "is null", nil},
		"nested":       {`{"test": {"accuracy": 0.9}}`, "but a figure must be a number", nil},
		"list":         {`[0.9]`, "it is not a JSON object", nil},
		"twice":        {`{"a": 1, "a": 2}`, "is given twice", nil},
		"two objects":  {`{"a": 1}{"a": 2}`, "unexpected data", nil},
		"no figure":    {`{}`, "it contains no figure", nil},
		"odd name":     {`{"a b": 1}`, "cannot name a figure", nil},
		"too many":     {many + "}", "more than 200 figures", nil},
		"large":        {`{"a": 1` + strings.Repeat(" ", maxFiguresFile) + "}", "the limit is 64.0 KiB", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "figures.json")
			writeText(t, path, c.file)
			got, err := readFigures(path, time.Now())
			if diff := cmp.Diff(c.want, got); diff != "" || (err == nil) != (c.wrong == "") {
				t.Fatalf("%v\n%s", err, diff)
			}
			if err != nil && (!strings.Contains(err.Error(), c.wrong) || !strings.Contains(err.Error(), path)) {
				t.Errorf("got %q, want %q", err, c.wrong)
			}
		})
	}
}

// A file that is not a figures file written by the command is refused at once.
func TestNoFiguresFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	if err := syscall.Mkfifo(at("fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	writeText(t, at("old"), `{"a": 1}`)
	if err := os.Symlink("old", at("link")); err != nil {
		t.Fatal(err)
	}
	writeText(t, at("huge"), "{")
	if err := os.Truncate(at("huge"), 2<<30); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		at("none"): "left no such file", at("fifo"): "a named pipe", at("link"): "a symbolic link", dir: "a directory",
		"/dev/zero": "a device", at("huge"): "its size is 2.0 GiB, the limit is 64.0 KiB", at("old"): "before the command began",
	} {
		since := time.Now()
		if path == at("old") {
			since = since.Add(time.Hour)
		}
		if figures, err := readFigures(path, since); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v", path, figures, err)
		}
	}
}

func TestJudgeFigures(t *testing.T) {
	t.Parallel()
	f := func(v float64) *float64 { return &v }
	for name, c := range map[string]struct {
		bound          FigureFloor
		value          float64
		champion       *float64
		class          store.StepState
		why            string
		withoutFigures bool
	}{
		"above the floor":     {FigureFloor{AtLeast: f(0.6)}, 0.6, nil, store.StepOK, "", false},
		"below the floor":     {FigureFloor{AtLeast: f(0.6)}, 0.59, nil, store.StepRejected, "at least 0.6 is needed", false},
		"above the ceiling":   {FigureFloor{AtMost: f(1)}, 1.5, nil, store.StepRejected, "at most 1 is allowed", false},
		"within the margin":   {FigureFloor{Margin: f(0.02)}, 0.69, f(0.7), store.StepOK, "", false},
		"worse":               {FigureFloor{Margin: f(0.02)}, 0.67, f(0.7), store.StepRejected, "the champion's was 0.7", false},
		"smaller is better":   {FigureFloor{AtMost: f(2), Margin: f(0.1)}, 1, f(1.5), store.StepOK, "", false},
		"larger is worse":     {FigureFloor{AtMost: f(2), Margin: f(0.1)}, 1.7, f(1.5), store.StepRejected, "margin of 0.1", false},
		"the champion has it": {FigureFloor{Margin: f(0)}, 0.1, nil, store.StepOK, "", false},
		"nobody wrote it":     {FigureFloor{AtLeast: f(0.6)}, 0, nil, store.StepFailed, "no step of the run wrote", true},
	} {
		g := GateFacts{Figures: map[string]float64{"summary": c.value}}
		if c.withoutFigures {
			g.Figures = nil
		}
		if c.champion != nil {
			g.ChampionFigures = map[string]float64{"summary": *c.champion}
		}
		_, class, why := judgeFigures(map[string]FigureFloor{"summary": c.bound}, g)
		if class != c.class || !strings.Contains(why, c.why) || (why == "") != (c.why == "") {
			t.Errorf("%s: %s, %q", name, class, why)
		}
	}
}

func TestGateOnFigures(t *testing.T) {
	t.Parallel()
	outcomesOnly(t)
	w := newWorld(t)
	margin := 0.02
	w.promote.Figures = map[string]FigureFloor{"summary": {Margin: &margin}}
	scored := func(tenths, figure string) []StepConfig {
		score := sh("score", `echo '{"summary": `+figure+`, "n": 40}' >$RETRAIND_WORK_DIR/figures.json`)
		score.Result = "$RETRAIND_WORK_DIR/figures.json"
		train := argv("train", w.self, "fake-train", tenths)
		train.Kind = KindPure
		return []StepConfig{Do(DoExport), {train}, {score}, Do(DoGate), Do(DoRelease), Do(DoVerify)}
	}
	w.ends(w.run(scored("7", "0.7")), policy.OutcomePromoted, "first release",
		"export ok", "train ok", "score ok", "gate ok", "release ok", "verify ok")
	r := w.run(scored("9", "0.6"))
	w.ends(r, policy.OutcomeRejected, "figure summary is 0.6, the champion's was 0.7: that is worse by more than the margin of 0.02",
		"export ok", "train ok", "score ok", "gate rejected")
	sum, err := ReadSummary(r.Result)
	if err != nil || sum.Figures["summary"] != 0.6 || sum.Figures["n"] != 40 || sum.Gate.ChampionFigures["summary"] != 0.7 {
		t.Errorf("%+v, %v", sum, err)
	}
	w.ends(w.run(scored("10", "NaN")), policy.OutcomeFailed, "score: result ",
		"export ok", "train ok", "score failed")
}
