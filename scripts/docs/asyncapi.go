package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"github.com/retraind/retraind/notify"
)

// node is a JSON object; encoding/json sorts its keys.
type node map[string]any

func ref(path string) node { return node{"$ref": "#/" + path} }

// asyncAPI describes the events as an AsyncAPI 3 document, for client generators and catalogues.
func asyncAPI(src *sources) ([]byte, error) {
	channels, operations, messages := node{}, node{}, node{}
	schemas := node{"Event": envelope()}
	for _, e := range notify.Catalogue() {
		kind := string(e.Kind)
		address, channel := notify.Subject("{model}", e.Kind), node{}
		if strings.HasPrefix(kind, "config.") || strings.HasPrefix(kind, "daemon.") {
			address = notify.Subject(notify.DaemonModel, e.Kind)
		} else {
			channel["parameters"] = node{"model": node{"description": "The name of the model under models: in the configuration."}}
		}
		channel["address"], channel["messages"] = address, node{"event": ref("components/messages/" + kind)}
		channels[kind] = channel
		operations["send."+kind] = node{"action": "send", "channel": ref("channels/" + kind), "summary": e.When}
		data := reflect.TypeOf(e.Data)
		if err := addSchema(src, schemas, data); err != nil {
			return nil, err
		}
		message := node{
			"name": notify.Type(e.Kind), "title": kind, "summary": e.When, "contentType": "application/cloudevents+json",
			"payload": node{"allOf": []node{ref("components/schemas/Event"), {"properties": node{
				"type": node{"const": notify.Type(e.Kind)}, "data": ref("components/schemas/" + data.Name()),
			}}}},
		}
		if e.Entry != "" {
			message["x-nats-kv"] = node{"bucket": notify.Bucket, "key": "{model}." + e.Entry}
		}
		messages[kind] = message
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err := enc.Encode(node{
		"asyncapi": "3.0.0",
		"info": node{
			"title": "retraind events", "version": "1.0.0",
			"description": "What retraind did, published on NATS JetStream. Each event is delivered at least once: ignore ids that were seen before. Details: docs/events.md.",
		},
		"defaultContentType": "application/cloudevents+json",
		"servers": node{"embedded": node{
			"host": "127.0.0.1:4222", "protocol": "nats",
			"description": "The broker inside the daemon, unless nats.url names an external server.",
		}},
		"channels": channels, "operations": operations,
		"components":      node{"messages": messages, "schemas": schemas},
		"x-nats-stream":   notify.Stream,
		"x-specification": "CloudEvents 1.0 in structured JSON",
	})
	return out.Bytes(), err
}

// envelope describes the fields that all events share.
func envelope() node {
	text := func(meaning string) node { return node{"type": "string", "description": meaning} }
	return node{
		"type":     "object",
		"required": []string{"specversion", "id", "source", "type", "subject", "time", "datacontenttype", "data"},
		"properties": node{
			"specversion": node{"const": "1.0"}, "id": text("A ULID, also the message id on NATS. If the event is sent again, the id is the same."),
			"source": text("/retraind/HOST"),
			"type":   text("The kind of the event, with a version."), "subject": text("The name of the model."),
			"time":            node{"type": "string", "format": "date-time"},
			"datacontenttype": node{"const": "application/json"},
			"runid":           text("The id of the run that the event is about; absent if it is about none."),
			"data":            node{"type": "object"},
		},
	}
}

// addSchema adds the schemas of a struct and of the structs in it.
func addSchema(src *sources, schemas node, t reflect.Type) error {
	if _, ok := schemas[t.Name()]; ok {
		return nil
	}
	properties, required := node{}, []string{}
	schemas[t.Name()] = node{"type": "object", "properties": properties}
	docs, err := src.fields(t)
	if err != nil {
		return err
	}
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		one, inner, err := typeSchema(f.Type)
		if err != nil {
			return fmt.Errorf("%s.%s: %w", t.Name(), f.Name, err)
		}
		if inner != nil {
			if err := addSchema(src, schemas, inner); err != nil {
				return err
			}
		}
		if text := strings.ReplaceAll(prose(f.Name, docs[f.Name]), `\|`, "|"); text != "" && one["$ref"] == nil {
			one["description"] = text
		}
		if properties[name] = one; !strings.Contains(options, "omit") {
			required = append(required, name)
		}
	}
	if len(required) > 0 {
		schemas[t.Name()].(node)["required"] = required
	}
	return nil
}

// typeSchema returns the schema of a type, and the struct type in it, nil if there is none.
func typeSchema(t reflect.Type) (node, reflect.Type, error) {
	switch t.Kind() {
	case reflect.Pointer:
		return typeSchema(t.Elem())
	case reflect.Struct:
		if t.PkgPath() == "time" {
			return node{"type": "string", "format": "date-time"}, nil, nil
		}
		return ref("components/schemas/" + t.Name()), t, nil
	case reflect.Slice:
		items, inner, err := typeSchema(t.Elem())
		return node{"type": []string{"array", "null"}, "items": items}, inner, err
	case reflect.Map:
		values, inner, err := typeSchema(t.Elem())
		return node{"type": "object", "additionalProperties": values}, inner, err
	case reflect.Int, reflect.Int64:
		return node{"type": "integer"}, nil, nil
	case reflect.Float64:
		return node{"type": "number"}, nil, nil
	case reflect.Bool:
		return node{"type": "boolean"}, nil, nil
	case reflect.String:
		return node{"type": "string"}, nil, nil
	}
	return nil, nil, fmt.Errorf("%s has no schema", t)
}
