package pubsub

import "github.com/hamba/avro/v2"

// Unchanged of an event with this schema.
func Unchanged(schema string, bitmaps ...string) map[string]bool {
	return unchanged(avro.MustParse(schema), bitmaps)
}
