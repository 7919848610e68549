package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/retraind/retraind/actions/ledger"
	"github.com/retraind/retraind/configs"
	"github.com/retraind/retraind/internal/text"
	"github.com/retraind/retraind/store"
	"github.com/retraind/retraind/systemd"
)

func newRestore(a *app) *cobra.Command {
	r := &restoring{app: a}
	cmd := &cobra.Command{
		Use:   "restore",
		Short: "Start again what a run stopped temporarily, if no daemon is running",
		Long: `Start again what runs have stopped for the GPU: compose services, units, Ollama models. Each is started, proved to
run, and removed from the record of what runs have stopped (the ledger). What somebody has started, removed or replaced
meanwhile is left alone, and so is what a training still needs stopped. Nothing is done while the daemon runs, because
the daemon does the same.

It needs no database and no valid configuration. systemd starts it when the daemon fails, and a timer repeats it:
retraind-restore.service, retraind-restore.timer.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			return r.run(ctx, cmd)
		},
	}
	cmd.Flags().StringVar(&r.state, "state", "",
		"the state directory (default: $RETRAIND_STATE, else $STATE_DIRECTORY, else from the configuration, else "+systemd.State+")")
	cmd.Flags().BoolVar(&r.dry, "dry-run", false, "only show what is stopped, and what would be started")
	cmd.Flags().DurationVar(&r.patience, "patience", 3*time.Minute, "how long each service may take to become healthy")
	return cmd
}

// restoring holds the flags of the command restore.
type restoring struct {
	app      *app
	state    string
	dry      bool
	patience time.Duration
}

// owed is one entry of the ledger in the output of --json.
type owed struct {
	Thing  string       `json:"thing"`
	Entry  ledger.Entry `json:"entry"`
	Ending string       `json:"ending,omitempty"`
	Detail string       `json:"detail"`
}

func (r *restoring) run(ctx context.Context, cmd *cobra.Command) error {
	state, err := r.app.stateDir(cmd, r.state)
	if err != nil {
		return err
	}
	l := ledger.Open(state)
	var held *store.LockedError
	daemon := errors.As(store.Held(state), &held)
	if r.dry || daemon {
		return r.list(l, held)
	}
	results, bad, err := l.Restore(ctx, ledger.Order{Due: ledger.StepsEnded, Patience: r.patience})
	checkRegained(ctx, results)
	var rows []owed
	missing := 0
	for _, result := range results {
		rows = append(rows, owed{result.Entry.Thing.String(), result.Entry, string(result.Ending), result.Detail})
		if result.Ending == ledger.Owed {
			missing++
		}
	}
	left, _, listErr := l.Entries()
	for _, e := range left { // not due
		if why := ledger.StepsEnded(e); why != "" {
			rows = append(rows, owed{e.Thing.String(), e, "", "it stays stopped: " + why})
		}
	}
	shown := r.show(rows, bad, true)
	if ctx.Err() != nil {
		return errInterrupted
	}
	if err := errors.Join(err, listErr, shown); err != nil {
		return err
	}
	if missing+len(bad) > 0 {
		return fail(exitFailed, "%s could not be started again; see above", text.Plural(missing+len(bad), "stopped program"))
	}
	return nil
}

// list prints the entries of the ledger without changing anything.
func (r *restoring) list(l *ledger.Ledger, daemon *store.LockedError) error {
	entries, bad, err := l.Entries()
	if err != nil {
		return err
	}
	var rows []owed
	for _, e := range entries {
		why := cmp.Or(ledger.StepsEnded(e), e.Problem, "it would be started")
		if daemon != nil {
			why = cmp.Or(e.Problem, fmt.Sprintf("the daemon (pid %s) starts it when run %s no longer needs the GPU", daemon.PID,
				text.RunID(e.Run.ID)))
		}
		rows = append(rows, owed{e.Thing.String(), e, "", why})
	}
	return r.show(rows, bad, false)
}

func (r *restoring) show(rows []owed, bad map[string]error, renamed bool) error {
	if r.app.json {
		return r.app.printJSON(slices.Concat([]owed{}, rows))
	}
	p := newPage(r.app.stdout)
	if len(rows)+len(bad) == 0 {
		p.line("nothing is stopped", 0)
	}
	for _, row := range rows {
		p.line(row.Thing, 0)
		if row.Ending != "" {
			p.field("ending", row.Ending)
		}
		p.field("detail", row.Detail)
		p.field("run", fmt.Sprintf("%s of model %s, since %s", text.RunID(row.Entry.Run.ID), row.Entry.Model,
			row.Entry.Stopped.Local().Format(time.DateTime)))
	}
	for _, name := range slices.Sorted(maps.Keys(bad)) {
		p.line(unreadable(name, bad[name], renamed), 0)
	}
	return p.print()
}

// unreadable describes a file of the ledger that cannot be read. Restore renames such files.
func unreadable(name string, cause error, renamed bool) string {
	said := fmt.Sprintf("ledger entry %s cannot be read (%v)", name, cause)
	if renamed {
		said += " and was renamed to " + name + ".damaged"
	}
	return said + ": check whether the service that it names is running"
}

// stateDir finds the state directory even if no configuration can be read.
func (a *app) stateDir(cmd *cobra.Command, given string) (string, error) {
	given = cmp.Or(given, os.Getenv("RETRAIND_STATE"), os.Getenv("STATE_DIRECTORY"))
	if given == "" {
		given = systemd.State
		var bad *configs.InvalidError
		if l, _, err := a.load(cmd); err == nil {
			given = l.File.State
		} else if errors.As(err, &bad) {
			if m := stateKey.FindSubmatch(bad.Source); m != nil {
				if given = strings.Trim(string(m[1]), `"'`); !filepath.IsAbs(given) {
					given = filepath.Join(filepath.Dir(a.configPath()), given)
				}
			}
		}
	}
	return filepath.Abs(given)
}

// stateKey finds the state directory in an invalid configuration.
var stateKey = regexp.MustCompile(`(?m)^state:[ \t]*("[^"\n]+"|'[^'\n]+'|[^"'#\s]\S*)`)

// restoreEarly restores the services that runs have stopped, if the daemon cannot start because of its configuration.
func (a *app) restoreEarly(cmd *cobra.Command) {
	given, _ := cmd.Flags().GetString("state")
	state, err := a.stateDir(cmd, given)
	if err != nil || store.Held(state) != nil {
		return
	}
	ctx, stop := context.WithTimeout(context.Background(), earlyPatience)
	defer stop()
	results, bad, err := ledger.Open(state).Restore(ctx, ledger.Order{Due: ledger.StepsEnded, Patience: earlyPatience / 3})
	checkRegained(ctx, results)
	for _, r := range results {
		say(a.stderr, "retraind: %s, which a run had stopped: %s", r.Entry.Thing, r.Detail)
	}
	for _, name := range slices.Sorted(maps.Keys(bad)) {
		say(a.stderr, "retraind: %s", unreadable(name, bad[name], true))
	}
	if err != nil {
		say(a.stderr, "retraind: not everything that a run had stopped was started again: %v; try `retraind restore`", err)
	}
}

// checkRegained adds a note to the results of containers that run again, but use no GPU memory although they did
// before.
func checkRegained(ctx context.Context, results []ledger.Result) {
	if probe, err := gpuProbe(nil); err == nil {
		ledger.CheckGPU(ctx, probe, results)
	}
}

// earlyPatience limits how long a failing start waits for services to become healthy.
const earlyPatience = 30 * time.Second
