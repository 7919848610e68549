package configs

import _ "embed"

//go:embed retraind.schema.json
var schema []byte

// SchemaFile is the name of the schema file beside a configuration.
const SchemaFile = "retraind.schema.json"

// Schema returns the JSON Schema of a configuration, for editors. It is generated from the types and their comments;
// rules that involve several keys are checked by Load only.
func Schema() []byte { return schema }
