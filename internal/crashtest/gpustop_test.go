//go:build !race

package crashtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/retraind/retraind/actions/ledger"
	"github.com/retraind/retraind/internal/waittest"
	"github.com/retraind/retraind/status"
	"github.com/retraind/retraind/store"
)

// gpuStop is a scenario in which a run stops a unit for its training. Shell scripts simulate the host: a systemctl that
// keeps states in files, and an nvidia-smi that reports memory as used while the unit runs.
type gpuStop struct {
	place
	*guardian
	t   *testing.T
	ctx context.Context
}

// host contains the scripts of the simulated host, by their names in the directory bin.
var host = map[string]string{
	"systemctl": `#!/bin/sh
shift # --no-ask-password
verb=$1
for name; do :; done
unit=$(dirname "$0")/../units/$name
state=$(cat "$unit" 2>/dev/null || echo inactive)
case $verb in
show)
	printf 'LoadState=loaded\nActiveState=%s\nInvocationID=%s\n' $state "$(cat "$unit.invocation" 2>/dev/null)"
	printf 'CanStart=yes\nCanStop=yes\nTransient=no\n' ;;
start)
	[ $state = active ] && exit 0
	date +%s%N >"$unit.invocation"
	echo active >"$unit.new" && mv "$unit.new" "$unit"
	echo "start $name" >>"$(dirname "$unit")/log" ;;
stop)
	[ $state = inactive ] && exit 0
	echo inactive >"$unit.new" && mv "$unit.new" "$unit"
	echo "stop $name" >>"$(dirname "$unit")/log" ;;
esac
`,
	"nvidia-smi": `#!/bin/sh
used=0
[ "$(cat "$(dirname "$0")/../units/tagger.service")" = active ] && used=20480
echo '<nvidia_smi_log><gpu><product_name>Fake RTX 4090</product_name><mig_mode><current_mig>N/A</current_mig></mig_mode>'
echo '<uuid>GPU-1</uuid><utilization><gpu_util>0 %</gpu_util></utilization><temperature><gpu_temp>64 C</gpu_temp></temperature>'
echo "<fb_memory_usage><total>24576 MiB</total><used>$used MiB</used><free>$((24576 - used)) MiB</free></fb_memory_usage>"
echo '<processes></processes></gpu></nvidia_smi_log>'
`,
	// The training records in train.log whether the unit or another training runs at the same time, and always fails.
	"train": `#!/bin/sh
dir=$(dirname "$0")/..
exec 8>>"$dir/train.lock"
word=start
flock -n 8 || word=overlap
[ "$(cat "$dir/units/tagger.service")" = active ] && word=beside
echo $word $$ >>"$dir/train.log"
while [ -e "$dir/hold" ]; do sleep 0.02; done
exit 3
`,
}

func newGPUStop(t *testing.T, at ...string) *gpuStop {
	t.Helper()
	return stageGPUStop(t, patience, at, func(p place) string {
		return fmt.Sprintf(`    serving: {classify: "http://127.0.0.1:1/classify", health: "http://127.0.0.1:1/health", asleep: ok}
    retrain_when: {label_changes: {at_least: 60}}
    pipeline:
      default:
        - {name: train, exec: [%q], kind: pure, gpu: true, retries: 0}
        - {do: export}
        - {do: gate}
        - {do: release}
        - {do: verify}
`, filepath.Join(p.dir, "bin", "train"))
	})
}

