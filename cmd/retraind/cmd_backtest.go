package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/retraind/retraind/configs"
	"github.com/retraind/retraind/configs/strictyaml"
	"github.com/retraind/retraind/internal/check"
	"github.com/retraind/retraind/internal/offline"
	"github.com/retraind/retraind/internal/unit"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/policy/playback"
)

// backtest holds the flags of the command.
type backtest struct {
	since, sweep, floor string
	set                 []string
	code                bool
}

func newBacktest(a *app) *cobra.Command {
	var o backtest
	cmd := &cobra.Command{
		Use:   "backtest [MODEL]",
		Short: "Apply an edited policy to the recorded past",
		Long: `Apply an edited policy to the recorded past, and compare the result with what happened: how often the policy
would have retrained, how long it would have waited, and what that would have cost. The record is in the state
directory; the policy is that of the configuration, with the changes of --set. Needs no daemon.

  retraind backtest --config new.yaml
  retraind backtest news --since 90d --set accuracy_drop.points=2 --set limits.cooldown=12h
  retraind backtest news --sweep accuracy_drop.points=1..5

The effect of a retrain that never ran is unknown. If the result depends on it, two figures are shown: the
first assumes that each of these retrains fixed the conditions that caused it, the second that none fixed anything.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.backtest(cmd, args, o) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.since, "since", "", "use only the record since this time: 90d (before now), or 2026-09-01")
	flags.StringArrayVar(&o.set, "set", nil,
		"change a key of the model for this backtest: limits.cooldown=12h (may be repeated)")
	flags.StringVar(&o.sweep, "sweep", "",
		"try several values of one key: accuracy_drop.points=1..5, =1..3:0.5, or =85%,90%")
	flags.StringVar(&o.floor, "floor", "", "count the days below this accuracy (default: retrain_when.accuracy_below; if --sweep changes it, that of the file)")
	flags.BoolVar(&o.code, "exit-code", false, "exit 3 if the edited policy would have started other runs")
	flags.String("state", "", "state directory with the record (default: from the configuration)")
	return cmd
}

// tried is one policy with its best and its worst possible result. The two are equal if the record determines the
// result.
type tried struct {
	Value       string // of a sweep
	Best, Worst playback.Backtest
}

func (a *app) backtest(cmd *cobra.Command, args []string, o backtest) error {
	l, _, err := a.load(cmd)
	if err != nil {
		return err
	}
	models := l.File.Names()
	if len(args) == 1 {
		if _, ok := l.File.Models[args[0]]; !ok {
			return noModel(args[0], models)
		}
		models = args
	}
	since, err := parseSince(o.since, time.Now().In(l.File.Location()))
	if err != nil {
		return err
	}
	values := []string{""}
	key := ""
	if o.sweep != "" {
		if key, values, err = parseSweep(o.sweep); err != nil {
			return fail(exitUsage, "--sweep %w", err)
		}
	}
	var page *page
	var docs []any
	changed := false
	for i, model := range models {
		rec, err := offline.ReadRecord(context.Background(), l.File, model, since)
		if errors.Is(err, os.ErrNotExist) {
			return fail(exitFailed, "no record in %s: has a daemon run with this configuration? --state selects another directory",
				l.File.State)
		}
		if err != nil {
			return err
		}
		start := time.Now()
		edited := make([]*configs.File, len(values))
		for n, value := range values {
			if edited[n], err = edit(cmd, l, model, o.set, key, value); err != nil {
				return err
			}
		}
		floor, err := o.belowFloor(l.File, edited, model)
		if err != nil {
			return err
		}
		var all []tried
		for n, value := range values {
			t, err := try(edited[n], model, rec, floor)
			if err != nil {
				return err
			}
			t.Value = value
			changed = changed || len(t.Best.Divergences) > 0
			all = append(all, t)
		}
		if a.json {
			docs = append(docs, backtestDocument(model, key, floor, all))
			continue
		}
		if page == nil {
			page = newPage(a.stdout)
		} else if i > 0 {
			page.line("", 0)
		}
		page.backtest(model, key, floor, all, time.Since(start), l.File.Location())
	}
	if a.json {
		err = a.printJSON(docs)
	} else {
		err = page.print()
	}
	if err == nil && o.code && changed {
		return silent(exitNo)
	}
	return err
}

// try replays the record with a policy. It computes the worst result only if the record does not determine the result.
func try(file *configs.File, model string, rec *offline.Recorded, floor float64) (tried, error) {
	p, err := file.Policy(model)
	if err != nil {
		return tried{}, err
	}
	o := playback.BacktestOptions{Needs: rec.Needs, Took: rec.Took, GPU: rec.GPU, Floor: floor}
	t := tried{Best: playback.RunBacktest(p, &rec.Record, o)}
	t.Worst = t.Best
	if slices.ContainsFunc(t.Best.Divergences, func(c playback.Divergence) bool { return c.Run == "" }) {
		o.MendsNothing = true
		t.Worst = playback.RunBacktest(p, &rec.Record, o)
	}
	return t, nil
}

// edit returns the configuration with the changes of --set and one value of --sweep.
func edit(cmd *cobra.Command, l *configs.Loaded, model string, set []string, key, value string) (*configs.File, error) {
	if key != "" {
		set = append(slices.Clone(set), key+"="+value)
	}
	if len(set) == 0 {
		return l.File, nil
	}
	text := l.Source
	for _, s := range set {
		key, value, ok := strings.Cut(s, "=")
		if !ok || key == "" {
			return nil, fail(exitUsage, "--set %s: write a key and its value, as in limits.cooldown=12h", s)
		}
		var err error
		if text, err = strictyaml.Set(text, "models."+model+"."+inModel(key), value); err != nil {
			return nil, fail(exitUsage, "--set %s: %w", s, err)
		}
	}
	edited, err := configs.Parse(l.Path, text)
	var bad *configs.InvalidError
	if errors.As(err, &bad) { // the positions are those of the edited text, not of the file
		for _, p := range bad.Problems {
			if !p.Warning {
				return nil, fail(exitUsage, "with %s: %s: %s", strings.Join(set, ", "), p.Path, p.Text())
			}
		}
	}
	if err != nil {
		return nil, err
	}
	if _, err := edited.File.Overlay(cmd.Flags()); err != nil {
		return nil, fail(exitUsage, "%w", err)
	}
	return edited.File, nil
}

// inModel puts "retrain_when." in front of the key of a condition. It also does so for a misspelt key, so that the
// error suggests the right key.
func inModel(key string) string {
	first, _, _ := strings.Cut(key, ".")
	conditions := keysOf(policy.Conditions{})
	model := append(keysOf(configs.Model{}), keysOf(policy.Config{})...)
	switch {
	case slices.Contains(model, first):
	case slices.Contains(conditions, first), check.Nearest(first, model) == "" && check.Nearest(first, conditions) != "":
		return "retrain_when." + key
	}
	return key
}

// parseSince parses a duration before now, or a time. For an empty text, which means everything, it returns the zero
// time.
func parseSince(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if d, err := unit.ParseDuration(text); err == nil {
		return now.Add(-d.D()), nil
	}
	t, err := parseTime(text, now)
	if err != nil {
		return t, fail(exitUsage, "--since %w, or a duration before now: 90d", err)
	}
	return t, nil
}

var errSweep = fmt.Errorf("write a key and its values: accuracy_drop.points=1..5, =1..3:0.5, or =85%%,90%%")
