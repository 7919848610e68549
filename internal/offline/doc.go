// Package offline reads the files of a state directory for the command line, without a daemon or while one is
// running. It exports a model's data, reads its record for a backtest, and computes its next quiet hours.
//
// Each call opens and closes a read-only view of the store. Its functions keep nothing between two calls and may be
// called from any goroutine. It never writes to the store and never queries a service.
package offline
