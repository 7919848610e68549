// Package offline answers the command line from the files of a state directory, without a daemon and beside a running
// one: the export of a model's data, its record for a backtest, and its next quiet hours.
//
// It opens the store for reading only, and holds nothing between two calls. It never writes to the store and never asks
// a service.
package offline
