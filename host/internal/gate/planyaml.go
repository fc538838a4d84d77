package gate

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxSchemaNodes bounds an inline schema: aliases can make a small file huge.
const maxSchemaNodes = 100_000

// resolve follows an alias to what it stands for.
func resolve(node *yaml.Node) *yaml.Node {
	for node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	return node
}

// yamlToJSON writes a node as JSON, with numbers as they are written.
func yamlToJSON(node *yaml.Node) ([]byte, error) {
	left := maxSchemaNodes
	value, err := jsonValue(node, &left)
	if err != nil {
		return nil, err
	}
	return json.Marshal(value)
}

func jsonValue(node *yaml.Node, left *int) (any, error) {
	node = resolve(node)
	if *left--; *left < 0 {
		return nil, errors.New("the schema is too large, or contains itself")
	}
	switch node.Kind {
	case yaml.MappingNode:
		object := make(map[string]any, len(node.Content)/2)
		for i := 0; i < len(node.Content); i += 2 {
			name := node.Content[i]
			if name.Kind != yaml.ScalarNode || name.ShortTag() == "!!merge" {
				return nil, fmt.Errorf("line %d: a name in a schema must be plain text", name.Line)
			}
			if _, twice := object[name.Value]; twice {
				return nil, fmt.Errorf("line %d: %s is there twice", name.Line, name.Value)
			}
			value, err := jsonValue(node.Content[i+1], left)
			if err != nil {
				return nil, err
			}
			object[name.Value] = value
		}
		return object, nil
	case yaml.SequenceNode:
		array := make([]any, len(node.Content))
		for i, item := range node.Content {
			value, err := jsonValue(item, left)
			if err != nil {
				return nil, err
			}
			array[i] = value
		}
		return array, nil
	}
	return jsonScalar(node)
}

func jsonScalar(node *yaml.Node) (any, error) {
	switch node.ShortTag() {
	case "!!null":
		return nil, nil
	case "!!bool":
		var b bool
		err := node.Decode(&b)
		return b, err
	case "!!int", "!!float":
		if json.Valid([]byte(node.Value)) {
			return json.Number(node.Value), nil
		}
		var f float64
		if err := node.Decode(&f); err != nil {
			return nil, err
		}
		if math.IsInf(f, 0) || math.IsNaN(f) {
			return nil, fmt.Errorf("line %d: %s is no number that JSON has", node.Line, node.Value)
		}
		return f, nil
	}
	return node.Value, nil
}

// lineAt finds the line of what a JSON Pointer names, or of what is nearest
// above it.
func lineAt(node *yaml.Node, pointer string) int {
	unescape := strings.NewReplacer("~1", "/", "~0", "~")
	line := node.Line
	for _, token := range strings.Split(pointer, "/")[1:] {
		next := childNode(resolve(node), unescape.Replace(token))
		if next == nil {
			break
		}
		node, line = next, next.Line
	}
	return line
}

func childNode(node *yaml.Node, name string) *yaml.Node {
	switch node.Kind {
	case yaml.MappingNode:
		for i := 0; i < len(node.Content); i += 2 {
			if node.Content[i].Value == name {
				return node.Content[i+1]
			}
		}
	case yaml.SequenceNode:
		if i, err := strconv.Atoi(name); err == nil && 0 <= i && i < len(node.Content) {
			return node.Content[i]
		}
	}
	return nil
}
