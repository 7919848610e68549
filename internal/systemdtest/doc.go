// Package systemdtest runs a real systemd for tests, as the first process of a box. A box consists of namespaces and
// uses the machine's programs, without a download or an image. In a box, a test can install, start and kill the daemon
// as on a fresh machine, and leaves nothing behind on this one.
//
// Parallel tests may use boxes. A Box needs root. It never changes the machine's systemd or sysctls, or a cgroup other
// than the one that it creates. The package is never linked into the program.
package systemdtest
