package store

import (
	"slices"
	"strings"
)

// sizes are the numbers of rows that one statement may handle, so that each query needs only three prepared statements.
// Writing every row with its own statement takes several times as long, mostly because of the overhead per statement.
var sizes = []int{64, 8, 1}

// bulk splits n rows into groups of these sizes and calls f with each group's first row and length.
func bulk(n int, f func(from, rows int) error) error {
	from := 0
	for _, size := range sizes {
		for ; n-from >= size; from += size {
			if err := f(from, size); err != nil {
				return err
			}
		}
	}
	return nil
}

// marks returns n placeholders, such as (?, ?, ?).
func marks(n int) string { return "(" + strings.Repeat("?, ", n-1) + "?)" }

// insert inserts many rows. columns is the number of values per row in args.
func (t *Tx) insert(head string, columns int, tail string, args []any) error {
	row := marks(columns)
	return bulk(len(args)/columns, func(from, rows int) error {
		return t.exec(head+" values "+strings.Repeat(row+", ", rows-1)+row+tail, args[from*columns:(from+rows)*columns]...)
	})
}

// among appends a placeholder for each key to a statement that ends with `in`, and the keys to its args.
func among(query string, args []any, keys []string) (string, []any) {
	all := slices.Grow(slices.Clone(args), len(keys))
	for _, k := range keys {
		all = append(all, k)
	}
	return query + marks(len(keys)), all
}

// lookUp runs a query that ends with `in` for the keys, several keys at a time, and calls f for each row.
func (t *Tx) lookUp(query string, args []any, keys []string, f func(scan func(...any) error) error) error {
	return bulk(len(keys), func(from, rows int) error {
		q, all := among(query, args, keys[from:from+rows])
		return t.each(q, all, f)
	})
}

// change runs a statement that ends with `in` for the keys, several keys at a time.
func (t *Tx) change(query string, args []any, keys []string) error {
	return bulk(len(keys), func(from, rows int) error {
		q, all := among(query, args, keys[from:from+rows])
		return t.exec(q, all...)
	})
}
