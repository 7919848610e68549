package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/retraind/retraind/classifier"
	"github.com/retraind/retraind/configs"
)

func newServe(a *app) *cobra.Command {
	var listen, model, embeddings string
	var watch bool
	cmd := &cobra.Command{
		Use:   "serve-classifier",
		Short: "Serve a model of the embedded classifier: GET /health, POST /classify",
		Long: `Serve a model of the embedded classifier over HTTP: GET /health, POST /classify, POST /classify/batch.

An answer has the fields label, confidence and release. If the model has several targets, or one that is
not named label, the answer also has TARGET and TARGET_confidence for each; label is then the
answer of the target that decides about promotion.

The model directory is usually the link "current" that a run switches. The server then loads the
new release without failing a request. With --watch=false it reads its model only at start, as many services do.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if model == "" {
				return fail(exitUsage, "--model is required: the directory of a release, or the link to it")
			}
			log, err := newLogger(a.stderr, configs.Settings{LogLevel: "info", LogFormat: "auto"})
			if err != nil {
				return err
			}
			listener, err := openListener(listen)
			if err != nil {
				return err
			}
			server := classifier.NewServer(classifier.ServerOptions{Dir: model, Logger: log, Embeddings: embeddings})
			if err := server.Reload(); err != nil {
				log.Warn("no model is served yet", "err", err)
			}
			ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
			defer stop()
			if watch {
				go func() {
					if err := server.Watch(ctx); err != nil && ctx.Err() == nil {
						log.Error("the link to the model is no longer watched; restart the server to load another release", "err", err)
					}
				}()
			}
			log.Info("serving", "address", listener.Addr().String(), "model", model, "watch", watch)
			return server.Serve(ctx, listener)
		},
	}
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:8082", "address, or fd:N for an inherited listening socket")
	cmd.Flags().StringVar(&model, "model", "", "directory of a release, or a model's link \"current\"")
	cmd.Flags().StringVar(&embeddings, "embeddings", "",
		"embedding service, if it differs from the one used in the training")
	cmd.Flags().BoolVar(&watch, "watch", true, "load another release when the link changes")
	return cmd
}

// openListener listens on an address, or takes over a listening socket of the parent process.
func openListener(address string) (net.Listener, error) {
	number, inherited := strings.CutPrefix(address, "fd:")
	if !inherited {
		l, err := net.Listen("tcp", address)
		if errors.Is(err, syscall.EADDRINUSE) {
			return nil, fmt.Errorf("%s is used by another program: choose another address with --listen", address)
		}
		if err != nil {
			return nil, fmt.Errorf("%w: choose another address with --listen", err)
		}
		return l, nil
	}
	fd, err := strconv.Atoi(number)
	if err != nil || fd < 3 {
		return nil, fail(exitUsage, "--listen %s: write fd: and the number of an inherited socket, 3 or more", address)
	}
	f := os.NewFile(uintptr(fd), address)
	defer f.Close()
	l, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", address, err)
	}
	return l, nil
}
