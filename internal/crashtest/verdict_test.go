//go:build !race

package crashtest

import (
	"bytes"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/retraind/retraind/actions"
	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/notify"
	"github.com/retraind/retraind/store"
)

// evidence is what a scenario has left in the store at its end.
type evidence struct {
	t *testing.T
	s *story

	runs      []store.Run // oldest first
	model     store.Model
	outbox    []store.Notification
	byKind    map[notify.Kind][]notify.Event
	changes   int64
	stored    map[string]string // item -> text hash and label
	releases  []store.Release
	deploys   [][3]string // run, release, kind
	openSteps int
	pending   int // number of workflows that the engine would resume
}

// judge compares the final state with what was done.
func (s *story) judge() {
	s.t.Helper()
	e := s.read()
	e.runsEndOnce()
	e.deploysOnce()
	e.currentIsWhole()
	e.changesCounted()
	e.eventsPublished()
	e.trainedOnce()
	e.nothingLeft()
}

// read reads the final state from the store, as the next daemon would.
func (s *story) read() *evidence {
	s.t.Helper()
	e := &evidence{t: s.t, s: s, byKind: map[notify.Kind][]notify.Event{}, stored: map[string]string{}}
	db, err := store.Open(s.ctx, s.state())
	check(s.t, err)
	defer db.Close()
	check(s.t, db.View(s.ctx, func(t *store.Tx) (err error) {
		if e.runs, err = t.Runs(model, 100); err != nil {
			return err
		}
		slices.Reverse(e.runs)
		if e.model, err = t.Model(model); err != nil {
			return err
		}
		if e.outbox, err = t.Notifications(0, 10_000); err != nil {
			return err
		}
		if e.releases, err = t.Releases(model, 100); err != nil {
			return err
		}
		for it, err := range t.Items(model) {
			if err != nil {
				return err
			}
			e.stored[it.ID] = it.TextHash + " " + it.Labels["label"]
		}
		return nil
	}))
	for _, n := range e.outbox {
		event, err := notify.Decode(n.Body)
		check(s.t, err)
		e.byKind[event.Kind] = append(e.byKind[event.Kind], event)
	}
	raw, err := sql.Open("sqlite", filepath.Join(s.state(), "retraind.db"))
	check(s.t, err)
	defer raw.Close()
	check(s.t, raw.QueryRowContext(s.ctx, `select count(*) from changes`).Scan(&e.changes))
	rows, err := raw.QueryContext(s.ctx, `select run, release, kind from deploys order by n`)
	check(s.t, err)
	defer rows.Close()
	for rows.Next() {
		var d [3]string
		check(s.t, rows.Scan(&d[0], &d[1], &d[2]))
		e.deploys = append(e.deploys, d)
	}
	check(s.t, rows.Err())
	check(s.t, raw.QueryRowContext(s.ctx, `select count(*) from steps where state = 'running'`).Scan(&e.openSteps))
	engine, err := db.OpenEngine()
	check(s.t, err)
	defer engine.Close()
	check(s.t, engine.QueryRowContext(s.ctx,
		`select count(*) from workflow_status where status in ('PENDING', 'ENQUEUED')`).Scan(&e.pending))
	return e
}

// runsEndOnce checks that each run has one outcome and one event each for its start and end, and that DriftTripped and
// DriftCleared events alternate.
func (e *evidence) runsEndOnce() {
	e.t.Helper()
	want := []string{string(promoted), string(e.s.ending)}
	if e.s.ending == takenBack {
		want = []string{string(promoted), string(promoted), string(rolledBack)}
	}
	var outcomes, finished []string
	for _, r := range e.runs {
		if r.State != store.RunEnded {
			e.t.Errorf("run %s is still %s: it should have ended", r.ID, r.State)
		}
		outcomes = append(outcomes, r.Outcome)
	}
	if diff := cmp.Diff(want, outcomes); diff != "" {
		e.t.Fatalf("outcomes of the runs (-want +got):\n%s\n%v", diff, e.runs)
	}
	started := map[string]int{}
	for _, event := range e.byKind[notify.RunStarted] {
		started[event.Run]++
	}
	ends := map[string]int{}
	for _, event := range e.byKind[notify.RunFinished] {
		data, err := notify.Unpack[notify.Finished](event)
		check(e.t, err)
		finished = append(finished, data.Outcome)
		ends[event.Run]++
	}
	if diff := cmp.Diff(want, finished); diff != "" {
		e.t.Errorf("run.finished events (-want +got):\n%s", diff)
	}
	for _, r := range e.runs {
		if started[r.ID] != 1 || ends[r.ID] != 1 {
			e.t.Errorf("run %s has %d events run.started and %d events run.finished, want one each",
				r.ID, started[r.ID], ends[r.ID])
		}
	}
	was := notify.DriftCleared
	for _, n := range e.outbox {
		if kind := notify.Kind(n.Kind); kind == notify.DriftTripped || kind == notify.DriftCleared {
			if kind == was {
				e.t.Errorf("the outbox has two events %s in a row, without the opposite event between them", kind)
			}
			was = kind
		}
	}
	if e.openSteps != 0 || e.pending != 0 {
		e.t.Errorf("after the end %d steps are still recorded as running, and the engine would resume %d workflows; want none",
			e.openSteps, e.pending)
	}
}

