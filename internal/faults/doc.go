// Package faults numbers the places where a crash must not lose data.
//
// Point is called at every such place: before and after each journal write, at step boundaries, around a deploy
// and a publish. In an ordinary build it is an empty function that the compiler removes. With the build tag
// "faults" it counts, and kills the process with SIGKILL at the number in RETRAIND_CRASH_AT; a test runs once to
// count the points and then once more for each. It is safe for concurrent use and never returns an error.
package faults