// stageGPUStop creates a place with the simulated host and a configuration for one model. rest returns the last part of
// the configuration.
func stageGPUStop(t *testing.T, within time.Duration, at []string, rest func(place) string) *gpuStop {
	t.Helper()
	dir := t.TempDir()
	p := place{dir: dir, program: filepath.Join(dir, "bin", "retraind"), broker: newBroker()}
	for _, d := range []string{"bin", "units", "leases", "labels"} {
		check(t, os.MkdirAll(filepath.Join(dir, d), 0o700))
	}
	for name, script := range host {
		check(t, os.WriteFile(filepath.Join(dir, "bin", name), []byte(script), 0o700))
	}
	wrapper := fmt.Sprintf("#!/bin/sh\nPATH=%q:$PATH exec %q \"$@\"\n", filepath.Join(dir, "bin"), program(t))
	check(t, os.WriteFile(p.program, []byte(wrapper), 0o700))
	for name, text := range map[string]string{"tagger.service": "active\n", "off.service": "inactive\n"} {
		check(t, os.WriteFile(filepath.Join(dir, "units", name), []byte(text), 0o600))
	}
	check(t, os.WriteFile(p.config(), fmt.Appendf(nil, `version: 1
state: %q
listen: off
nats: {embedded: true, listen: %q}
gpu: {leases: %q}
models:
  %s:
    labels: {files: {dir: %q, id: id, text: [title], label: category}}
    gpu: {free: 20GiB, stable_for: 10ms, wait: 20s, stop_within: 10s, stop: [{unit: tagger.service}, {unit: off.service}]}
%s`, p.state(), p.broker, filepath.Join(dir, "leases"), model, filepath.Join(dir, "labels"), rest(p)), 0o600))
	ctx, fail := context.WithCancelCause(t.Context())
	ctx, stop := context.WithTimeoutCause(ctx, within, fmt.Errorf("the scenario has not ended after %s", within))
	t.Cleanup(stop)
	s := &gpuStop{place: p, t: t, ctx: ctx}
	s.guardian = &guardian{
		place: p, at: at, client: status.NewClient(filepath.Join(p.state(), "retraind.sock")), fail: fail,
	}
	t.Cleanup(func() {
		s.kill()
		s.client.Close()
		killLeftovers(s.state())
	})
	return s
}

// play starts the daemon, requests a run, calls the function during if it is not nil, and waits until the run has ended
// and everything that was stopped runs again.
func (s *gpuStop) play(during func() error) error {
	if err := s.begin(); err != nil {
		return err
	}
	if err := s.demand(); err != nil {
		return err
	}
	if during != nil {
		if err := during(); err != nil {
			return err
		}
	}
	if err := waittest.Until(s.ctx, "the end of the run", func() (bool, error) {
		runs, err := s.client.Runs(s.ctx, model, 10)
		if err != nil {
			return false, err
		}
		return len(runs) == 1 && runs[0].State == store.RunEnded, nil
	}); err != nil {
		return err
	}
	if err := s.nothingOwed(); err != nil {
		return err
	}
	if err := waittest.Until(s.ctx, "the last kill", func() (bool, error) { return s.died() >= len(s.at), nil }); err != nil {
		return err
	}
	return s.stop(s.ctx)
}

func (s *gpuStop) nothingOwed() error {
	return waittest.Until(s.ctx, "nothing to be owed", func() (bool, error) {
		entries, bad, err := ledger.Open(s.state()).Entries()
		return len(entries)+len(bad) == 0, err
	})
}

// demand requests a run until a process has accepted it.
func (s *gpuStop) demand() error {
	return waittest.Until(s.ctx, "the request to be accepted", func() (bool, error) {
		if _, err := s.serving(s.ctx); err != nil {
			return false, err
		}
		runs, err := s.client.Runs(s.ctx, model, 1)
		if err != nil || len(runs) > 0 {
			return len(runs) > 0, err
		}
		_, err = s.client.Trigger(s.ctx, model, status.Request{Reason: "the play begins"})
		return false, err
	})
}

// judge checks the final state: the unit that ran before runs, the one that was off is off, and no training ran at the
// same time as another one or the unit.
func (s *gpuStop) judge() {
	s.t.Helper()
	read := func(name string) string {
		b, err := os.ReadFile(filepath.Join(s.dir, name))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			s.t.Error(err)
		}
		return string(b)
	}
	if got := read("units/tagger.service"); got != "active\n" {
		s.t.Errorf("the state of tagger.service at the end is %q, want active, as before the run", got)
	}
	log := strings.Fields(strings.NewReplacer("stop ", "stop:", "start ", "start:").Replace(read("units/log")))
	for i, line := range log {
		if want := []string{"stop:tagger.service", "start:tagger.service"}[i%2]; line != want {
			s.t.Errorf("units were stopped and started as %v; want stop and start of tagger.service in turn", log)
			break
		}
	}
	trainings := read("train.log")
	if strings.Contains(trainings, "overlap") || strings.Contains(trainings, "beside") || trainings == "" {
		s.t.Errorf("train.log: %q; want no training that overlaps another one or runs beside the unit", trainings)
	}
}

