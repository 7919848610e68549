package status

import (
	"context"
	"net/http"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/retraind/retraind/drift"
)

// Metrics is the daemon's own registry. Most gauges come from a snapshot at each scrape. Counters and histograms of
// single occurrences, and the gauge of GPUIdle, are updated by the daemon and start empty with the process.
type Metrics struct {
	registry  *prometheus.Registry
	decisions *prometheus.CounterVec
	shadow    *prometheus.CounterVec
	runs      *prometheus.CounterVec
	blocked   *prometheus.CounterVec
	contended *prometheus.CounterVec
	runTime   *prometheus.HistogramVec
	stepTime  *prometheus.HistogramVec
	refused   *prometheus.CounterVec
	released  *prometheus.CounterVec
	restored  *prometheus.CounterVec
	idle      *prometheus.GaugeVec
}

// runBuckets range from seconds to more than the five hours that a relabelling with training takes.
var runBuckets = []float64{1, 5, 15, 60, 300, 900, 1800, 3600, 2 * 3600, 4 * 3600, 8 * 3600}

// NewMetrics returns the registry of one daemon.
func NewMetrics(backend Reader, version string) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		decisions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "retraind_decisions_total", Help: "Changes of the policy's decision, by verdict and reason.",
		}, []string{"model", "decision", "reason"}),
		shadow: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "retraind_shadow_differences_total",
			Help: "Differences between the policy and its shadow, by the decision of each.",
		}, []string{"model", "decision", "shadow"}),
		runs: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "retraind_runs_total", Help: "Runs that ended, by outcome.",
		}, []string{"model", "result"}),
		blocked: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "retraind_gpu_blocked_total", Help: "Steps that did not get a GPU, by the program that used the most memory of that GPU; empty if unknown.",
		}, []string{"model", "holder"}),
		contended: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "retraind_gpu_contended_total", Help: "Other programs and faults on the GPUs of running steps, by kind and program.",
		}, []string{"model", "kind", "holder"}),
		released: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "retraind_gpu_released_total", Help: "How often a run stopped programs temporarily to free a GPU.",
		}, []string{"model"}),
		restored: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "retraind_gpu_restored_total", Help: "Programs in the events gpu.restored, by the label ending: the result of starting a temporarily stopped program again.",
		}, []string{"model", "ending"}),
		idle: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "retraind_gpu_idle_ratio", Help: "Share of the step's last GPU lease during which the GPU was idle.",
		}, []string{"model", "step"}),
		runTime: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "retraind_run_seconds", Help: "How long runs took, from start to outcome.", Buckets: runBuckets,
		}, []string{"model"}),
		stepTime: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "retraind_step_seconds", Help: "How long steps took.", Buckets: runBuckets,
		}, []string{"model", "step"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "retraind_refused_total",
			Help: "Connections, event streams and request bodies that were refused or closed at a limit, and clients of the broker without permission, by the labels listener and what.",
		}, []string{"listener", "what"}),
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "retraind_build_info", Help: "Always 1; the labels have the version.",
		ConstLabels: prometheus.Labels{"version": version, "goversion": runtime.Version()},
	})
	build.Set(1)
	m.registry.MustRegister(build, m.decisions, m.shadow, m.runs, m.blocked, m.contended, m.released, m.restored,
		m.idle, m.runTime, m.stepTime, m.refused, snapshots{backend},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Decided counts a verdict.
func (m *Metrics) Decided(model, verdict, reason string) {
	m.decisions.WithLabelValues(model, verdict, reason).Inc()
}

// ShadowDiffered counts a difference between the policy and its shadow.
func (m *Metrics) ShadowDiffered(model, decision, shadow string) {
	m.shadow.WithLabelValues(model, decision, shadow).Inc()
}

// RunEnded counts a run's outcome and observes its duration.
func (m *Metrics) RunEnded(model, outcome string, took time.Duration) {
	m.runs.WithLabelValues(model, outcome).Inc()
	m.runTime.WithLabelValues(model).Observe(took.Seconds())
}

// GPUBlocked counts a step that did not get a GPU; holder is empty if it is not known.
func (m *Metrics) GPUBlocked(model, holder string) {
	m.blocked.WithLabelValues(model, holder).Inc()
}

// GPUContended counts a finding on the GPU of a step; holder is empty if it is not known.
func (m *Metrics) GPUContended(model, kind, holder string) {
	m.contended.WithLabelValues(model, kind, holder).Inc()
}

// GPUReleased counts an event gpu.released: programs or models were stopped to free the GPU for steps of a run.
func (m *Metrics) GPUReleased(model string) { m.released.WithLabelValues(model).Inc() }

// GPURestored counts the result of starting one such program or model again.
func (m *Metrics) GPURestored(model, ending string) { m.restored.WithLabelValues(model, ending).Inc() }

// GPUIdle sets the share of the time in which a step left its GPU idle, in [0, 1].
func (m *Metrics) GPUIdle(model, step string, share float64) {
	m.idle.WithLabelValues(model, step).Set(share)
}

// StepEnded observes a step's duration.
func (m *Metrics) StepEnded(model, step string, took time.Duration) {
	m.stepTime.WithLabelValues(model, step).Observe(took.Seconds())
}

// Refused counts what a listener refused, at a limit or for lack of permission, and each idle connection that it closed
// to make room.
func (m *Metrics) Refused(listener, what string) { m.refused.WithLabelValues(listener, what).Inc() }

// Handler answers a scrape. If the snapshot fails, it answers 500 instead of omitting the figures.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{ErrorHandling: promhttp.HTTPErrorOnError})
}

