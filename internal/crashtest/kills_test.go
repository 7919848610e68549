//go:build !race

package crashtest

import (
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/retraind/retraind/internal/waittest"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/status"
	"github.com/retraind/retraind/store"
)

// TestKillsDuringGPUStop kills the daemon, the supervisor of the training, or both at random times during complete runs, in
// which the unit is stopped and a candidate is trained, compared, released and proved. The long run kills 1,000 times.
// RETRAIND_SEED sets the seed.
func TestKillsDuringGPUStop(t *testing.T) {
	t.Parallel()
	kills, worlds, atOnce := 10, 1, 1
	if long() {
		kills, worlds, atOnce = 1000, 12, 4 // 4 at once, since a restarted daemon often waits: for locks, pauses, the disk
	}
	seed := uint64(time.Now().UnixNano())
	if given := os.Getenv("RETRAIND_SEED"); given != "" {
		var err error
		seed, err = strconv.ParseUint(given, 10, 64)
		check(t, err)
	}
	t.Logf("RETRAIND_SEED=%d repeats these kills", seed)
	stage := make(chan struct{}, atOnce)
	for n := range worlds {
		share := kills*(n+1)/worlds - kills*n/worlds
		t.Run(fmt.Sprintf("world %d", n), func(t *testing.T) {
			t.Parallel()
			stage <- struct{}{}
			defer func() { <-stage }()
			w := newMill(t, rand.New(rand.NewPCG(seed, uint64(n))), share)
			if err := w.play(); err != nil {
				t.Fatalf("seed %d, %d runs, %d kills: %v\n%s", seed, w.runs, w.kills, err, tail(w.log(), 6000))
			}
			w.judge()
			w.judgeRuns()
			t.Logf("%d kills in %d runs, by killed process: %v", w.kills, w.runs, w.of)
		})
	}
}

// mill requests one run after another, and kills processes several times during each.
type mill struct {
	*gpuStop
	rng     *rand.Rand
	share   int // number of kills to make
	service *answering
	witness *witness

	runs, kills int
	of          map[string]int // number of kills by what was killed
}

// The training predicts the label of each item except one. That is another item than the champion's, so that the two
// releases can be distinguished. The script's child processes do not inherit its lock.
const millTraining = `#!/bin/sh
dir=$(dirname "$0")/..
exec 8>>"$dir/train.lock"
word=start
flock -n 8 || word=overlap
[ "$(cat "$dir/units/tagger.service")" = active ] && word=beside
echo $word $$ >>"$dir/train.log"
while [ -e "$dir/hold" ]; do sleep 0.02 8>&-; done
n=$(cat "$RETRAIND_CHAMPION_DIR/model" 2>/dev/null 8>&-)
n=$((${n:-0} % 5 + 1))
echo $n >"$RETRAIND_RELEASE_DIR/model"
echo "$RETRAIND_RUN_ID" >"$RETRAIND_RELEASE_DIR/run"
exec sed -E -e 's/^\{"id":("[^"]*"),"text_hash":("[^"]*"),.*"labels":(\{[^}]*\}).*/{"id":\1,"text_hash":\2,"answers":\3}/' \
	-e "$n{s/:\"a\"/:\"b\"/;t" -e 's/:"[bc]"/:"a"/}' "$RETRAIND_DATA_DIR/test.jsonl" >"$RETRAIND_RELEASE_DIR/predictions.jsonl"
`

const millItems = 120

func newMill(t *testing.T, rng *rand.Rand, share int) *mill {
	t.Helper()
	service := newAnswering(t)
	const within = 25 * time.Minute // 85 kills take a minute on an otherwise idle machine
	a := stageGPUStop(t, within, make([]string, share), func(p place) string {
		return fmt.Sprintf(`    heldout: {share: 30%%}
    serving: {classify: "http://%[1]s/classify", health: "http://%[1]s/health"}
    evaluate: {every: 1m, after_changes: 0, debounce: 20ms, max_wait: 50ms, min_items: 20}
    retrain_when: {accuracy_below: 1%%}
    limits: {cooldown: 0s, budget: "", breaker: 0, suspicious_labels: ignore}
    promote: {gate: not_worse, margin: 40, category_floor: 60, verify_within: 1m, undo_within: 1m}
    pipeline:
      default:
        - {do: export}
        - {name: train, exec: [%[2]q], kind: pure, gpu: true, retries: 20}
        - {do: gate}
        - {do: release}
        - {do: verify}
`, service.address, filepath.Join(p.dir, "bin", "train"))
	})
	check(t, os.WriteFile(filepath.Join(a.dir, "bin", "train"), []byte(millTraining), 0o700))
	var rows strings.Builder
	for n := range millItems {
		fmt.Fprintf(&rows, "{\"id\": \"%d\", \"title\": \"text %d\", \"category\": \"%c\"}\n", n, n, 'a'+rune(n%3))
	}
	check(t, os.WriteFile(filepath.Join(a.dir, "labels", "labels.jsonl"), []byte(rows.String()), 0o600))
	check(t, os.MkdirAll(filepath.Join(a.state(), "models", model), 0o700))
	service.serve(a.state())
	w := &mill{gpuStop: a, rng: rng, share: share, service: service, witness: observe(a.state()), of: map[string]int{}}
	t.Cleanup(w.witness.close)
	return w
}

