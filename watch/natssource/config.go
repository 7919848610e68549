package natssource

import (
	"cmp"
	"strings"

	"github.com/retraind/retraind/internal/check"
	"github.com/retraind/retraind/watch/labelevent"
)

// The default names in NATS.
const (
	DefaultLabelStream = "RETRAIND_LABELS"
	DefaultDeadStream  = "RETRAIND_DEAD"
	labelSubjects      = "retraind.in.v1.>"
	deadSubjects       = "retraind.dead.v1.>"
	defaultMaxDeliver  = 5
)

// Config is a JetStream stream of label events, on the server of the section nats at the top of the file.
type Config struct {
	// Stream is the JetStream stream; default RETRAIND_LABELS, which retraind creates on the embedded server.
	Stream string `yaml:"stream"`
	// Subject is the subject of the events; default retraind.in.v1.MODEL.labels.
	Subject string `yaml:"subject"`
	// Consumer is the name of the durable consumer; default retraind-MODEL.
	Consumer string `yaml:"consumer"`
	// DeadLetter is the subject to which retraind sends events that it refuses; default retraind.dead.v1.MODEL.labels.
	DeadLetter string `yaml:"dead_letter"`
	// MaxDeliver is how often retraind tries to store an event before it sends the event to dead_letter; default 5.
	MaxDeliver int `yaml:"max_deliver"`
	// Where the parts of an event are found.
	labelevent.Mapping `yaml:",inline"`
}

// WithDefaults returns a copy with defaults filled in.
func (c Config) WithDefaults(model string) *Config {
	c.Stream = cmp.Or(c.Stream, DefaultLabelStream)
	c.Subject = cmp.Or(c.Subject, "retraind.in.v1."+model+".labels")
	c.Consumer = cmp.Or(c.Consumer, "retraind-"+model)
	c.DeadLetter = cmp.Or(c.DeadLetter, "retraind.dead.v1."+model+".labels")
	if c.MaxDeliver == 0 {
		c.MaxDeliver = defaultMaxDeliver
	}
	return &c
}

// Validate reports every error that can be found without asking the server; call it after WithDefaults.
func (c *Config) Validate() check.Problems {
	found := c.Mapping.Validate()
	for _, name := range []struct{ key, value string }{{"stream", c.Stream}, {"consumer", c.Consumer}} {
		if name.value == "" || strings.ContainsAny(name.value, ".*> \t\r\n/\\") {
			found.Errorf(name.key, "use letters, digits, - and _", "%q cannot be the name of a %s", name.value, name.key)
		}
	}
	if fault := subjectFault(c.Subject); fault != "" {
		found.Errorf("subject", "write a subject such as retraind.in.v1.news.labels", "%q: %s", c.Subject, fault)
	}
	if fault := subjectFault(c.DeadLetter); fault != "" || strings.ContainsAny(c.DeadLetter, "*>") {
		found.Errorf("dead_letter", "write a subject without wildcards, such as retraind.dead.v1.news.labels",
			"%q is not a subject to publish to", c.DeadLetter)
	} else if overlaps(c.Subject, c.DeadLetter) {
		found.Errorf("dead_letter", "write a subject that "+c.Subject+" does not match",
			"%q overlaps with %q, from which label events are read", c.DeadLetter, c.Subject)
	}
	if c.MaxDeliver < 1 || c.MaxDeliver > 1000 {
		found.Errorf("max_deliver", "5 is usual", "%d is not between 1 and 1000", c.MaxDeliver)
	}
	return found
}

// subjectFault returns the reason why a subject cannot be followed, or "" if it can.
func subjectFault(subject string) string {
	tokens := strings.Split(subject, ".")
	for i, token := range tokens {
		switch {
		case token == "":
			return "a part between the dots is empty"
		case strings.ContainsAny(token, " \t\r\n"):
			return "it contains a blank"
		case token == ">" && i < len(tokens)-1:
			return "> is allowed only at the end"
		case len(token) > 1 && strings.ContainsAny(token, "*>"):
			return "a wildcard must be the only character between two dots"
		}
	}
	switch {
	case strings.HasPrefix(subject, "$"):
		return "subjects that begin with $ are reserved for the server"
	case overlaps(subject, "retraind.api.>"):
		return "requests to retraind would be read as label events"
	case overlaps(subject, "retraind.evt.>"):
		return "retraind's own events would be read as label events"
	}
	return ""
}

// overlaps reports whether a message can match both subjects.
func overlaps(a, b string) bool {
	x, y := strings.Split(a, "."), strings.Split(b, ".")
	for i := 0; i < len(x) && i < len(y); i++ {
		switch {
		case x[i] == ">" || y[i] == ">":
			return true
		case x[i] != y[i] && x[i] != "*" && y[i] != "*":
			return false
		}
	}
	return len(x) == len(y)
}
