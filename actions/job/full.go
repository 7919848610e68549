package job

import (
	"errors"
	"syscall"
)

// full reports whether an error says that the disk, or the user's share of it, is full.
func full(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }
