// Package faults marks the places where a crash must not lose data.
//
// Point is called at every such place: before and after each journal write, at step boundaries, around a deploy and a
// publish. In an ordinary build it is an empty function that the compiler removes. With the build tag "faults" it
// counts its calls, and kills the process with SIGKILL at the point that RETRAIND_CRASH_AT names; a test runs once to
// record the points and then once for each of them. Point is safe for concurrent use and never returns an error.
package faults
