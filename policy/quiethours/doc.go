// Package quiethours has the windows of wall-clock time in which a run may start.
//
// It owns their configuration (WindowConfig), the compiled windows (Windows) with what daylight saving does to them, and
// the dates of calendar files on which none opens. Windows never change and may be shared by any number of goroutines; a
// cache inside is computed anew, never different. It reads no clock and no file: times and contents come in as arguments.
package quiethours
