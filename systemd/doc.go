// Package systemd speaks to the service manager and holds the files it is given.
//
// It owns the notification socket (Notifier), the watchdog that is fed by the main loop's own progress (Watchdog) and the
// shipped units with their company (Files). A Notifier and a Watchdog are values, safe for concurrent use; without systemd
// every call of theirs does nothing. The package reads no environment by itself, never starts or stops a unit, and never
// fails a caller's work because the manager could not be told: the errors are for the log.
package systemd
