package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"charm.land/lipgloss/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/gpu"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/status"
	"github.com/retraind/retraind/store"
	"github.com/retraind/retraind/watch"
)

// golden compares output with testdata/shown/NAME. RETRAIND_UPDATE=1 updates it.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", "shown", name)
	if updating() {
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(got), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

const (
	champion = "sha256:87ec9b231a07eddf573f9f3c8d0d0a3de8fa43ed992b65b97dc59436b1c11bdf"
	former   = "sha256:08d3f8919026eddf573f9f3c8d0d0a3de8fa43ed992b65b97dc59436b1c11bdf"
)

// now returns a time on a Wednesday evening in Berlin.
func now(t *testing.T) time.Time {
	t.Helper()
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	return time.Date(2026, 11, 18, 17, 48, 20, 0, zone)
}

func before(t *testing.T, d time.Duration) time.Time { return now(t).Add(-d) }

func fraction(f float64) *float64 { return &f }

// promoted, inProgress and rolledBack return runs with these outcomes.
func promoted(t *testing.T) status.Run {
	start := before(t, 9*24*time.Hour)
	return status.Run{
		ID: "01kb4w8r2m7v2c2p3r5qn3yn38", Model: "relevance", Pipeline: "default",
		Trigger: "retraining: the new category Netz has 25 training examples, threshold 20",
		State:   store.RunEnded, Outcome: policy.OutcomePromoted,
		Reason:   "not worse: candidate 92.3%, champion 83.9% of 1,204 held-out items; with 95% confidence the difference is at least +5.6 points",
		Release:  champion,
		Accuracy: &status.Compared{Before: fraction(0.839), After: 0.923, Low: 0.907, High: 0.937, N: 1204},
		Targets: []status.ComparedTarget{
			{
				Name: "aks", Wins: 3, Losses: 4, Margin: 5,
				Compared: status.Compared{Before: fraction(0.813), After: 0.809, Low: 0.755, High: 0.854, N: 241},
			},
			{Name: "priority"},
		},
		Created: start, Started: start.Add(time.Second), Ended: start.Add(38 * time.Minute),
		Steps: []status.Step{
			{
				Name: "export", Kind: "do", Attempt: 1, State: store.StepOK,
				Detail: "12,406 items to train on, 1,204 held out, 14 categories", Started: start.Add(time.Second),
				Ended: start.Add(3 * time.Second),
			},
			{
				Name: "train", Kind: "do", Attempt: 1, State: "gpu_oom",
				Detail:  "train: CUDA out of memory; its output: /var/lib/retraind/models/relevance/runs/01kb4w8r2m7v2c2p3r5qn3yn38/steps/train/a1/output.log",
				Started: start.Add(3 * time.Second), Ended: start.Add(2 * time.Minute),
			},
			{
				Name: "train", Kind: "do", Attempt: 2, State: store.StepOK, Detail: "exit status 0 after 35m",
				Started: start.Add(2 * time.Minute), Ended: start.Add(37 * time.Minute),
			},
			{
				Name: "verify", Kind: "do", Attempt: 1, State: store.StepOK, Started: start.Add(37 * time.Minute),
				Ended: start.Add(38 * time.Minute),
			},
		},
	}
}

func inProgress(t *testing.T) status.Run {
	start := before(t, 125*time.Second)
	return status.Run{
		ID: "01kb4w8r2m7v2c2p3rcodcrmtdt0", Model: "relevance", Pipeline: "default",
		Trigger: "retraining: accuracy fell by 5.2 points, threshold 3 points", Forced: false,
		State: store.RunRunning, Created: start, Started: start,
		Steps: []status.Step{
			{
				Name: "export", Attempt: 1, State: store.StepOK, Detail: "12,406 items to train on, 1,204 held out, 14 categories",
				Started: start, Ended: start.Add(2 * time.Second),
			},
			{
				Name: "train", Attempt: 1, State: store.StepRunning, Started: start.Add(2 * time.Second), Progress: fraction(0.45),
				ProgressText: "epoch 9 of 20, loss 0.312",
			},
			{Name: "gate", State: store.StepWaiting},
		},
	}
}

func rolledBack(t *testing.T) status.Run {
	start := before(t, 26*time.Hour)
	return status.Run{
		ID: "01kb4w8r2m7v2c2p3r2e1vf3e5", Model: "relevance", Pipeline: "default", Trigger: "retraining: forced by SIGUSR1",
		Forced: true, State: store.RunEnded, Outcome: policy.OutcomeRolledBack,
		Reason:  "the service has not loaded 113aada7d514: the two releases answer 22 of the 40 requests differently, and to all of these the service gives the former release's answer; does it read its model only at start?",
		Created: start, Started: start, Ended: start.Add(3 * time.Second),
	}
}

func report(t *testing.T) *drift.Report {
	return &drift.Report{
		Model: "relevance", At: before(t, time.Minute), Release: champion, State: drift.StateOK, HeldOut: 1204, Scored: 1204,
		Baseline: &drift.Baseline{Accuracy: 0.923, N: 1204},
		Figures: drift.Figures{
			Correct: 1049, Accuracy: 0.871, Low: 0.851, High: 0.889, Majority: 0.312,
			Category: []drift.Category{
				{Name: "Sport", Support: 210, Correct: 199, Recall: 0.948},
				{Name: "Netz", Support: 40, Correct: 12, Recall: 0.3},
				{Name: "rare", Support: 2},
			},
		},
		Labels: drift.Labels{Items: 14195, Changed: 412, Share: 0.029},
		Targets: []drift.TargetFigures{
			{Name: "aks", N: 241, Correct: 195, Accuracy: 0.8091, Low: 0.7549, High: 0.8538, MacroF1: 0.61}, {Name: "priority"},
		},
	}
}

// armed returns a model that waits, with everything that status can show without a fault.
func armed(t *testing.T) status.Model {
	last := promoted(t)
	return status.Model{
		Name: "relevance", Phase: status.Armed,
		Sentence: "a retrain is due (accuracy fell by 5.2 points, threshold 3 points) and waits: quiet hours open at 22:00 CET",
		Release:  champion, Deployed: before(t, 9*24*time.Hour), Report: report(t), Floor: 0.85, Last: &last,
		NextCheck: now(t).Add(47 * time.Minute),
		Window:    status.Window{Changes: time.Date(2026, 11, 18, 22, 0, 0, 0, now(t).Location())},
		Sources:   []status.Source{{Name: "postgres", Health: watch.Health{Up: true, Since: before(t, 75*time.Hour)}}},
	}
}

func snapshot(t *testing.T, models ...status.Model) status.Status {
	return status.Status{
		At: now(t), Version: "0.1.0", Started: before(t, 75*time.Hour), Models: models,
		Config: status.Config{Path: "/etc/retraind/retraind.yaml", Loaded: before(t, 75*time.Hour)},
	}
}

// broken returns the model of armed with many faults at once.
func broken(t *testing.T) status.Model {
	m := armed(t)
	m.Name, m.Phase = "intent", status.Broken
	m.Sentence = `labels cannot be read: cannot reach PostgreSQL at db.example.org:5432: connect: connection refused (is the server running?)`
	m.Sources[0].Health = watch.Health{Since: before(t, 7*time.Minute), Error: "cannot reach PostgreSQL"}
	m.Report.State, m.Report.Detail = drift.StateError, "17 of 1,221 held-out texts are not scored: status 500"
	m.Report.Accuracy = 0.712
	m.Report.Low, m.Report.High = 0.686, 0.737
	last := rolledBack(t)
	m.Last = &last
	m.Window = status.Window{Open: true, Changes: time.Date(2026, 11, 19, 6, 0, 0, 0, now(t).Location())}
	return m
}

// onProbation returns the model of armed on probation.
func onProbation(t *testing.T) status.Model {
	m := armed(t)
	m.Phase, m.Sentence, m.Deployed = status.Watching, "no retrain is needed: no condition tripped", before(t, 2*time.Hour)
	m.Probation = &status.Probation{Text: "on probation since 15:48 CET until Thu 2026-11-19 15:48 CET: 3 of 40 new items (7.5%) are answered wrongly, 9.3% are allowed; evidence that the release is worse (e-value): 0.4, it is rolled back at 20"}
	return m
}

func TestStatus(t *testing.T) {
	t.Parallel()
	fresh := status.Model{
		Name: "fresh", Phase: status.Armed,
		Sentence: "a retrain is due (no release is deployed yet) and waits: quiet hours open at 22:00 CET",
		Sources:  []status.Source{{Name: "postgres"}},
		Window:   armed(t).Window,
	}
	busy := armed(t)
	active := inProgress(t)
	busy.Phase, busy.Sentence, busy.Active = status.Running,
		"run dcrmtdt0 is in step train: retraining: accuracy fell by 5.2 points, threshold 3 points", &active
	busy.Window = status.Window{Open: true}
	troubled := snapshot(t, broken(t), fresh)
	troubled.Config.Problem, troubled.OutboxPending = "retraind.yaml:7:3: unknown key", 1234
	cold := snapshot(t, busy)
	cold.Config.RestartNeeded = []string{"listen", "models.relevance.labels"}
	for name, s := range map[string]status.Status{
		"status-armed":     snapshot(t, armed(t)),
		"status-probation": snapshot(t, onProbation(t)), "status-broken": troubled, "status-running": cold,
	} {
		var out bytes.Buffer
		if err := showStatus(newPage(&out), s); err != nil {
			t.Fatal(err)
		}
		golden(t, name, out.String())
	}
}

func TestRuns(t *testing.T) {
	t.Parallel()
	var list, none, one, progress bytes.Buffer
	for _, err := range []error{
		showRuns(newPage(&list), []status.Run{inProgress(t), rolledBack(t), promoted(t)}, now(t)),
		showRuns(newPage(&none), nil, now(t)),
		showRun(newPage(&one), promoted(t), now(t)),
		showRun(newPage(&progress), inProgress(t), now(t)),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	golden(t, "runs", list.String())
	golden(t, "runs-none", none.String())
	golden(t, "run-promoted", one.String())
	golden(t, "run-running", progress.String())
}

func TestModels(t *testing.T) {
	t.Parallel()
	var models, releases, gpus, plans bytes.Buffer
	for _, err := range []error{
		showModels(newPage(&models), snapshot(t, armed(t), broken(t), status.Model{Name: "fresh", Phase: status.Watching})),
		showReleases(newPage(&releases), "relevance", []status.Release{
			{
				Digest: champion, Run: promoted(t).ID, State: store.ReleaseChampion, Created: before(t, 9*24*time.Hour),
				Accuracy: promoted(t).Accuracy,
			},
			{Digest: former, Run: rolledBack(t).ID, State: store.ReleaseRolledBack, Created: before(t, 12*24*time.Hour)},
		}, now(t)),
		showGPUs(newPage(&gpus), []gpu.Device{
			{
				Index: 0, Name: "NVIDIA H200", Free: gpu.Bytes(61 * gib), Used: gpu.Bytes(78 * gib), Total: gpu.Bytes(139 * gib),
				Utilization: gpu.Number(93), Temperature: gpu.Number(64),
				Processes: []gpu.Process{
					{PID: 78, Name: "gnome-shell", Graphics: true, Used: gpu.Bytes(gib / 2)},
					{
						PID: 77, Name: "ollama", Used: gpu.Bytes(58 * gib),
						Holder: gpu.Holder{Unit: "ollama.service", Model: "qwen3:32b"},
					},
					{
						PID: 79, Name: "python3", Used: gpu.Bytes(18 * gib),
						Holder: gpu.Holder{Unit: "docker-0.scope", Container: "0123", Project: "news", Service: "backend"},
					},
				},
			},
			{
				Index: 1, UUID: "GPU-b", Name: "NVIDIA H200", Split: true, Free: gpu.Bytes(139 * gib), Total: gpu.Bytes(139 * gib),
				Lease: "run 01kb of model news (pid 7)",
			},
			{
				Index: 1, UUID: "MIG-4fa-1111-2222", Parent: "GPU-b", Name: "NVIDIA H200 MIG 1g.18gb", Free: gpu.Bytes(17 * gib),
				Total: gpu.Bytes(17 * gib), Utilization: gpu.Figure{State: gpu.Unsupported},
			},
			{
				Index: 2, UUID: "GPU-c", Name: "RTX 4090", Free: gpu.Reading{State: gpu.Failed, Detail: "Unknown Error"},
				Total: gpu.Bytes(24 * gib), Distrust: "the driver lists pid 4711, which does not exist on this host",
			},
		}),
		showGPUPlan(newPage(&plans), []modelPlan{
			{
				Model: "liga", Pipeline: "default", Steps: []string{"train", "merge"},
				Needs: "22.0 GiB free (measured in the last 3 runs), no other program that computes on it",
				Verdict: gpu.Verdict{Result: gpu.Waiting, Text: "GPU 0 has 4.0 GiB free, a run needs 22.0 GiB (measured in the last 3 runs); the memory is " +
					"held by ollama of ollama.service, pid 77, 18.0 GiB", Holders: []gpu.Process{
					{
						PID: 77, Name: "ollama", Used: gpu.Bytes(18 * gib),
						Holder: gpu.Holder{Unit: "ollama.service", Model: "qwen3:14b"},
					},
				}},
				Room: []roomStep{{
					"make-room", "docker compose --project-directory /srv/news stop backend",
					"docker compose --project-directory /srv/news start backend",
				}},
			},
			{
				Model: "news", Pipeline: "default", Steps: []string{"train"},
				Needs:   "at most 500 MiB in use, no other program that computes on it",
				Verdict: gpu.Verdict{Result: gpu.Open, Text: "GPU 1 has 23.0 GiB free"},
			},
		}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	golden(t, "models", models.String())
	golden(t, "releases", releases.String())
	golden(t, "gpus", gpus.String())
	golden(t, "gpu-plan", plans.String())
}

const gib = 1 << 30

// The output for every fault fits a terminal of 80 columns.
func TestShownFits80Columns(t *testing.T) {
	t.Parallel()
	failed := rolledBack(t)
	failed.Reason = strings.Repeat("ValueError: could not convert it to a number, ", 40)
	failed.Steps = []status.Step{{
		Name: "undo deploy", Attempt: 3, State: store.StepFailed,
		Detail: failed.Reason + "; its output: /x",
	}}
	troubled := broken(t)
	troubled.Sentence, troubled.Last = failed.Reason, &failed
	foreign := armed(t)
	foreign.Phase, foreign.Served = status.Foreign, &status.Served{State: status.ServedForeign}
	var out bytes.Buffer
	narrow := func() *page { return &page{out: &out, width: 80} }
	for _, err := range []error{
		showStatus(narrow(), snapshot(t, armed(t), troubled, onProbation(t), foreign)),
		showRuns(narrow(), []status.Run{inProgress(t), failed, promoted(t)}, now(t)),
		showRun(narrow(), failed, now(t)),
		showRun(narrow(), promoted(t), now(t)),
		showRun(narrow(), inProgress(t), now(t)),
		showModels(narrow(), snapshot(t, armed(t), troubled)),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	p := narrow()
	p.showDrift(driftAnswer{Diagnosis: drift.Diagnosis{Model: "relevance", Report: *report(t)}}, now(t), now(t), false)
	if err := p.print(); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(out.String()) {
		if line = strings.TrimRight(line, "\n"); lipgloss.Width(line) > 80 {
			t.Errorf("%d columns: %s", lipgloss.Width(line), line)
		}
	}
}
