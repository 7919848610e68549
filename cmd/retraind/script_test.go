package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/retraind/retraind/internal/pgtest"
	"github.com/retraind/retraind/serving/ollama"
)

// tests stops the shared PostgreSQL when the scripts are done.
type tests struct{ *testing.M }

func (t tests) Run() int { return pgtest.Main(t.M) }

// TestMain makes this binary the program retraind, too: scripts, supervisors and probes start it by that name.
func TestMain(m *testing.M) {
	testscript.Main(tests{m}, map[string]func(){"retraind": main})
}

// TestScripts runs the real program as a user does. Each script says at its top what it tests; its commands are
// documented at the functions below. RETRAIND_UPDATE=1 writes the present output into the scripts, for a person to
// review.
func TestScripts(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d scripts found: %v", len(files), err)
	}
	if testing.Short() { // with the race detector these scripts are enough; the others run without it
		files = []string{"testdata/script/life.txtar", "testdata/script/reload.txtar", "testdata/script/trigger.txtar"}
	}
	testscript.Run(t, params(files))
}

// params returns the parameters for running scripts with this program and the commands.
func params(files []string) testscript.Params {
	return testscript.Params{
		Files:               files,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       updating(),
		Setup:               setupScript,
		Condition:           condition,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": cmdExits, "config": cmdConfig, "edit": cmdEdit, "run-id": cmdRunID, "expand": cmdExpand,
			"record":   cmdRecord,
			"postgres": cmdPostgres, "sql": cmdSQL, "items": cmdItems, "drawn": cmdDrawn, "label-file": cmdLabelFile,
			"ollama": cmdOllama,
			"nats":   cmdNATS, "nats-items": cmdNATSItems,
			"fake-gpu": cmdFakeGPU, "fake-systemctl": cmdFakeSystemctl, "card": cmdCard, "classifier": cmdClassifier, "port": cmdPort,
			"start": cmdStart, "ends": cmdEnds, "signal": cmdSignal, "awaits": cmdAwaits, "eventually": cmdEventually,
			"blocks": cmdBlocks, "replace": cmdReplace, "server": cmdServer, "embeddings": cmdEmbeddings,
		},
	}
}

// world has what one script has started.
type world struct {
	t         testing.TB
	dsn       string // of the administrator
	cluster   cluster
	processes map[string]*process
	service   *service
	page      *pageRun // set once a block of a page is run
	ollama    *ollama.Client
	hold      sync.RWMutex // locked while requests to the server must wait
}

type worldKey struct{}

func of(ts *testscript.TestScript) *world { return ts.Value(worldKey{}).(*world) }

func setupScript(env *testscript.Env) error {
	t, ok := env.T().(testing.TB)
	if !ok {
		return fmt.Errorf("the scripts run in %T, which is not a testing.TB", env.T())
	}
	w := &world{t: t, processes: map[string]*process{}}
	env.Values[worldKey{}] = w
	env.Defer(w.close)
	examples, err := filepath.Abs("../../configs/examples")
	if err != nil {
		return err
	}
	env.Setenv("EXAMPLES", examples)
	env.Setenv("HOME", env.WorkDir)
	env.Setenv("TZ", "UTC")
	env.Setenv("COLUMNS", "300") // line breaks would depend on values that differ from run to run
	env.Setenv("STATE", filepath.Join(env.WorkDir, "state"))
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		return err
	}
	// A window that is neither open nor near, whatever the time of day.
	env.Setenv("LATER", time.Now().In(zone).Add(6*time.Hour).Format("15:04"))
	env.Setenv("STILL_LATER", time.Now().In(zone).Add(8*time.Hour).Format("15:04"))
	env.Setenv("LAST_WEEK", time.Now().AddDate(0, 0, -7).UTC().Format(time.RFC3339))
	env.Setenv("YESTERDAY", time.Now().AddDate(0, 0, -1).In(zone).Format("2006-01-02 15:04"))
	for _, name := range []string{"NO_COLOR", "RUNTIME_DIRECTORY", "JOURNAL_STREAM", "NOTIFY_SOCKET"} {
		env.Setenv(name, "")
	}
	return nil
}

// condition evaluates [mount], true if a script may have a mount namespace of its own, and [cgo], true in a binary
// that was built with it.
func condition(name string) (bool, error) {
	if name == "cgo" {
		info, _ := debug.ReadBuildInfo()
		return slices.Contains(info.Settings, debug.BuildSetting{Key: "CGO_ENABLED", Value: "1"}), nil
	}
	if name == "mount" {
		return os.Geteuid() == 0 && exec.Command("unshare", "-m", "true").Run() == nil, nil
	}
	return false, fmt.Errorf("unknown condition %q", name)
}

// close ends what is still running, the daemon before the database.
func (w *world) close() {
	for name, p := range w.processes {
		switch code := p.stop(); {
		case code != 0 && code != signalled:
			w.t.Errorf("%s ended with status %d:\n%s", name, code, p.log.String())
		case w.t.Failed():
			w.t.Logf("%s said:\n%s", name, p.log.String())
		}
	}
	if w.service != nil {
		w.service.Close()
	}
	if w.page != nil && len(w.page.blocks) > 0 && !w.t.Failed() && !w.t.Skipped() {
		w.t.Errorf("%s:%d: the script ends before this block", w.page.blocks[0].Page, w.page.blocks[0].Line)
	}
}

// expand replaces the script's variables.
func expand(ts *testscript.TestScript, text string) string {
	return os.Expand(text, func(name string) string {
		if name == "$" {
			return "$"
		}
		return ts.Getenv(name)
	})
}
