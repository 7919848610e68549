package strictyaml_test

import "github.com/retraind/retraind/internal/unit"

// config has one field of each kind that real configurations have.
type config struct {
	Version  int              `yaml:"version"`
	Timezone string           `yaml:"timezone"`
	NATS     *nats            `yaml:"nats"`
	Models   map[string]model `yaml:"models"`
}

type nats struct {
	Embedded bool   `yaml:"embedded"`
	URL      string `yaml:"url"`
}

type model struct {
	Evaluate    evaluate          `yaml:"evaluate"`
	RetrainWhen conditions        `yaml:"retrain_when"`
	Limits      limits            `yaml:"limits"`
	QuietHours  []window          `yaml:"quiet_hours"`
	Pipeline    []step            `yaml:"pipeline"`
	Env         map[string]string `yaml:"env"`
	Free        unit.Size         `yaml:"free"`
	Seed        uint8             `yaml:"seed"`
	Ratio       float64           `yaml:"ratio"`
}

type evaluate struct {
	Every    unit.Duration `yaml:"every"`
	MinItems int           `yaml:"min_items"`
}

// SetDefaults shows that Decode calls it for each entry.
func (m *model) SetDefaults() { m.Evaluate.MinItems = 200 }

type conditions struct {
	AccuracyBelow *unit.Percent `yaml:"accuracy_below"`
	AccuracyDrop  *drop         `yaml:"accuracy_drop"`
	Recall        *recall       `yaml:"category_recall_below"`
}

type drop struct {
	Points        unit.Points `yaml:"points"`
	FalseRetrains unit.Rate   `yaml:"false_retrains"`
}

func (d *drop) SetDefaults() { _ = d.FalseRetrains.UnmarshalText([]byte("1 per 180d")) }

type recall struct {
	All      *unit.Percent           `yaml:"all"`
	MinItems int                     `yaml:"min_items"`
	Category map[string]unit.Percent `yaml:",inline"`
}

type limits struct {
	Cooldown unit.Duration `yaml:"cooldown"`
	Budget   unit.Rate     `yaml:"budget"`
	Breaker  int           `yaml:"breaker"`
}

type window struct {
	Days string     `yaml:"days"`
	From unit.Clock `yaml:"from"`
	To   unit.Clock `yaml:"to"`
}

// step may be written as its argv alone.
type step struct {
	argv []string
	full struct {
		Run  []string `yaml:"run"`
		Name string   `yaml:"name"`
	}
}

func (s *step) YAMLForm(form string) any {
	switch form {
	case "list":
		return &s.argv
	case "mapping":
		return &s.full
	}
	return nil
}
