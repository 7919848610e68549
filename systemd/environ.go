package systemd

import "strings"

// ChildEnv returns the environment for a child process, without the variables that are meant for the daemon alone:
// with them a child could report itself ready, feed the watchdog, or take over a socket in the daemon's name.
func ChildEnv(environ []string) []string {
	kept := make([]string, 0, len(environ))
	for _, entry := range environ {
		if !strings.HasPrefix(entry, "NOTIFY_") && !strings.HasPrefix(entry, "WATCHDOG_") && !strings.HasPrefix(entry, "LISTEN_") {
			kept = append(kept, entry)
		}
	}
	return kept
}
