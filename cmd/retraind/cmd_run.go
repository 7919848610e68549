package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/retraind/retraind/configs"
	"github.com/retraind/retraind/ingest"
	"github.com/retraind/retraind/internal/check"
	"github.com/retraind/retraind/internal/daemon"
	"github.com/retraind/retraind/systemd"
	"github.com/retraind/retraind/watch"
)

func newRun(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "run",
		Aliases: []string{"serve"},
		Short:   "Run the daemon in the foreground",
		Long: `Run the daemon in the foreground.

Signals:  HUP   read the configuration again and retry failed sources at once; an invalid file is refused
          USR1  retrain every model now, as retraind trigger does
          USR2  evaluate now
          TERM  stop: start nothing new, finish the work in progress or detach from it
          TERM  a second time: stop at once; a training continues, and the next daemon resumes its run`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.run(cmd) },
	}
	configs.Flags(cmd.Flags())
	return cmd
}

func (a *app) run(cmd *cobra.Command) error {
	var err error
	if a.config, err = filepath.Abs(a.configPath()); err != nil { // other programs get this path
		return err
	}
	loaded, settings, err := a.load(cmd)
	if err != nil {
		var usage *coded
		if errors.As(err, &usage) {
			return err
		}
		a.restoreEarly(cmd)
		return &coded{code: exitConfig, err: err}
	}
	log, err := newLogger(a.stderr, settings)
	if err != nil {
		return err
	}
	for _, w := range loaded.Warnings {
		log.Warn("configuration", "at", fmt.Sprintf("%s:%d:%d", w.File, w.Line, w.Column), "cause", w.Message, "hint", w.Hint)
	}
	me, err := self()
	if err != nil {
		return err
	}
	o := daemon.Options{
		Loaded: loaded, Self: me, Version: version().Version, Log: log, Notifier: systemd.NewNotifier(os.Getenv),
		Reread: func() (*configs.Loaded, error) {
			l, _, err := a.load(cmd)
			return l, err
		},
	}
	soft, stopSoft := context.WithCancelCause(context.Background())
	defer stopSoft(nil)
	hard, stopHard := context.WithCancel(context.Background())
	defer stopHard()
	o.Hard = hard
	defer translate(&o, func() { stopSoft(daemon.ErrStopped) }, stopHard)()
	return placed(loaded, daemon.Run(soft, o))
}

// placed adds to an error the configuration key of the source that cannot be followed. It reports an error that
// retrying cannot fix as a fault of the configuration, so that systemd does not restart the daemon repeatedly.
func placed(l *configs.Loaded, err error) error {
	var source *ingest.SourceError
	var fault *watch.Fault
	if !errors.As(err, &source) || !errors.As(err, &fault) {
		return err
	}
	var found check.Problems
	found.Under("models."+source.Model+".labels."+source.Source, watch.ProblemOf(fault))
	problems, locateErr := l.Locate(found)
	if locateErr != nil {
		return err
	}
	code := exitFailed
	if fault.Permanent {
		code = exitConfig
	}
	return &coded{code: code, err: &configs.InvalidError{Path: l.Path, Source: l.Source, Problems: problems}}
}

// translate passes HUP, USR1 and USR2 on to the channels of the options, each with room for one signal, so that
// repeated signals are merged. It calls soft at the first TERM or INT, and hard at each later one. The returned
// function stops this.
func translate(o *daemon.Options, soft, hard func()) func() {
	on := func(sig ...os.Signal) chan os.Signal {
		c := make(chan os.Signal, 1)
		signal.Notify(c, sig...)
		return c
	}
	stop := on(syscall.SIGTERM, syscall.SIGINT)
	pokes := map[chan os.Signal]chan struct{}{}
	channel := func(sig os.Signal) <-chan struct{} {
		c := make(chan struct{}, 1)
		pokes[on(sig)] = c
		return c
	}
	o.Reload, o.Force, o.Evaluate = channel(syscall.SIGHUP), channel(syscall.SIGUSR1), channel(syscall.SIGUSR2)
	for from, to := range pokes {
		go func() {
			for range from {
				select {
				case to <- struct{}{}:
				default:
				}
			}
		}()
	}
	go func() {
		first := true
		for range stop {
			if first {
				soft()
			} else {
				hard()
			}
			first = false
		}
	}()
	return func() {
		signal.Stop(stop)
		close(stop)
		for from := range pokes {
			signal.Stop(from)
			close(from)
		}
	}
}

// newLogger returns a logger that writes JSON if the format is json, else text. If the output goes to systemd's
// journal, the text has no time, because the journal adds one.
func newLogger(w io.Writer, s configs.Settings) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(s.LogLevel)); err != nil {
		return nil, err
	}
	opts := &slog.HandlerOptions{Level: level}
	if s.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, opts)), nil
	}
	if toJournal(w) {
		opts.ReplaceAttr = func(groups []string, attr slog.Attr) slog.Attr {
			if len(groups) == 0 && attr.Key == slog.TimeKey {
				return slog.Attr{} // the journal adds its own
			}
			return attr
		}
	}
	return slog.New(slog.NewTextHandler(w, opts)), nil
}

// toJournal reports whether w is connected to systemd's journal. JOURNAL_STREAM has the device and inode of that
// connection; programs that a service starts inherit the variable even if their output goes elsewhere.
func toJournal(w io.Writer) bool {
	f, ok := w.(*os.File)
	var s syscall.Stat_t
	return ok && syscall.Fstat(int(f.Fd()), &s) == nil && os.Getenv("JOURNAL_STREAM") == fmt.Sprintf("%d:%d", s.Dev, s.Ino)
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
