package configs_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"github.com/retraind/retraind/configs"
)

// flags returns the daemon's flags with some of them set.
func flags(t *testing.T, given ...string) *pflag.FlagSet {
	t.Helper()
	set := pflag.NewFlagSet("run", pflag.ContinueOnError)
	configs.Flags(set)
	if err := set.Parse(given); err != nil {
		t.Fatal(err)
	}
	return set
}

// A flag takes precedence over a variable, a variable over the file, and the file over the default. Not parallel: it
// sets environment variables.
func TestOverlayOrder(t *testing.T) {
	l := load(t, good+"listen: off\n")
	l.File.State = "/from/file"
	s, err := l.File.Overlay(nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(configs.Settings{
		State: "/from/file", Listen: "off", Socket: "/from/file/retraind.sock",
		LogLevel: "info", LogFormat: "auto",
	}, s); diff != "" {
		t.Errorf("file (-want +got):\n%s", diff)
	}
	t.Setenv("RETRAIND_STATE", "/from/variable")
	t.Setenv("RETRAIND_LOG_LEVEL", "debug")
	t.Setenv("RETRAIND_LISTEN", "127.0.0.1:7777")
	l = load(t, good+"listen: off\n")
	if s, err = l.File.Overlay(flags(t)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(configs.Settings{
		State: "/from/variable", Listen: "127.0.0.1:7777",
		Socket: "/from/variable/retraind.sock", LogLevel: "debug", LogFormat: "auto",
	}, s); diff != "" {
		t.Errorf("variables (-want +got):\n%s", diff)
	}
	l = load(t, good)
	if s, err = l.File.Overlay(flags(t, "--state=/from/flag", "--listen=", "--socket=/from/flag.sock",
		"--log-format=json")); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(configs.Settings{
		State: "/from/flag", Listen: "127.0.0.1:7420", Socket: "/from/flag.sock",
		LogLevel: "debug", LogFormat: "json",
	}, s); diff != "" {
		t.Errorf("flags (-want +got):\n%s", diff)
	}
	if l.File.State != "/from/flag" || l.File.Socket != "/from/flag.sock" {
		t.Errorf("the file says %s and %s after the overlay", l.File.State, l.File.Socket)
	}
}

// Commands of steps run in another directory, and so may the command line: relative paths become absolute.
func TestRelativeSettings(t *testing.T) {
	t.Parallel()
	here, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	s, err := load(t, good).File.Overlay(flags(t, "--state=data", "--socket=run/socket"))
	if err != nil || s.State != filepath.Join(here, "data") || s.Socket != filepath.Join(here, "run", "socket") {
		t.Errorf("state %s, socket %s, %v", s.State, s.Socket, err)
	}
	l, err := configs.Parse("/etc/retraind/retraind.yaml", []byte(good+"socket: socket\n"))
	if err != nil {
		t.Fatal(err)
	}
	if s, err = l.File.Overlay(nil); err != nil || s.Socket != "/etc/retraind/socket" {
		t.Errorf("socket %s, %v", s.Socket, err)
	}
}

// Only these few keys may be overlaid: a model's rules never come from the environment.
func TestOverlayTouchesNothingElse(t *testing.T) {
	t.Setenv("RETRAIND_TIMEZONE", "UTC")
	t.Setenv("RETRAIND_VERSION", "7")
	t.Setenv("RETRAIND_MODELS", "{}")
	l := load(t, good)
	if _, err := l.File.Overlay(flags(t)); err != nil {
		t.Fatal(err)
	}
	if l.File.Timezone != "Europe/Berlin" || l.File.Version != 1 || len(l.File.Models) != 1 {
		t.Errorf("got %+v", l.File)
	}
}

func TestOverlayRefuses(t *testing.T) {
	t.Parallel()
	for flag, want := range map[string]string{
		"--log-level=loud":        `log level "loud": write debug, info, warn or error`,
		"--log-format=xml":        `log format "xml": write auto, text or json`,
		"--listen=0.0.0.0:7420":   "is not a loopback address",
		"--listen=7420":           "is not an address with a port",
		"--listen=127.0.0.1:http": "has no port between 1 and 65535",
	} {
		l := load(t, good)
		was := l.File.State
		_, err := l.File.Overlay(flags(t, flag, "--state=/other"))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", flag, err, want)
		}
		if l.File.State != was {
			t.Errorf("%s: refused, and yet the state is %s", flag, l.File.State)
		}
	}
}

// Under systemd the socket is in the runtime directory.
func TestSocketUnderSystemd(t *testing.T) {
	t.Setenv("RUNTIME_DIRECTORY", "/run/retraind:/run/other")
	s, err := load(t, good).File.Overlay(nil)
	if err != nil || s.Socket != "/run/retraind/retraind.sock" {
		t.Errorf("%s, %v", s.Socket, err)
	}
}
