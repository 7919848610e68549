package ledger

import (
	"errors"

	"golang.org/x/sys/unix"
)

// full reports whether an error means that the disk is full or a quota is used up. A restore continues then: its entry
// is already on disk, and only the mark that the restore has begun is lost.
func full(err error) bool { return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) }