func (w *mill) play() error {
	if err := w.begin(); err != nil {
		return err
	}
	for w.kills < w.share {
		w.runs++
		long := w.rng.IntN(2) == 0 // the training lasts until this run's kills are made, else they are spread over the run
		if long {
			w.hold()
		}
		if err := w.demand(); err != nil {
			return err
		}
		for range min(w.share-w.kills, 1+w.rng.IntN(10)) {
			if err := w.kill(long); err != nil {
				return err
			}
		}
		if long {
			if err := os.Remove(filepath.Join(w.dir, "hold")); err != nil {
				return err
			}
		}
		if err := w.rest(); err != nil {
			return err
		}
	}
	return w.stop(w.ctx)
}

// demand requests the next run, repeatedly until it exists.
func (w *mill) demand() error {
	return waittest.Until(w.ctx, "the request to be accepted", func() (bool, error) {
		runs, err := w.client.Runs(w.ctx, model, 1000)
		if err != nil || len(runs) >= w.runs {
			return len(runs) >= w.runs, err
		}
		_, err = w.client.Trigger(w.ctx, model, status.Request{Reason: "the mill turns"})
		return false, err
	})
}

// kill waits for a random time and kills the daemon. During a long training it may instead kill the supervisor, or
// both.
func (w *mill) kill(long bool) error {
	who := "daemon"
	if long {
		who = []string{"daemon", "both", "supervisor"}[w.rng.IntN(3)]
	}
	most := 400 // while the daemon starts and recovers
	if w.rng.IntN(3) > 0 {
		most = 1500 // while the run continues
	}
	later := time.Duration(w.rng.IntN(most)) * time.Millisecond
	if who != "daemon" {
		if err := w.trains(); err != nil {
			return err
		}
		later /= 10
	}
	timer := time.NewTimer(later)
	select {
	case <-timer.C:
	case <-w.ctx.Done():
		return w.ctx.Err()
	}
	supervisor := w.supervisor()
	if who != "daemon" && !w.killSupervisor() {
		return errors.New("no supervisor is alive although the training is running")
	}
	w.kills++
	w.of[who]++
	if who == "supervisor" {
		gone := func() (bool, error) { return w.supervisor() != supervisor, nil }
		return waittest.Until(w.ctx, "the supervisor's end", gone)
	}
	deaths := w.died()
	_ = w.process().Process.Kill()
	return waittest.Until(w.ctx, "the next process", func() (bool, error) {
		return w.died() > deaths && (who == "daemon" || w.supervisor() != supervisor), nil
	})
}

// trains waits until a training runs under its supervisor. If the run has ended before, the scenario fails.
func (w *mill) trains() error {
	looks := 0
	return waittest.Until(w.ctx, "a training", func() (bool, error) {
		if looks++; looks%50 == 0 {
			runs, err := w.client.Runs(w.ctx, model, 1)
			if err == nil && len(runs) > 0 && runs[0].State == store.RunEnded {
				w.fail(fmt.Errorf("the run ended before its training did: %s: %s", runs[0].Outcome, runs[0].Reason))
			}
		}
		return w.supervisor() > 0, nil
	})
}

// rest waits until the run has ended and everything that it stopped runs again.
func (w *mill) rest() error {
	if err := waittest.Until(w.ctx, fmt.Sprintf("the end of run %d", w.runs), func() (bool, error) {
		runs, err := w.client.Runs(w.ctx, model, 1000)
		if err != nil {
			return false, err
		}
		if len(runs) != w.runs || runs[0].State != store.RunEnded {
			return false, fmt.Errorf("there are %d runs, and the last one is %s", len(runs), runs[0].State)
		}
		return true, nil
	}); err != nil {
		return err
	}
	return w.nothingOwed()
}

// judgeRuns checks that each run was promoted once, that its release was switched to once, and that the last release
// serves.
func (w *mill) judgeRuns() {
	w.t.Helper()
	w.witness.close()
	if w.witness.err != nil {
		w.t.Error(w.witness.err)
	}
	db, err := store.Open(w.t.Context(), w.state())
	check(w.t, err)
	defer db.Close()
	var runs []store.Run
	var row store.Model
	check(w.t, db.View(w.t.Context(), func(t *store.Tx) (err error) {
		if runs, err = t.Runs(model, 1000); err != nil {
			return err
		}
		row, err = t.Model(model)
		return err
	}))
	if len(runs) != w.runs {
		w.t.Errorf("%d runs happened, but %d were requested", len(runs), w.runs)
	}
	want, got := map[string]int{}, map[string]int{}
	for _, r := range runs {
		want[r.ID]++
		if r.Outcome != string(policy.OutcomePromoted) {
			w.t.Errorf("run %s ended as %s, want promoted: %s", r.ID, r.Outcome, r.Reason)
		}
	}
	raw, err := sql.Open("sqlite", filepath.Join(w.state(), "retraind.db"))
	check(w.t, err)
	defer raw.Close()
	rows, err := raw.QueryContext(w.t.Context(), `select run, kind from deploys`)
	check(w.t, err)
	defer rows.Close()
	for rows.Next() {
		var run, kind string
		check(w.t, rows.Scan(&run, &kind))
		if kind != "deploy" {
			w.t.Errorf("run %s has the entry %s in the table deploys, want only deploy", run, kind)
		}
		got[run]++
	}
	check(w.t, rows.Err())
	if diff := cmp.Diff(want, got); diff != "" {
		w.t.Errorf("number of deployments by run (-want +got):\n%s", diff)
	}
	if row.Hold != "" || row.Champion != w.service.digest() {
		w.t.Errorf("champion %s, hold %q; release %s serves; want no hold, and a champion that serves",
			row.Champion, row.Hold, w.service.digest())
	}
	if left := processes(w.state()); len(left) > 0 {
		w.t.Errorf("processes left behind: %v", left)
	}
}
