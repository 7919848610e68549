// Package quiethours implements quiet hours: windows of wall-clock time in which a run may start.
//
// It owns the configuration of the windows (WindowConfig), the compiled windows (Windows) with the effects of daylight
// saving, and the dates in calendar files on which no window opens. A Windows never changes and may be shared by any
// number of goroutines; an internal cache may be recomputed, with the same result. The package reads no clock and no
// file: times and contents are arguments.
package quiethours
