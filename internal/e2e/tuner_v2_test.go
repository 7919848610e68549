//go:build e2e

package e2e

import (
	"strings"
	"testing"

	"github.com/retraind/retraind/status"
)

// A short version of the tuner's scenario with compose version 2: the answers of a one-off container, a deployment, a
// candidate that exits at once, and the outages.
func TestTunerStoryV2(t *testing.T) {
	o := newTuner(t, composeV2(t))
	// Two features that only version 2 has: a service that only a profile enables, and a pull policy, which deployments
	// ignore.
	file := "tuner/" + service + "/docker-compose.yml"
	text := o.read(file)
	more := "    build: .\n    profiles: [models]\n    pull_policy: always\n"
	o.write(file, strings.Replace(text, "    build: .\n", more, 1))
	o.run()
	o.model("the adoption", func(m status.Model) bool {
		return m.Release != "" && m.Report != nil && m.Report.Scored > 0
	})

	o.sql("update items set priority = truth")
	image1, file1 := o.promotes(1)
	if out, err := o.engine.docker("ps", "-a", "--format", "{{.Names}}").CombinedOutput(); err != nil ||
		strings.TrimSpace(string(out)) != "classifier-api" {
		t.Errorf("want only the container classifier-api: %v: %s", err, out)
	}
	o.rollsBackExit(2, image1, file1)
	o.write(file, text)
	o.outages(3)
}