// gauge describes one figure of a snapshot.
func gauge(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("retraind_"+name, help, labels, nil)
}

// The gauges of a snapshot. Accuracies are fractions in [0, 1].
var (
	descReload = gauge("config_last_reload_successful",
		"1 if the configuration on disk is in force, 0 if the last reload was refused.")
	descReloadTime = gauge("config_last_reload_success_timestamp_seconds", "When the configuration in force was loaded.")
	descOutbox     = gauge("outbox_pending", "Events that NATS has not acknowledged yet.")
	descAccuracy   = gauge("accuracy", "Accuracy of the deployed release on held-out items.", "model")
	descLow        = gauge("accuracy_low", "Lower bound of the 95% interval of the accuracy.", "model")
	descHigh       = gauge("accuracy_high", "Upper bound of the 95% interval of the accuracy.", "model")
	descBaseline   = gauge("accuracy_baseline", "Accuracy of the deployed release at its promotion, or when it was measured again as the new baseline.", "model")
	descDrop       = gauge("accuracy_drop_points", "Accuracy lost since the baseline, in percentage points.", "model")
	descMacroF1    = gauge("macro_f1", "Mean F1 over the categories.", "model")
	descFormat     = gauge("format_error_share",
		"Share of held-out items to which a language model gave an unusable answer.", "model")
	descTarget    = gauge("target_accuracy", "Accuracy of the deployed release in each target.", "model", "target")
	descTargetLow = gauge("target_accuracy_low", "Lower bound of the 95% interval of a target's accuracy.", "model",
		"target")
	descTargetHigh = gauge("target_accuracy_high", "Upper bound of the 95% interval of a target's accuracy.", "model",
		"target")
	descTargetF1 = gauge("target_macro_f1", "Mean F1 over the categories of a target.", "model", "target")
	descTargetN  = gauge("target_heldout_items", "Held-out items with a label of the target and an answer.", "model",
		"target")
	descHeldout    = gauge("heldout_items", "Held-out items that have an answer of the deployed release.", "model")
	descPending    = gauge("labels_pending", "Items whose label people changed since the training.", "model")
	descReport     = gauge("report_timestamp_seconds", "When the accuracy was last evaluated.", "model")
	descReportOK   = gauge("report_ok", "1 if the last evaluation is usable for decisions, else 0; state has the reason.", "model", "state")
	descSource     = gauge("source_up", "1 if the source of labels can be read, else 0.", "model", "source")
	descSourceTime = gauge("source_last_event_timestamp_seconds", "When the source last delivered a change.", "model",
		"source")
	descAudit = gauge("audit_ok",
		"1 if the last nightly audit found the figures equal to recomputed ones, else 0; absent before the first audit.", "model")
	descAuditTime = gauge("audit_timestamp_seconds", "When the figures were last audited.", "model")
	descProbation = gauge("probation_e_value",
		"Evidence (e-value) that the release is worse than the gate measured; absent without a probation.", "model")
	descProbated = gauge("probation_bound",
		"E-value at which the release is rolled back; absent without a probation.", "model")
	descActive = gauge("run_active", "1 while a run is in progress.", "model")
	descPaused = gauge("paused", "1 while a person has paused automatic runs.", "model")
	descHeld   = gauge("held", "1 while the model is held: no run starts until a person resumes it or, after a hold by a run, the champion is proved to serve.", "model")
	descWindow = gauge("window_open", "1 while quiet hours allow a run to start.", "model")
	descNext   = gauge("next_window_timestamp_seconds", "When quiet hours open next; absent while they are open.", "model")
)

