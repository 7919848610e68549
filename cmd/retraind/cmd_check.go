package main

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/retraind/retraind/actions"
	"github.com/retraind/retraind/configs"
	"github.com/retraind/retraind/configs/strictyaml"
	"github.com/retraind/retraind/internal/check"
	"github.com/retraind/retraind/notify"
	"github.com/retraind/retraind/serving"
	"github.com/retraind/retraind/watch/natssource"
	"github.com/retraind/retraind/watch/sources"
)

// onlinePatience limits how long a check waits for one server.
const onlinePatience = 10 * time.Second

func newCheck(a *app) *cobra.Command {
	var offline, strict bool
	var pipeline string
	cmd := &cobra.Command{
		Use:   "check [FILE]",
		Short: "Check a configuration: its values, and that its tables, services and programs exist",
		Long: `Check every key, value and unit of a configuration, with file, line and column of each problem. Unless
--offline is given, also check that its databases and classifiers answer, that its tables, triggers and the
programs of its steps exist, and that there is a GPU if a model needs one.

With --pipeline NAME, check everything that a run of that pipeline needs: programs, scripts and directories, the
permission to use the container engine and units, and disk space. If root runs the command, it checks as the
daemon's user. Nothing is changed. Each finding has a stable code, what was found, and the cure. The exit code is
3 if there are findings.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				a.config = args[0]
			}
			if pipeline != "" {
				return a.checkPipeline(cmd, pipeline)
			}
			found, loaded, err := a.check(cmd, offline)
			if err != nil {
				return err
			}
			return a.showFindings(found, loaded, offline, strict)
		},
	}
	cmd.Flags().BoolVar(&offline, "offline", false, "check only the file")
	cmd.Flags().StringVar(&pipeline, "pipeline", "", "check what a run of this pipeline needs")
	cmd.Flags().BoolVar(&strict, "strict", false, "exit 3 when there are warnings")
	return cmd
}

// check collects the problems of the configuration. It returns an error only if it could not check.
func (a *app) check(cmd *cobra.Command, offline bool) (strictyaml.Problems, *configs.Loaded, error) {
	l, _, err := a.load(cmd)
	var bad *configs.InvalidError
	if errors.As(err, &bad) {
		return bad.Problems, &configs.Loaded{Path: bad.Path, Source: bad.Source}, nil
	}
	if err != nil {
		return nil, nil, err
	}
	found := l.Warnings
	if offline {
		return found, l, nil
	}
	located, err := l.Locate(checkOnline(l.File, onlinePatience))
	return append(found, located...), l, err
}

// checkOnline checks what the file alone does not show. A server that does not answer leaves the others their time.
func checkOnline(file *configs.File, patience time.Duration) check.Problems {
	var found check.Problems
	limited := func(ask func(ctx context.Context)) {
		ctx, stop := context.WithTimeout(context.Background(), patience)
		defer stop()
		ask(ctx)
	}
	for _, name := range file.Names() {
		m := file.Models[name]
		limited(func(ctx context.Context) {
			found.Under("models."+name+".labels", sources.Check(ctx, name, &m.Labels))
		})
		limited(func(ctx context.Context) { found.Under("models."+name+".serving", checkServing(ctx, m.Serving)) })
		if report, err := lastReport(file.State, name); err == nil {
			found.Under("models."+name, checkSize(m, report))
		}
		found.Under("models."+name+".deploy", actions.CheckDeploy(m.Deploy, m.Dir))
		for _, pipeline := range slices.Sorted(maps.Keys(m.Pipeline)) {
			found.Under("models."+name+".pipeline."+pipeline, actions.CheckPrograms(m.Pipeline[pipeline]))
			found.Under("models."+name+".pipeline."+pipeline, actions.CheckPrompts(m.Pipeline[pipeline], m.Serving))
		}
	}
	limited(func(ctx context.Context) { checkNATS(ctx, file, &found) })
	limited(func(ctx context.Context) { checkGPU(ctx, file, &found) })
	return found
}

// checkNATS checks that an external server accepts retraind's connection, and that it has the streams of the label
// sources.
func checkNATS(ctx context.Context, file *configs.File, found *check.Problems) {
	if file.NATS.UsesEmbedded() {
		return
	}
	conn, err := notify.Probe(&file.NATS, "retraind check")
	if err != nil {
		var p check.Problems
		p.Errorf("url", "start the server or correct the URL; the daemon starts without it, and publishes its events as soon "+
			"as the server answers", "%v", err)
		found.Under("nats", p)
		return
	}
	defer conn.Close()
	for _, name := range file.Names() {
		if c := file.Models[name].Labels.NATS; c != nil {
			found.Under("models."+name+".labels.nats", natssource.Check(ctx, conn, name, c))
		}
	}
}

// checkServing checks the classifier's health. A missing classifier is only a warning, because the first run deploys
// it.
func checkServing(ctx context.Context, c serving.Config) check.Problems {
	if c.Ollama != nil {
		return serving.CheckOllama(ctx, c)
	}
	var p check.Problems
	s := serving.NewScorer(c)
	defer s.Close()
	info, err := s.Health(ctx)
	switch {
	case errors.Is(err, serving.ErrAsleep):
		p.Warnf("health", "this is expected before the first release is deployed", "%v", err)
	case err != nil:
		p.Errorf("health", "", "%v", err)
	case info.Release == "":
		p.Warnf("health", "put the digest of the loaded release into the health answer, and set health_release to the path of that field: a deployment is then proved faster",
			"the health answer has no field %q", c.WithDefaults().HealthRelease)
	}
	return p
}

func (a *app) showFindings(found strictyaml.Problems, l *configs.Loaded, offline, strict bool) error {
	if a.json {
		if found == nil {
			found = strictyaml.Problems{}
		}
		if err := a.printJSON(map[string]any{"file": l.Path, "ok": found.Errors() == 0, "problems": found}); err != nil {
			return err
		}
	} else {
		if len(found) > 0 {
			if err := found.Render(a.stdout, l.Source); err != nil {
				return err
			}
		}
		if found.Errors() == 0 {
			if err := describe(newPage(a.stdout), l, offline, time.Now()); err != nil {
				return err
			}
		}
	}
	switch {
	case found.Errors() > 0:
		return silent(exitFailed)
	case strict && len(found) > 0:
		return silent(exitNo)
	}
	return nil
}
