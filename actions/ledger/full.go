package ledger

import (
	"errors"

	"golang.org/x/sys/unix"
)

// full reports whether an error is a full disk. A restore does not need disk space: the entry is already there, and
// only the mark that the restore has begun is lost.
func full(err error) bool { return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) }
