package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/retraind/retraind/actions/docker/guard"
	"github.com/retraind/retraind/configs"
	"github.com/retraind/retraind/systemd"
)

func newDockerHelper(a *app) *cobra.Command {
	var name, engine string
	var services []string
	cmd := &cobra.Command{
		Use:   "docker-helper",
		Short: "Forward to a Docker engine only the requests that the configured services need",
		Long: `Serve the Docker engine's API on the socket that systemd passes (retraind-docker.socket), for a user who is not in the
group docker. The helper forwards the requests that retraind and docker compose need for the named services: inspect,
build, tag images, stop, start, replace the container. The rights of a new container on the host must be exactly those of
the present container, which a person started. Everything else is refused and logged.

The helper reads no configuration: its services are arguments, which "retraind init systemd" writes into its unit.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			log, err := newLogger(a.stderr, configs.Settings{LogLevel: "info", LogFormat: "auto"})
			if err != nil {
				return err
			}
			config := guard.Config{Engine: engine, Log: log, State: os.Getenv("STATE_DIRECTORY")}
			if config.UID, err = userID(name); err != nil {
				return fail(exitUsage, "--user: %w", err)
			}
			if config.Services, err = parseServices(services); err != nil {
				return fail(exitUsage, "--service: %w", err)
			}
			g, err := guard.New(config)
			if err != nil {
				return fail(exitUsage, "%w", err)
			}
			l, err := systemd.Listener(os.Getenv)
			if err != nil {
				return err
			}
			if l == nil {
				return fail(exitUsage, "systemd has passed no socket: this command is not started by hand; run systemctl enable --now retraind-docker.socket")
			}
			ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
			defer stop()
			log.Info("serving", "user", name, "services", services)
			return g.Serve(ctx, l)
		},
	}
	cmd.Flags().StringVar(&name, "user", "retraind", "the user who may send requests, besides root")
	cmd.Flags().StringVar(&engine, "engine", guard.DefaultEngine, "address of the Docker engine")
	cmd.Flags().StringArrayVar(&services, "service", nil, "[PROJECT/]NAME=DIR: a service and the directory of its compose file")
	return cmd
}

func userID(name string) (uint32, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return 0, err
	}
	id, err := strconv.ParseUint(u.Uid, 10, 32)
	return uint32(id), err
}

// parseServices parses [PROJECT/]NAME=DIR.
func parseServices(given []string) (out []guard.Service, err error) {
	for _, text := range given {
		full, dir, ok := strings.Cut(text, "=")
		project, name, named := strings.Cut(full, "/")
		if !named {
			project, name = "", full
		}
		if !ok || name == "" || !filepath.IsAbs(dir) {
			err = errors.Join(err, fmt.Errorf("%q: write [PROJECT/]NAME=DIR with an absolute directory", text))
		}
		out = append(out, guard.Service{Dir: dir, Name: name, Project: project})
	}
	return out, err
}
