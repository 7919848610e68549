package policy

import (
	"strconv"

	"github.com/retraind/retraind/drift"
)

// ownChanges says that labels enough for a retrain have changed, were it not for those that retraind's own runs wrote:
// a relabelling must never cause the next one.
func (p *Policy) ownChanges(r *drift.Report) bool {
	if r.Labels.Own == 0 {
		return false
	}
	for _, cfg := range []*LabelChanges{p.config.RetrainWhen.LabelChanges, p.config.UrgentWhen.LabelChanges} {
		if cfg == nil {
			continue
		}
		all := r.Labels.Changed + r.Labels.Own
		if all >= cfg.AtLeast && (cfg.Share == nil || float64(all) >= cfg.Share.F()*float64(r.Labels.Items)) {
			return true
		}
	}
	return false
}

func ownText(r *drift.Report) string {
	return strconv.Itoa(r.Labels.Changed+r.Labels.Own) + " of " + strconv.Itoa(r.Labels.Items) + " labels changed since the training, but " +
		strconv.Itoa(r.Labels.Own) + " of them were written by retraind's own runs, which never count"
}
