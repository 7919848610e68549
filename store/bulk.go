package store

import (
	"slices"
	"strings"
)

// sizes are the numbers of rows per statement; each size has one prepared statement. Writing a row in a separate
// statement costs several times as much, mostly for the overhead of the statement.
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

// insert runs an insert of many rows, with the given number of args per row.
func (t *Tx) insert(head string, columns int, tail string, args []any) error {
	row := marks(columns)
	return bulk(len(args)/columns, func(from, rows int) error {
		return t.exec(head+" values "+strings.Repeat(row+", ", rows-1)+row+tail, args[from*columns:(from+rows)*columns]...)
	})
}

// among appends the keys to a statement that ends with `in`, and to its args.
func among(query string, args []any, keys []string) (string, []any) {
	all := slices.Grow(slices.Clone(args), len(keys))
	for _, k := range keys {
		all = append(all, k)
	}
	return query + marks(len(keys)), all
}

// lookUp appends the keys to a query that ends with `in`, runs it, and calls f for each row.
func (t *Tx) lookUp(query string, args []any, keys []string, f func(scan func(...any) error) error) error {
	return bulk(len(keys), func(from, rows int) error {
		q, all := among(query, args, keys[from:from+rows])
		return t.each(q, all, f)
	})
}

// change appends the keys to a statement that ends with `in`, and runs it.
func (t *Tx) change(query string, args []any, keys []string) error {
	return bulk(len(keys), func(from, rows int) error {
		q, all := among(query, args, keys[from:from+rows])
		return t.exec(q, all...)
	})
}