// TestCrashDuringGPUStop kills the daemon at each point while the unit is stopped, the training runs and the unit is started
// again. It also kills the daemon twice, and together with the step's supervisor.
func TestCrashDuringGPUStop(t *testing.T) {
	t.Parallel()
	stage := make(chan struct{}, atOnce)
	act := func(name string, during func(*gpuStop) func() error, at ...string) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stage <- struct{}{}
			defer func() { <-stage }()
			s := newGPUStop(t, at...)
			var do func() error
			if during != nil {
				do = during(s)
			}
			if err := s.play(do); err != nil {
				t.Fatalf("%v\n%s", err, tail(s.log(), 4000))
			}
			if s.died() != len(at) {
				t.Fatalf("the daemon was killed %d times, want once at each of %v", s.died(), at)
			}
			s.judge()
		})
	}
	var points []string
	t.Run("undisturbed", func(t *testing.T) {
		s := newGPUStop(t)
		if err := s.play(nil); err != nil {
			t.Fatalf("%v\n%s", err, tail(s.log(), 4000))
		}
		s.judge()
		points = s.passed(t)
	})
	if len(points) == 0 {
		return
	}
	here := slices.DeleteFunc(points, func(p string) bool { return !ofTheGPUPart(p) })
	for _, want := range []string{"ledger:noted", "ledger:stopped", "freed", "ledger:back", "ledger:started", "ledger:discharge"} {
		if !slices.ContainsFunc(here, func(p string) bool { return strings.HasPrefix(p, want) }) {
			t.Errorf("the scenario does not pass a point %s; it passes %v", want, points)
		}
	}
	for _, p := range here {
		act(p, nil, p)
	}
	pairs := [][]string{
		{"freed", "ledger:started"},
		{"recorded:free", "ledger:noted"},
		{"ledger:stopped", "ledger:back"},
		{"under way", "ledger:discharge"},
		{"ledger:started", "assembled"},
	}
	if !long() {
		pairs = pairs[:2]
	}
	for _, pair := range pairs {
		act(strings.Join(pair, ", "), nil, pair...)
	}
	act("daemon and supervisor", (*gpuStop).losesSupervisor, "under way")
}

func long() bool { return os.Getenv("RETRAIND_LONG") != "" }

// ofTheGPUPart reports whether a point belongs to stopping, training or starting again. The points of the journal are
// included only in the long run.
func ofTheGPUPart(point string) bool {
	points := []string{"ledger:", "freed", "specified", "supervised", "under way"}
	if long() {
		points = append(points, "begun:", "recorded:")
	}
	for _, p := range points {
		if strings.HasPrefix(point, p) {
			return true
		}
	}
	return false
}

// losesSupervisor returns a function that kills the step's supervisor as soon as a training runs. A hold file keeps the
// training running until then.
func (s *gpuStop) losesSupervisor() func() error {
	hold := s.hold()
	return func() error {
		defer os.Remove(hold)
		return waittest.Until(s.ctx, "the supervisor's end", func() (bool, error) { return s.killSupervisor(), nil })
	}
}

// hold creates a file and returns its path. Trainings do not end while it exists.
func (s *gpuStop) hold() string {
	hold := filepath.Join(s.dir, "hold")
	check(s.t, os.WriteFile(hold, nil, 0o600))
	return hold
}

// killSupervisor kills the supervisor of the newest training, and reports whether it was alive.
func (s *gpuStop) killSupervisor() bool {
	pid := s.supervisor()
	return pid > 0 && syscall.Kill(pid, syscall.SIGKILL) == nil
}

// supervisor returns the process id of the supervisor of the last training; 0 if it is not alive.
func (s *gpuStop) supervisor() int {
	fields := strings.Fields(tail(filepath.Join(s.dir, "train.log"), 1000))
	if len(fields) < 2 {
		return 0
	}
	training, err := strconv.Atoi(fields[len(fields)-1])
	if err != nil {
		return 0
	}
	pid := parentOf(training)
	// The training may have ended, and another process may have its id.
	args, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil || pid <= 1 || !strings.Contains(string(args), s.state()) {
		return 0
	}
	return pid
}

func parentOf(pid int) int {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	n, _ := strconv.Atoi(fields[1])
	return n
}
