package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/google/renameio/v2"
	"github.com/spf13/cobra"

	"github.com/retraind/retraind/configs"
	"github.com/retraind/retraind/status"
)

// app contains what every command needs: the streams and the global flags.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer

	config string // --config
	socket string // --socket
	json   bool   // --json
}

func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "retraind",
		Short: "Keep a deployed text classifier accurate",
		Long: `retraind follows label changes and measures the accuracy of the deployed classifier on
held-out items. When a policy requires it, it retrains in quiet hours, deploys, proves
what serves, rolls back if needed, and publishes events on NATS.

Begin with:  retraind demo            the whole cycle on this machine, in under a minute
             retraind init            a commented configuration, the SQL and the unit

Exit codes:  0 ok   1 failed   2 usage   3 "no" or findings   4 daemon not reachable
             5 refused by a safety rule   6 not found   7 ended without promotion
             8 gave up waiting   78 bad configuration at start   130 interrupted`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	flags := root.PersistentFlags()
	flags.StringVarP(&a.config, "config", "c", "",
		"configuration file (default: the first of $RETRAIND_CONFIG, ./retraind.yaml, /etc/retraind/retraind.yaml)")
	flags.StringVar(&a.socket, "socket", "", "the daemon's control socket (default: $RETRAIND_SOCKET, else from the configuration)")
	flags.BoolVar(&a.json, "json", false, "print JSON instead of text")
	root.AddCommand(
		newRun(a), newDemo(a), newInit(a), newCheck(a), newConfig(a), newStatus(a), newExplain(a), newDrift(a), newTrigger(a),
		newLabel(a), newPause(a), newHold(a), newResume(a), newVerify(a), newRuns(a), newModels(a),
		newExport(a), newTrain(a), newServe(a), newGPU(a), newRestore(a),
		newWindows(a), newBacktest(a), newTest(a), newVersion(a),
		newDockerHelper(a), newExecStep(a), newStep(a), newGPUProbe(a), newGPUXid(a),
	)
	usageErrors(root)
	a.fitHelp(root)
	return root
}

// configPath returns the path of the configuration file: from the flag, from the environment variable, in the working
// directory, or the system's file, in this order.
func (a *app) configPath() string {
	if a.config != "" {
		return a.config
	}
	if env := os.Getenv("RETRAIND_CONFIG"); env != "" {
		return env
	}
	if _, err := os.Stat("retraind.yaml"); err == nil {
		return "retraind.yaml"
	}
	return packagedConfig
}

// load reads the configuration and applies the flags and environment variables that override it.
func (a *app) load(cmd *cobra.Command) (*configs.Loaded, configs.Settings, error) {
	l, err := configs.Load(a.configPath())
	if err != nil {
		return nil, configs.Settings{}, err
	}
	s, err := l.File.Overlay(cmd.Flags())
	if err != nil { // a fault of a flag or a variable, not of the file
		return nil, s, fail(exitUsage, "%w", err)
	}
	return l, s, nil
}

const (
	packagedConfig = "/etc/retraind/retraind.yaml"
	packagedSocket = "/run/retraind/retraind.sock"
)

// client returns a client for the daemon's control socket, which is that of the flag, else of the environment variable,
// else of the configuration.
func (a *app) client(cmd *cobra.Command) (*status.Client, error) {
	path := cmp.Or(a.socket, os.Getenv("RETRAIND_SOCKET"))
	if path == "" {
		var err error
		if path, err = a.findSocket(cmd); err != nil {
			return nil, err
		}
	}
	return status.NewClient(path), nil
}

// findSocket takes the socket from the configuration. systemd gives the packaged daemon a runtime directory that the
// configuration does not contain. So findSocket returns the socket in this runtime directory if the configuration is
// that of the packaged daemon, but cannot be read or names a socket that is not in use.
func (a *app) findSocket(cmd *cobra.Command) (string, error) {
	config := a.configPath()
	packaged := sameFile(config, packagedConfig)
	l, _, err := a.load(cmd)
	var bad *configs.InvalidError
	switch {
	case packaged && (err != nil || !answers(l.File.Socket) && exists(packagedSocket)):
		return packagedSocket, nil //nolint:nilerr // a configuration that this user may not read names the same socket
	case errors.As(err, &bad):
		return "", fail(exitFailed, "configuration %s is invalid, so the daemon's socket is unknown: correct it (`retraind check`), or name the socket with --socket",
			config)
	case err != nil:
		return "", err
	}
	return l.File.Socket, nil
}

// answers reports whether a socket is in use, and not left by a killed daemon. A socket to which this user may not
// connect counts as in use. A socket in a directory that this user may not enter, such as the service's state
// directory, does not.
func answers(path string) bool {
	conn, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		conn.Close()
	}
	return err == nil || errors.Is(err, fs.ErrPermission) && exists(path) || errors.Is(err, syscall.EAGAIN)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func sameFile(a, b string) bool {
	if a == b {
		return true
	}
	x, errX := os.Stat(a)
	y, errY := os.Stat(b)
	return errX == nil && errY == nil && os.SameFile(x, y)
}

// printJSON prints one JSON document.
func (a *app) printJSON(v any) error { return encodeJSON(a.stdout, v) }

func encodeJSON(out io.Writer, v any) error {
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// replaceFile writes a file of the user atomically. It writes into anything that is no regular file, such as a link or
// /dev/stdout, because to rename a file over it would replace it.
func replaceFile(path string, data []byte, mode fs.FileMode) error {
	if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() {
		return os.WriteFile(path, data, mode)
	}
	return renameio.WriteFile(path, data, mode)
}

// self returns the path of this binary, for child processes.
func self() (string, error) {
	path, err := os.Executable()
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(path)
}
