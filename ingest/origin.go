package ingest

import "strings"

// OwnOrigin begins the origin of what retraind's own runs write. Such changes are stored and counted, and are never
// evidence: a relabelling must not cause the next one.
const OwnOrigin = "retraind:"

// IsOwn reports whether an origin is that of a run of retraind.
func IsOwn(origin string) bool { return strings.HasPrefix(origin, OwnOrigin) }
