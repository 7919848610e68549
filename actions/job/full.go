package job

import (
	"errors"
	"syscall"
)

// full reports whether an error means a full disk or an exhausted quota.
func full(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }
