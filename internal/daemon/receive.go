package daemon

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"syscall"

	"github.com/retraind/retraind/configs"
	"github.com/retraind/retraind/notify"
	"github.com/retraind/retraind/status"
	"github.com/retraind/retraind/watch/webhook"
)

// receivers opens the addresses for label events by HTTP, with one listener for all models that share an address.
// Nothing else is served at these addresses. It also returns the loop that answers requests by NATS.
func (d *Daemon) receivers(file *configs.File) ([]loop, error) {
	muxes := map[string]*http.ServeMux{}
	for _, m := range d.models {
		for _, s := range m.Intake.Sources {
			source, ok := s.(*webhook.Handler)
			if !ok {
				continue
			}
			address := file.Models[m.Name].Labels.HTTP.Listen
			if muxes[address] == nil {
				muxes[address] = http.NewServeMux()
			}
			muxes[address].Handle("POST /v1/labels/"+m.Name, source)
		}
	}
	var loops []loop
	for _, address := range slices.Sorted(maps.Keys(muxes)) {
		listener, err := net.Listen("tcp", address)
		if errors.Is(err, syscall.EADDRINUSE) {
			return nil, fmt.Errorf("labels.http.listen: %s is used by another program; set it to a free address", address)
		}
		if err != nil {
			return nil, fmt.Errorf("labels.http.listen: cannot use %s: %w", address, innermost(err))
		}
		loops = append(loops, loop{"label events at " + address, func(ctx context.Context) error {
			return webhook.Serve(ctx, listener, muxes[address], d.log)
		}})
	}
	if file.NATS.Requests != notify.RequestsOff {
		o := status.ServiceOptions{
			Version: d.o.Version, Host: d.host, Models: file.Names(),
			Write: file.NATS.Requests == notify.RequestsAll,
		}
		loops = append(loops, loop{"requests by NATS", func(ctx context.Context) error {
			return status.ServeNATS(ctx, d.nats, d.backend, o, d.log)
		}})
	}
	return loops, nil
}
