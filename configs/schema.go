package configs

import _ "embed"

//go:embed retraind.schema.json
var schema []byte

// SchemaFile is the name that the schema has beside a configuration.
const SchemaFile = "retraind.schema.json"

// Schema is the JSON Schema of a configuration, for editors. It is generated from the types and their comments; what
// depends on several keys at once only Load knows.
func Schema() []byte { return schema }
