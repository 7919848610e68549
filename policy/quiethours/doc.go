// Package quiethours implements the windows of wall-clock time in which a run may start.
//
// It owns their configuration (WindowConfig), the compiled windows (Windows) with the effects of daylight saving,
// and the dates of calendar files on which no window opens. Windows never change and may be shared by any number
// of goroutines; an internal cache may be recomputed, with the same result. It reads no clock and no file: times
// and contents come in as arguments.
package quiethours
