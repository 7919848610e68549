package watch

import "strings"

// OwnPrefix marks retraind's own writes: it is followed by the id of the run that wrote.
const OwnPrefix = "retraind:"

// OriginOf is the Origin of a run's own writes: in Change.Origin and Event.Origin, in the application_name and the
// author column of a database, and in the environment of a run's commands.
func OriginOf(run string) string { return OwnPrefix + run }

// IsOwn reports whether an origin is one of retraind's own runs. Such changes are counted and are never evidence: a
// retraining that relabels items must not cause the next one.
func IsOwn(origin string) bool { return strings.HasPrefix(origin, OwnPrefix) }
