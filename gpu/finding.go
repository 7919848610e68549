package gpu

import (
	"fmt"

	"github.com/retraind/retraind/internal/unit"
)

// FindingKind is the kind of a watcher's finding.
type FindingKind string

// The kinds of findings.
const (
	FoundIntruder FindingKind = "intruder" // a program that was not there at the start computes on the device
	FoundPressure FindingKind = "pressure" // programs that were there at the start take more memory now
	FoundXid      FindingKind = "xid"      // the driver reported an error of the device
	FoundLost     FindingKind = "lost"     // the driver no longer lists the device
	FoundBlind    FindingKind = "blind"    // the driver has stopped answering
	FoundReturned FindingKind = "returned" // something that was stopped for the step runs again
)

// Finding is a problem on a step's device that a person should know about.
type Finding struct {
	Kind FindingKind
	// UUID is the UUID of the device.
	UUID string
	// Process is the process concerned; nil if unknown.
	Process *Process
	// Size is an intruder's memory or, with FoundPressure, the additional memory of all other programs; 0 if unknown.
	Size unit.Size
	// Xid is the number of the error, with FoundXid.
	Xid Xid
	// Text describes the finding in one sentence.
	Text string
}

func (t *tracker) intruder(p Process) Finding {
	return Finding{
		Kind: FoundIntruder, UUID: t.start.UUID, Process: &p, Size: p.Used.Size,
		Text: fmt.Sprintf("GPU %d is also used by %s", t.start.Index, p),
	}
}

func (t *tracker) pressure(grown unit.Size, by *Process) Finding {
	who := "the driver does not list a process that uses it"
	if by != nil {
		who = "most of it is used by " + by.String()
	}
	return Finding{
		Kind: FoundPressure, UUID: t.start.UUID, Process: by, Size: grown,
		Text: fmt.Sprintf("GPU %d has %s less memory for the step than when the step began; %s", t.start.Index, Amount(grown),
			who),
	}
}

func (t *tracker) xid(x Xid) Finding {
	return Finding{
		Kind: FoundXid, UUID: t.start.UUID, Xid: x,
		Text: fmt.Sprintf("GPU %d reports %s", t.start.Index, x),
	}
}

func (t *tracker) trouble(kind FindingKind, why string) Finding {
	return Finding{Kind: kind, UUID: t.start.UUID, Text: fmt.Sprintf("GPU %d: %s", t.start.Index, why)}
}
