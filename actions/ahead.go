package actions

import "iter"

const (
	aheadBatch   = 64 // rows handed over at a time
	aheadBatches = 4
)

// ahead runs a sequence of rows in a goroutine of its own, some rows before its reader: one core reads, another hashes
// and writes. The sequence has ended when the reader's loop has.
func ahead(rows iter.Seq2[Row, error]) iter.Seq2[Row, error] {
	type one struct {
		row Row
		err error
	}
	return func(yield func(Row, error) bool) {
		batches, used, stop := make(chan []one, aheadBatches), make(chan []one, aheadBatches+2), make(chan struct{})
		go func() {
			defer close(batches)
			batch := make([]one, 0, aheadBatch)
			for row, err := range rows {
				if batch = append(batch, one{row, err}); len(batch) < aheadBatch && err == nil {
					continue
				}
				select {
				case batches <- batch:
				case <-stop:
					return
				}
				select {
				case batch = <-used:
				default:
					batch = make([]one, 0, aheadBatch)
				}
			}
			select {
			case batches <- batch:
			case <-stop:
			}
		}()
		defer func() {
			close(stop)
			for range batches { //nolint:revive // until the goroutine has ended
			}
		}()
		for batch := range batches {
			for _, o := range batch {
				if !yield(o.row, o.err) {
					return
				}
			}
			clear(batch)
			used <- batch[:0] // there are never more than it has room for
		}
	}
}
