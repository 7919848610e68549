package policy

// Redecide is for tests: decisions without words must be those with words.
var Redecide = (*Policy).redecide
