package webhook

import (
	"encoding/base64"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"github.com/retraind/retraind/internal/check"
	"github.com/retraind/retraind/watch/labelevent"
)

// Preset names a tool whose webhooks are decoded without further settings.
type Preset string

// The presets. Without one, events have the same form as in files and NATS.
const (
	PresetLabelStudio      Preset = "label_studio"
	PresetStandardWebhooks Preset = "standard_webhooks"
	PresetArgilla          Preset = "argilla"
)

// Config is an address that receives label events by POST /v1/labels/MODEL.
type Config struct {
	// Listen is the address to listen on, such as 127.0.0.1:7421; models may share one.
	Listen string `yaml:"listen"`
	// SecretFile is a file with the secret that each request must contain or be signed with; it is read at each request.
	SecretFile string `yaml:"secret_file"`
	// Preset is the sending tool: label_studio, standard_webhooks (any tool that signs by that specification) or argilla
	// (the same with Argilla's payload). Default: none of these.
	Preset Preset `yaml:"preset"`
	// Header is the header with the secret, alone or after "Bearer "; default Authorization. The presets
	// standard_webhooks and argilla use signatures instead.
	Header string `yaml:"header"`
	// Where the parts of an event are found.
	labelevent.Mapping `yaml:",inline"`
}

// Validate reports every error that can be found without listening.
func (c *Config) Validate() check.Problems {
	found := c.Mapping.Validate()
	host, port, err := net.SplitHostPort(c.Listen)
	n, portErr := strconv.ParseUint(port, 10, 16)
	switch {
	case c.Listen == "":
		found.Errorf("listen", "write an address such as 127.0.0.1:7421", "no address")
	case err != nil || portErr != nil || n == 0:
		found.Errorf("listen", "write an address such as 127.0.0.1:7421", "%q is not an address with a port", c.Listen)
	case host == "" || host == "0.0.0.0" || host == "::":
		found.Warnf("listen", "name one address; if other machines must reach it, put a proxy with TLS in front",
			"%q listens on every address of this machine, without encryption", c.Listen)
	}
	if c.SecretFile == "" {
		found.Errorf("secret_file", "name a file with a secret that the sender knows too",
			"no secret: anybody who reaches the address could write labels")
	}
	switch c.Preset {
	case "", PresetLabelStudio, PresetStandardWebhooks, PresetArgilla:
	default:
		found.Errorf("preset", "write label_studio, argilla or standard_webhooks, or remove the key", "unknown preset %q",
			c.Preset)
	}
	if c.Header != "" && c.signed() {
		found.Errorf("header", "remove it", "standard webhooks are signed; their headers have fixed names")
	}
	return found
}

// signed reports whether the sender signs its requests instead of sending the secret.
func (c *Config) signed() bool {
	return c.Preset == PresetStandardWebhooks || c.Preset == PresetArgilla
}

// secret reads the secret. Errors never contain it.
func (c *Config) secret() ([]byte, error) {
	text, err := os.ReadFile(c.SecretFile)
	if err != nil {
		return nil, fmt.Errorf("secret_file: %w", err)
	}
	secret := strings.TrimSpace(string(text))
	if len(secret) < 8 {
		return nil, fmt.Errorf("secret_file %s: a secret has at least 8 characters", c.SecretFile)
	}
	if rest, ok := strings.CutPrefix(secret, "whsec_"); ok && c.signed() {
		key, err := base64.StdEncoding.DecodeString(rest)
		if err != nil {
			return nil, fmt.Errorf("secret_file %s: what follows whsec_ is not base64", c.SecretFile)
		}
		return key, nil
	}
	return []byte(secret), nil
}
