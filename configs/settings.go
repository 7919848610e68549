package configs

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"github.com/spf13/viper"
)

// Settings are the scalar settings of the daemon process. The order of precedence is: flag, RETRAIND_ variable,
// configuration file, default. No other key of a configuration may be overlaid.
type Settings struct {
	State     string
	Listen    string
	Socket    string
	LogLevel  string
	LogFormat string
}

// Flags adds the flags of the settings.
func Flags(flags *pflag.FlagSet) {
	flags.String("state", "", "state directory (overrides the configuration)")
	flags.String("listen", "", "loopback address of page and metrics, or off (overrides the configuration)")
	flags.String("socket", "", "Unix socket for the command line (overrides the configuration)")
	flags.String("log-level", "", "debug, info, warn or error")
	flags.String("log-format", "", "auto, text or json (default auto: text)")
}

// Overlay computes the settings and writes State, Listen and Socket back into f. `flags` may be nil.
func (f *File) Overlay(flags *pflag.FlagSet) (Settings, error) {
	v := viper.New()
	v.SetEnvPrefix("RETRAIND")
	v.SetEnvKeyReplacer(strings.NewReplacer("-", "_"))
	v.AutomaticEnv()
	defaults := map[string]string{
		"state": f.State, "listen": f.Listen, "socket": f.Socket, "log-level": "info",
		"log-format": "auto",
	}
	for key, value := range defaults {
		v.SetDefault(key, value)
		if flags != nil && flags.Lookup(key) != nil {
			if err := v.BindPFlag(key, flags.Lookup(key)); err != nil {
				return Settings{}, err
			}
		}
	}
	s := Settings{
		State: v.GetString("state"), Listen: v.GetString("listen"), Socket: v.GetString("socket"),
		LogLevel: v.GetString("log-level"), LogFormat: v.GetString("log-format"),
	}
	for key, value := range map[string]*string{"state": &s.State, "listen": &s.Listen} {
		if *value == "" { // an empty flag does not override
			*value = defaults[key]
		}
	}
	if s.Socket == "" {
		s.Socket = defaultSocket(s.State)
	}
	// Steps have another working directory. Paths of the file are absolute already.
	for _, path := range []*string{&s.State, &s.Socket} {
		var err error
		if *path, err = filepath.Abs(*path); err != nil {
			return s, err
		}
	}
	if s.Listen != defaults["listen"] { // validate has already checked the file's own value
		if err := checkListen(s.Listen); err != nil {
			return s, fmt.Errorf("listen: %w; write a loopback address such as 127.0.0.1:7420, or off", err)
		}
	}
	switch s.LogLevel {
	case "debug", "info", "warn", "error":
	default:
		return s, fmt.Errorf("log level %q: write debug, info, warn or error", s.LogLevel)
	}
	switch s.LogFormat {
	case "auto", "text", "json":
	default:
		return s, fmt.Errorf("log format %q: write auto, text or json", s.LogFormat)
	}
	f.State, f.Listen, f.Socket = s.State, s.Listen, s.Socket
	return s, nil
}

// overlaid returns the flag or variable that set a setting; empty if none did.
func overlaid(flags *pflag.FlagSet, key string) (Origin, string) {
	if !slices.Contains([]string{"state", "listen", "socket", "log-level", "log-format"}, key) {
		return "", ""
	}
	if flags != nil {
		if f := flags.Lookup(key); f != nil && f.Changed && f.Value.String() != "" {
			return FromFlag, "--" + key
		}
	}
	if name := "RETRAIND_" + strings.ToUpper(strings.ReplaceAll(key, "-", "_")); os.Getenv(name) != "" {
		return FromEnvironment, name
	}
	return "", ""
}

// defaultSocket returns a path in the directory that systemd made for the socket, else in the state directory.
func defaultSocket(state string) string {
	if dir := os.Getenv("RUNTIME_DIRECTORY"); dir != "" {
		return filepath.Join(strings.Split(dir, ":")[0], "retraind.sock")
	}
	return filepath.Join(state, "retraind.sock")
}