// snapshots turns a Status into gauges when it is scraped.
type snapshots struct{ backend Reader }

// Describe implements prometheus.Collector.
func (snapshots) Describe(into chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		descReload, descReloadTime, descOutbox, descAccuracy, descLow, descHigh, descBaseline, descDrop, descMacroF1, descFormat,
		descHeldout, descTarget, descTargetLow, descTargetHigh, descTargetF1, descTargetN,
		descPending, descReport, descReportOK, descSource, descSourceTime, descAudit, descAuditTime, descProbation,
		descProbated, descActive, descPaused, descHeld, descWindow, descNext,
	} {
		into <- d
	}
}

// Collect implements prometheus.Collector.
func (c snapshots) Collect(into chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	s, err := c.backend.Snapshot(ctx)
	if err != nil {
		into <- prometheus.NewInvalidMetric(descReload, err)
		return
	}
	put := func(d *prometheus.Desc, value float64, labels ...string) {
		into <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	put(descReload, one(s.Config.Problem == ""))
	put(descReloadTime, seconds(s.Config.Loaded))
	put(descOutbox, float64(s.OutboxPending))
	for _, m := range s.Models {
		collectModel(m, put)
	}
}

func collectModel(m Model, put func(d *prometheus.Desc, value float64, labels ...string)) {
	put(descActive, one(m.Active != nil), m.Name)
	if !m.Audit.At.IsZero() {
		put(descAudit, one(m.Audit.Difference == ""), m.Name)
		put(descAuditTime, seconds(m.Audit.At), m.Name)
	}
	if t := m.Probation; t != nil {
		put(descProbation, t.E, m.Name)
		put(descProbated, t.Bound, m.Name)
	}
	put(descPaused, one(len(m.Pauses) > 0), m.Name)
	put(descHeld, one(m.Held != nil), m.Name)
	put(descWindow, one(m.Window.Open), m.Name)
	if !m.Window.Open && !m.Window.Changes.IsZero() {
		put(descNext, seconds(m.Window.Changes), m.Name)
	}
	for _, s := range m.Sources {
		put(descSource, one(s.Up), m.Name, s.Name)
		if !s.LastEvent.IsZero() {
			put(descSourceTime, seconds(s.LastEvent), m.Name, s.Name)
		}
	}
	r := m.Report
	if r == nil {
		return
	}
	put(descReport, seconds(r.At), m.Name)
	put(descReportOK, one(r.State == drift.StateOK), m.Name, string(r.State))
	put(descHeldout, float64(r.Scored), m.Name)
	put(descPending, float64(r.Labels.Changed), m.Name)
	collectTargets(m.Name, r, put)
	if r.Scored == 0 {
		return // omit the figure: 0% would be wrong
	}
	put(descAccuracy, r.Accuracy, m.Name)
	put(descLow, r.Low, m.Name)
	put(descHigh, r.High, m.Name)
	put(descMacroF1, r.MacroF1, m.Name)
	put(descFormat, r.FormatErrorShare(), m.Name)
	if b := r.Baseline; b != nil {
		put(descBaseline, b.Accuracy, m.Name)
		put(descDrop, r.Drop, m.Name)
	}
}

// collectTargets sends the figures of every target, the gating one first.
func collectTargets(model string, r *drift.Report, put func(d *prometheus.Desc, value float64, labels ...string)) {
	gate := drift.TargetFigures{
		Name: r.Target, N: r.Scored, Accuracy: r.Accuracy, Low: r.Low, High: r.High, MacroF1: r.MacroF1,
	}
	for _, t := range append([]drift.TargetFigures{gate}, r.Targets...) {
		put(descTargetN, float64(t.N), model, t.Name)
		if t.N == 0 {
			continue
		}
		put(descTarget, t.Accuracy, model, t.Name)
		put(descTargetLow, t.Low, model, t.Name)
		put(descTargetHigh, t.High, model, t.Name)
		put(descTargetF1, t.MacroF1, model, t.Name)
	}
}

func one(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func seconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}
