package backend

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/retraind/retraind/notify"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/status"
)

// quiet is a daemon without models.
type quiet struct{ status.Reader }

func (quiet) Snapshot(context.Context) (status.Status, error) { return status.Status{}, nil }

func TestCounterCountsWhatEventsTell(t *testing.T) {
	t.Parallel()
	m := status.NewMetrics(quiet{}, "1.2.3")
	count := Counter(m)
	for _, one := range []struct {
		kind notify.Kind
		data any
	}{
		{notify.RunFinished, notify.Finished{Outcome: string(policy.OutcomePromoted), Seconds: 90}},
		{notify.RunFinished, notify.Finished{Outcome: string(policy.OutcomeRejected), Seconds: 30}},
		{notify.RunStep, notify.Step{Step: "train", Seconds: 60}},
		{notify.DecisionMade, notify.Decision{Verdict: string(policy.VerdictRetrain), Reasons: []string{"window_closed", "cooldown"}}},
		{notify.DecisionMade, notify.Decision{Verdict: string(policy.VerdictRetrain)}},
		{notify.GPUBlocked, notify.GPUHeld{Holders: []notify.GPUHolder{{Name: "python3", Owner: "news/backend"}, {Name: "ollama"}}}},
		{notify.GPUBlocked, notify.GPUHeld{}},
		{notify.GPUContended, notify.GPUFound{Kind: "intruder", Holder: &notify.GPUHolder{Name: "ollama"}}},
		{notify.GPUReleased, notify.GPUFreed{Stopped: []string{"unit tagger.service"}}},
		{notify.GPURestored, notify.GPUReturned{Things: []notify.ThingReturn{{Ending: "restored"}, {Ending: "left_alone"}}}},
		{notify.RunStep, notify.Step{Step: "train", GPUIdle: new(0.25)}},
		{notify.LabelsReceived, notify.Labels{Changes: 7}},
	} {
		e, err := notify.New(one.kind, "news", "", one.data, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		count(e)
	}
	answer := httptest.NewRecorder()
	m.Handler().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	for _, want := range []string{
		`retraind_runs_total{model="news",result="promoted"} 1`,
		`retraind_runs_total{model="news",result="rejected"} 1`,
		`retraind_run_seconds_sum{model="news"} 120`,
		`retraind_step_seconds_sum{model="news",step="train"} 60`,
		`retraind_decisions_total{decision="retrain",model="news",reason="window_closed"} 1`,
		`retraind_decisions_total{decision="retrain",model="news",reason=""} 1`,
		`retraind_gpu_blocked_total{holder="news/backend",model="news"} 1`,
		`retraind_gpu_blocked_total{holder="",model="news"} 1`,
		`retraind_gpu_released_total{model="news"} 1`,
		`retraind_gpu_restored_total{ending="restored",model="news"} 1`,
		`retraind_gpu_restored_total{ending="left_alone",model="news"} 1`,
		`retraind_gpu_idle_ratio{model="news",step="train"} 0.25`,
		`retraind_gpu_contended_total{holder="ollama",kind="intruder",model="news"} 1`,
	} {
		if !strings.Contains(answer.Body.String(), want+"\n") {
			t.Errorf("missing: %s", want)
		}
	}
}
