package configs_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/retraind/retraind/configs"
)

// BenchmarkLoad decodes, checks and compiles files with different numbers of models.
func BenchmarkLoad(b *testing.B) {
	for _, models := range []int{1, 1000} {
		b.Run(fmt.Sprint(models), func(b *testing.B) {
			path, source := filepath.Join(b.TempDir(), "retraind.yaml"), manyModels(models)
			b.ReportAllocs()
			for b.Loop() {
				l, err := configs.Parse(path, source)
				if err != nil {
					b.Fatal(err)
				}
				if len(l.File.Models) != models {
					b.Fatal(len(l.File.Models))
				}
			}
			b.ReportMetric(b.Elapsed().Seconds()*1000/float64(b.N), "ms")
		})
	}
}

// manyModels returns a configuration whose models each have the usual rules.
func manyModels(n int) []byte {
	var b strings.Builder
	b.WriteString("version: 1\ntimezone: Europe/Berlin\nstate: /var/lib/retraind\nmodels:\n")
	for i := range n {
		fmt.Fprintf(&b, `  model_%d:
    labels: {postgres: {dsn_file: pg-dsn, table: public.items_%[1]d, id: id, text: [title, content], label: category}}
    heldout: {share: 15%%, group: [title]}
    serving: {classify: "http://localhost:8082/classify/%[1]d", health: "http://localhost:8082/health"}
    evaluate: {every: 1h, after_changes: 25, debounce: 5s, max_wait: 1m, min_items: 200}
    retrain_when:
      accuracy_below: 85%%
      accuracy_drop: {points: 3, false_retrains: 1 per 180d}
      new_category: {examples: 20}
    urgent_when: {accuracy_below: 70%%}
    limits: {cooldown: 24h, budget: 3 per 7d, breaker: 3}
    quiet_hours:
      - {days: mon-fri, from: "22:00", to: "06:00"}
      - {days: sat-sun, all_day: true}
    promote: {gate: not_worse, margin: 1, category_floor: 5}
`, i)
	}
	return []byte(b.String())
}
