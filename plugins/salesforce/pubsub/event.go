package pubsub

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hamba/avro/v2"

	"github.com/wellhead-io/wellhead/plugins/salesforce/client"
	"github.com/wellhead-io/wellhead/plugins/salesforce/eventbus"
)

// maxSchemas bounds the schemas that are kept: an object has a new one each
// time its fields change.
const maxSchemas = 100

// schemas reads events by the schemas that they were written with.
type schemas struct {
	fetch func(ctx context.Context, id string) (string, error)

	mu    sync.Mutex
	known map[string]avro.Schema
}

// event is what is read of a change event. Avro's reader skips the other
// fields, whatever their types.
type event struct {
	Header struct {
		Entity string   `avro:"entityName"`
		IDs    []string `avro:"recordIds"`
		Type   string   `avro:"changeType"`
		Commit int64    `avro:"commitTimestamp"` // ms
		// The fields that were changed, emptied or changed in part, as bitmaps.
		Changed []string `avro:"changedFields"`
		Nulled  []string `avro:"nulledFields"`
		Diff    []string `avro:"diffFields"`
	} `avro:"ChangeEventHeader"`
}

// decoder bounds what a payload can make it allocate: an event is at most 1 MB.
var decoder = avro.Config{MaxByteSliceSize: 1 << 20, MaxSliceAllocSize: 1 << 20}.Freeze()

func (s *schemas) read(ctx context.Context, e *eventbus.ProducerEvent) (c Change, err error) {
	schema, err := s.schema(ctx, e.GetSchemaId())
	if err != nil {
		return Change{}, err
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("change event: %v", p)
		}
	}()
	var v event
	if err := decoder.Unmarshal(schema, e.GetPayload(), &v); err != nil {
		return Change{}, fmt.Errorf("change event: %w", err)
	}
	h := &v.Header
	c = Change{Object: h.Entity, Time: time.UnixMilli(h.Commit).UTC(), All: h.Type == "GAP_OVERFLOW" || len(h.IDs) == 0}
	for _, id := range h.IDs {
		if client.ValidID(id) {
			c.IDs = append(c.IDs, id)
		} else {
			c.All = true // a wildcard such as 001*
		}
	}
	if h.Type == "UPDATE" && len(h.Changed) > 0 {
		c.Unchanged = unchanged(schema, slices.Concat(h.Changed, h.Nulled, h.Diff))
	}
	return c, nil
}

// unchanged returns the fields of an event's schema that no bitmap names; nil:
// one of them cannot be read. In a bitmap such as 0x06 bit i stands for the i-th
// field, the lowest for the header. One such as 4-0x06 is of the members of field
// 4, a compound, which counts as changed as a whole.
func unchanged(schema avro.Schema, bitmaps []string) map[string]bool {
	record, ok := schema.(*avro.RecordSchema)
	if !ok {
		return nil
	}
	fields := record.Fields()
	var changed big.Int
	for _, text := range bitmaps {
		parent, members, nested := strings.Cut(text, "-")
		if nested {
			i, err := strconv.Atoi(parent)
			if err != nil || i < 1 || i >= len(fields) || !strings.HasPrefix(members, "0x") {
				return nil
			}
			changed.SetBit(&changed, i, 1)
			continue
		}
		digits, hex := strings.CutPrefix(text, "0x")
		bits, ok := new(big.Int).SetString(digits, 16)
		if !hex || !ok || bits.Sign() < 0 || bits.BitLen() > len(fields) {
			return nil
		}
		changed.Or(&changed, bits)
	}
	out := make(map[string]bool, len(fields))
	for i, f := range fields[1:] {
		if changed.Bit(i+1) == 0 {
			out[f.Name()] = true
		}
	}
	return out
}

func (s *schemas) schema(ctx context.Context, id string) (avro.Schema, error) {
	s.mu.Lock()
	schema := s.known[id]
	s.mu.Unlock()
	if schema != nil {
		return schema, nil
	}
	if id == "" {
		return nil, errors.New("change event names no schema")
	}
	text, err := s.fetch(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("schema of a change event: %w", err)
	}
	// A cache of its own: two schemas of one object have the same names.
	if schema, err = avro.ParseWithCache(text, "", &avro.SchemaCache{}); err != nil {
		return nil, fmt.Errorf("schema of a change event: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known == nil || len(s.known) >= maxSchemas {
		s.known = map[string]avro.Schema{}
	}
	s.known[id] = schema
	return schema, nil
}
