// Package offline answers the command line from the files of a state directory, without a daemon or beside a
// running one: the export of a model's data, its record for a backtest, and its next quiet hours.
//
// It opens the store read-only, and keeps nothing between two calls. It never writes to the store and never
// queries a service.
package offline
