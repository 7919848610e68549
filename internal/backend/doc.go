// Package backend answers the API, the web page and the command line of a running daemon.
//
// It owns how the stored state and the views of the loops become package status's types, how requests of people are
// recorded once, and the hub that passes events on to those who follow them.
//
// Threading: a Backend and a Hub are safe for concurrent use. It never decides, and never changes anything but what a
// request asks for.
package backend
