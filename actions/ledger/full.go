package ledger

import (
	"errors"

	"golang.org/x/sys/unix"
)

// full reports a disk without room. Bringing back needs none: what was noted stays, and only the mark that it was begun
// is lost.
func full(err error) bool { return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) }