// deploysOnce checks that exactly the deployments and rollbacks that the ending requires happened, each once.
func (e *evidence) deploysOnce() {
	e.t.Helper()
	first, second := e.released(0), e.released(1)
	want := [][3]string{{e.runs[0].ID, first, "deploy"}}
	serving := []string{first}
	kinds := map[notify.Kind]int{notify.ModelDeployed: 1, notify.ModelRejected: 0, notify.ModelRolledBack: 0}
	switch e.s.ending {
	case promoted:
		want = append(want, [3]string{e.runs[1].ID, second, "deploy"})
		serving = append(serving, second)
		kinds[notify.ModelDeployed] = 2
	case takenBack:
		want = append(want, [3]string{e.runs[1].ID, second, "deploy"}, [3]string{e.runs[2].ID, first, "rollback"})
		serving = append(serving, second, first)
		kinds[notify.ModelDeployed], kinds[notify.ModelRolledBack] = 2, 1
	case rejected:
		kinds[notify.ModelRejected] = 1
	case rolledBack:
		want = append(want, [3]string{e.runs[1].ID, second, "deploy"}, [3]string{e.runs[1].ID, first, "rollback"})
		serving = append(serving, second, first)
		kinds[notify.ModelRolledBack] = 1
	}
	if diff := cmp.Diff(want, e.deploys); diff != "" {
		e.t.Errorf("rows of the table deploys (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(serving, e.s.witness.seen); diff != "" {
		e.t.Errorf("releases to which the link `current` pointed, in order (-want +got):\n%s", diff)
	}
	for kind, n := range kinds {
		if got := len(e.byKind[kind]); got != n {
			e.t.Errorf("the outbox has %d events %s, want %d", got, kind, n)
		}
	}
	if champion := serving[len(serving)-1]; e.model.Champion != champion || e.model.Hold != "" {
		e.t.Errorf("champion %s, hold %q; want champion %s and no hold", e.model.Champion, e.model.Hold, champion)
	}
}

// released returns the release that a run made.
func (e *evidence) released(run int) string {
	e.t.Helper()
	for _, r := range e.releases {
		if r.Run == e.runs[run].ID {
			return r.Digest
		}
	}
	e.t.Fatalf("run %s left no release", e.runs[run].ID)
	return ""
}

// currentIsWhole checks that `current` pointed to a complete release whenever the witness read it, and to the champion
// at the end.
func (e *evidence) currentIsWhole() {
	e.t.Helper()
	w := e.s.witness
	if w.err != nil {
		e.t.Error(w.err)
	}
	if w.looks < 10 {
		e.t.Errorf("the test read the link `current` only %d times, too seldom to see each change", w.looks)
	}
	if len(w.seen) > 0 && w.seen[len(w.seen)-1] != e.model.Champion {
		e.t.Errorf("the link `current` points to release %s, but the champion is %s", w.seen[len(w.seen)-1], e.model.Champion)
	}
}

// changesCounted checks that the store equals the table, and that each change by people was stored once and published
// once.
func (e *evidence) changesCounted() {
	e.t.Helper()
	table := map[string]string{}
	rows, err := e.s.db.Query(e.s.ctx, `select id, title, content, category from items`)
	check(e.t, err)
	defer rows.Close()
	for rows.Next() {
		var id, title, content, category string
		check(e.t, rows.Scan(&id, &title, &content, &category))
		table[id] = drift.TextHash(map[string]string{"title": title, "content": content}) + " " + category
	}
	check(e.t, rows.Err())
	if diff := cmp.Diff(table, e.stored); diff != "" {
		e.t.Errorf("stored items (-table +store):\n%s", diff)
	}
	want := int64(items + e.s.made)
	if e.changes != want {
		e.t.Errorf("%d label changes are stored, %d were made", e.changes, want)
	}
	var toldOf int64
	for _, event := range e.byKind[notify.LabelsReceived] {
		data, err := notify.Unpack[notify.Labels](event)
		check(e.t, err)
		toldOf += int64(data.Changes)
	}
	if toldOf != want {
		e.t.Errorf("the events labels.received report %d changes, %d were made", toldOf, want)
	}
}

// eventsPublished checks that the stream has every document of the outbox, once and in order, and that a subscriber got
// only documents of the outbox.
func (e *evidence) eventsPublished() {
	e.t.Helper()
	outbox := map[string]string{}
	for _, n := range e.outbox {
		outbox[n.ID] = string(n.Body)
	}
	var stored []string
	for id, body := range e.stream() {
		if body != outbox[id] {
			e.t.Errorf("event %s: the document in the stream differs from the one in the outbox", id)
		}
		stored = append(stored, id)
	}
	var ids []string
	for _, n := range e.outbox {
		switch {
		case !n.Published.IsZero():
			ids = append(ids, n.ID)
		case n.Created.Before(e.s.rested):
			e.t.Errorf("event %s %s was never published", n.ID, n.Kind)
		case slices.Contains(stored, n.ID): // published while the daemon stopped; the next one records it
			ids = append(ids, n.ID)
		}
	}
	if diff := cmp.Diff(ids, stored); diff != "" {
		e.t.Errorf("ids of the published events (-outbox +stream):\n%s", diff)
	}
	e.s.sub.mu.Lock()
	defer e.s.sub.mu.Unlock()
	for _, err := range e.s.sub.errs {
		e.t.Error(err)
	}
	for id, body := range e.s.sub.bodies {
		if outbox[id] != body {
			e.t.Errorf("event %s: the document that the subscriber received is not the one in the outbox", id)
		}
	}
	if len(e.s.sub.bodies) == 0 {
		e.t.Error("the subscriber received no event")
	}
}

// stream reads the broker's files after the daemon has ended. It returns message ids and documents, in order.
func (e *evidence) stream() func(yield func(id, body string) bool) {
	e.t.Helper()
	broker, err := notify.StartEmbedded(notify.Options{Dir: filepath.Join(e.s.state(), "nats"), Name: "crashtest"})
	check(e.t, err)
	defer broker.Shutdown()
	js, err := jetstream.New(broker.Conn())
	check(e.t, err)
	stream, err := js.Stream(e.s.ctx, notify.Stream)
	check(e.t, err)
	state := stream.CachedInfo().State
	var list [][2]string
	for n := state.FirstSeq; n <= state.LastSeq && state.Msgs > 0; n++ {
		m, err := stream.GetMsg(e.s.ctx, n)
		check(e.t, err)
		list = append(list, [2]string{m.Header.Get(jetstream.MsgIDHeader), string(m.Data)})
	}
	return func(yield func(id, body string) bool) {
		for _, m := range list {
			if !yield(m[0], m[1]) {
				return
			}
		}
	}
}

// trainedOnce checks that no two trainings ran at the same time, that no attempt started twice, and that there were
// only the attempts that the scenario causes.
func (e *evidence) trainedOnce() {
	e.t.Helper()
	b, err := os.ReadFile(filepath.Join(e.s.dir, "train.log"))
	check(e.t, err)
	starts := map[string]int{}
	for _, line := range strings.Split(strings.TrimSpace(string(b)), "\n") {
		f := strings.Fields(line)
		if len(f) != 3 || f[0] != "start" {
			e.t.Errorf("train.log should have only lines that begin with start, but has: %s", line)
			continue
		}
		starts[f[1]]++
	}
	want := map[string]int{}
	for _, r := range e.runs[:2] {
		want[r.ID+"/train/a1"] = 1
	}
	for _, attempt := range e.s.again {
		want[e.runs[0].ID+"/train/"+attempt] = 1
	}
	if diff := cmp.Diff(want, starts); diff != "" {
		e.t.Errorf("starts of the trainings (-want +got):\n%s", diff)
	}
}

// nothingLeft checks that no process of the scenario is alive, and that the first release is unchanged.
func (e *evidence) nothingLeft() {
	e.t.Helper()
	if left := processes(e.s.state()); len(left) > 0 {
		e.t.Errorf("processes left behind: %v", left)
	}
	r, err := actions.ReadRelease(filepath.Join(e.s.state(), "models", model, "releases", e.runs[0].ID))
	if err != nil || r.Digest != e.released(0) {
		e.t.Errorf("the files of the first release have changed: digest %s, error %v", r.Digest, err)
	}
}

// processes returns, by pid, the processes with the state directory in their arguments or environment.
func processes(state string) map[int]string {
	found := map[int]string{}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return found
	}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		args, _ := os.ReadFile(filepath.Join("/proc", entry.Name(), "cmdline"))
		env, _ := os.ReadFile(filepath.Join("/proc", entry.Name(), "environ"))
		if bytes.Contains(args, []byte(state)) || bytes.Contains(env, []byte(state)) {
			found[pid] = string(bytes.ReplaceAll(args, []byte{0}, []byte{' '}))
		}
	}
	return found
}

// killLeftovers kills the processes that a failed scenario has left.
func killLeftovers(state string) {
	for pid := range processes(state) {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

// passed returns the names of the points that the first process of a scenario passed, each once, in order.
func (g *guardian) passed(t *testing.T) []string {
	t.Helper()
	b, err := os.ReadFile(g.points(0))
	check(t, err)
	var names []string
	for _, line := range strings.Split(strings.TrimSpace(string(b)), "\n") {
		name, _, ok := strings.Cut(line, "#")
		if !ok {
			t.Fatal(fmt.Errorf("the file of passed points has the line %q without #", line))
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}
