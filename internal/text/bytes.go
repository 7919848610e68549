package text

import "fmt"

// Bytes writes a size as a person reads it: "512 bytes", "19.9 GiB".
func Bytes(n int64) string {
	const step = 1024
	if n < step {
		return Plural(int(n), "byte")
	}
	size, unit := float64(n), ""
	for _, unit = range []string{"KiB", "MiB", "GiB", "TiB"} {
		if size /= step; size < step {
			break
		}
	}
	return fmt.Sprintf("%.1f %s", size, unit)
}
