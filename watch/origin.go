package watch

import "strings"

// OwnPrefix marks retraind's own writes: it is followed by the id of the run that wrote.
const OwnPrefix = "retraind:"

// OriginOf returns the text that marks the writes of a run. It is used in Change.Origin and Event.Origin, in the
// application_name and the author column of a database, and in the environment of the run's commands.
func OriginOf(run string) string { return OwnPrefix + run }

// IsOwn reports whether an origin marks a change by one of retraind's own runs. Such changes are counted but never
// cause a retraining: otherwise a retraining that relabels items would cause another.
func IsOwn(origin string) bool { return strings.HasPrefix(origin, OwnPrefix) }
