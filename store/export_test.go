package store

// Schema is the schema that this version writes.
var Schema = len(migrations)
