// Package offline answers the command line from the files of a state directory, without a daemon or beside a
// running one: the export of a model's data, its record for a backtest, and its next quiet hours.
//
// It owns the read-only view of the store, which each call opens and closes. Its functions keep nothing between two calls and
// may be called from any goroutine. It never writes to the store and never queries a service.
package offline
