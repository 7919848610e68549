// Package systemd communicates with the service manager and holds the shipped unit files.
//
// It owns the notification socket (Notifier), the watchdog that is fed by the progress of the main loop (Watchdog) and
// the shipped units with their related files (Files). A Notifier and a Watchdog are values, safe for concurrent use;
// without systemd their calls do nothing, except that Watchdog.Run waits. The package never reads the environment by
// itself, never starts or stops a unit, and never fails a caller's work because the manager could not be notified: the
// errors are for the log.
package systemd
