package strictyaml

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Set returns the text with a new value at a path such as models.news.limits.cooldown or tests[2].expect. The value is
// given as YAML. Missing keys are added. A value that several places share by an anchor changes at this path only: the
// other places get a copy of the value as it was. Set does not check that the keys are valid: Decode does.
func Set(data []byte, path, value string) ([]byte, error) {
	var doc, want yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return nil, err
	}
	if err := yaml.Unmarshal([]byte(value), &want); err != nil {
		return nil, fmt.Errorf("%q is not a YAML value: %w", cutValue(value), err)
	}
	if len(doc.Content) != 1 || len(want.Content) != 1 {
		return nil, fmt.Errorf("%s: no value is given", path)
	}
	at := doc.Content[0]
	keys := strings.Split(strings.ReplaceAll(path, "[", ".["), ".")
	for i, key := range keys {
		if n, is := index(key); is && at.Kind == yaml.SequenceNode && n < len(at.Content) && i < len(keys)-1 {
			if at = at.Content[n]; at.Anchor != "" {
				unshare(doc.Content[0], func(n *yaml.Node) bool { return n == at })
			}
			continue
		}
		if at.Kind != yaml.MappingNode {
			return nil,
				fmt.Errorf("%s is %s and has no key %q; set %s as a whole", strings.Join(keys[:i], "."), describe(at), key,
					strings.Join(keys[:i], "."))
		}
		slot := slotOf(at, key)
		if *slot == nil {
			*slot = &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
		}
		if old := *slot; i == len(keys)-1 {
			unshare(doc.Content[0], func(n *yaml.Node) bool { return contains(old, n) })
			*slot = want.Content[0]
			break
		}
		for (*slot).Kind == yaml.AliasNode {
			*slot = clone((*slot).Alias)
		}
		if (*slot).Kind == yaml.ScalarNode && (*slot).ShortTag() == "!!null" {
			*slot = &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
		}
		at = *slot
		if at.Anchor != "" {
			unshare(doc.Content[0], func(n *yaml.Node) bool { return n == at })
		}
	}
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	if err := enc.Encode(&doc); err != nil {
		return nil, err
	}
	return out.Bytes(), enc.Close()
}

// index reads the "[2]" of a path.
func index(key string) (int, bool) {
	inner, ok := strings.CutPrefix(key, "[")
	n, err := strconv.Atoi(strings.TrimSuffix(inner, "]"))
	return n, ok && err == nil && n >= 0
}

// slotOf returns the node pointer of a key's value in a mapping. A merged key is copied into the mapping; a missing
// one is added without a value.
func slotOf(mapping *yaml.Node, key string) **yaml.Node {
	var merged *yaml.Node
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		switch k := mapping.Content[i]; {
		case k.Value == key:
			return &mapping.Content[i+1]
		case k.ShortTag() == "!!merge":
			merged = find(mapping.Content[i+1], key)
		}
	}
	if merged != nil {
		merged = clone(merged)
	}
	mapping.Content = append(mapping.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: key}, merged)
	return &mapping.Content[len(mapping.Content)-1]
}

// find looks a key up in a merge value: a mapping, or a list of mappings of which the first match counts.
func find(n *yaml.Node, key string) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	for i, c := range n.Content {
		switch {
		case n.Kind == yaml.SequenceNode:
			if found := find(c, key); found != nil {
				return found
			}
		case n.Kind == yaml.MappingNode && i%2 == 0 && c.Value == key:
			return n.Content[i+1]
		}
	}
	return nil
}

// unshare looks for aliases of values for which `changes` returns true, and replaces each by a copy of the value.
func unshare(n *yaml.Node, changes func(*yaml.Node) bool) {
	for i, child := range n.Content {
		if child.Kind == yaml.AliasNode && changes(child.Alias) {
			n.Content[i] = clone(child.Alias)
		}
		unshare(n.Content[i], changes)
	}
}

// contains reports whether `part` is the value `n` or lies inside it.
func contains(n, part *yaml.Node) bool {
	return n == part || slices.ContainsFunc(n.Content, func(child *yaml.Node) bool { return contains(child, part) })
}

// clone copies a value without its anchors, which must be unique.
func clone(n *yaml.Node) *yaml.Node {
	c := *n
	c.Anchor = ""
	c.Content = nil
	for _, child := range n.Content {
		c.Content = append(c.Content, clone(child))
	}
	return &c
}
