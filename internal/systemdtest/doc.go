// Package systemdtest gives tests a real systemd: the first process of a box, made of namespaces and of the machine's
// own programs, without a download or an image. In a box the daemon can be installed, started and killed as on a fresh
// machine, without any trace on this one.
//
// A Box may be used from parallel tests. It needs root, and never touches the machine's own systemd, sysctls or cgroups
// outside the one that it creates. It is never linked into the program.
package systemdtest
