package translate

import (
	"fmt"
	"sync"

	"github.com/wellhead-io/wellhead/sdk"
)

const (
	// MaxOperation bounds one call of version 2, in bytes.
	MaxOperation = 32 << 10
	// MaxBody bounds the body of any call. It is Customer.io's bound on a batch.
	MaxBody = 500 << 10
	// maxOperations bounds the operations of a batch.
	maxOperations = 10_000
)

// Operation is a call of a batch: what would be the body of a call to Entity.
type Operation []byte

// Operations splits the body of a batch. Errors: *Error.
func Operations(body []byte) ([]Operation, error) {
	c := &call{raw: body}
	if err := c.read(); err != nil {
		return nil, err
	}
	batch := c.get("batch")
	switch {
	case batch.none():
		return nil, required("batch")
	case !batch.is('['):
		return nil, invalid("batch", "batch must be an array")
	}
	var out []Operation
	for op := range batch.elements() {
		if len(out) == maxOperations {
			return nil, &Error{ReasonTooMany, "batch", fmt.Sprintf("batch cannot have more than %d elements", maxOperations)}
		}
		out = append(out, Operation(op))
	}
	return out, nil
}

// Events returns what the operation says. Errors: *Error.
func (o Operation) Events() ([]sdk.Event, error) {
	if len(o) > MaxOperation {
		return nil, tooLong("", "the request cannot be larger than %d bytes", MaxOperation)
	}
	c := calls.Get().(*call)
	defer func() {
		clear(c.fields)
		*c = call{fields: c.fields[:0]}
		calls.Put(c)
	}()
	if err := c.use(value(o)); err != nil {
		return nil, err
	}
	if err := c.operation(); err != nil {
		return nil, err
	}
	return c.events, nil
}

// calls are kept for the next operation, since a batch has many.
var calls = sync.Pool{New: func() any { return &call{fields: make([]member, 0, 8)} }}

func (c *call) entity() *Error {
	if err := c.read(); err != nil {
		return err
	}
	return c.operation()
}

func (c *call) operation() *Error {
	typ, action := c.get("type"), c.get("action")
	if typ.none() && action.none() && !c.get("primary").none() && !c.get("secondary").none() {
		return c.merge() // Customer.io's own example of a merge has neither
	}
	if err := c.stamp(); err != nil {
		return err
	}
	var known map[string]func(*call) *Error
	switch string(typ) {
	case `"person"`:
		known = personActions
	case `"object"`:
		known = objectActions
	case `"delivery"`:
		known = deliveryActions
	default:
		if typ.none() {
			return required("type")
		}
		return invalid("type", "type must be person, object or delivery")
	}
	if action.none() {
		return required("action")
	}
	if action.is('"') {
		if f, ok := known[string(action.bytes())]; ok {
			return f(c)
		}
	}
	return invalid("action", "action is not one that %s takes", typ.bytes())
}

var personActions = map[string]func(*call) *Error{
	"identify":             (*call).personIdentify,
	"delete":               personEvent("User Deleted"),
	"suppress":             personEvent("User Suppressed"),
	"unsuppress":           personEvent("User Unsuppressed"),
	"event":                (*call).personHappening,
	"page":                 (*call).personHappening,
	"screen":               (*call).personHappening,
	"add_relationships":    personRelationships((*call).addToObject),
	"delete_relationships": personRelationships((*call).removeFromObject),
	"add_device":           (*call).personAddDevice,
	"delete_device":        (*call).personDeleteDevice,
	"merge":                (*call).merge,
}

var objectActions = map[string]func(*call) *Error{
	"identify":             (*call).objectIdentify,
	"identify_anonymous":   (*call).objectIdentify,
	"delete":               (*call).objectDelete,
	"add_relationships":    objectRelationships((*call).addToObject),
	"delete_relationships": objectRelationships((*call).removeFromObject),
}

var deliveryActions = map[string]func(*call) *Error{
	"event": (*call).deliveryEvent,
}

func (c *call) identified() (who, *Error) {
	id, err := onePerson("identifiers", c.get("identifiers"))
	return who{user: id}, err
}

func personEvent(event string) func(*call) *Error {
	return func(c *call) *Error {
		about, err := c.identified()
		if err != nil {
			return err
		}
		c.track(event, about, 0)
		c.end("}}")
		return nil
	}
}

func (c *call) personIdentify() *Error {
	about, err := c.identified()
	if err != nil {
		return err
	}
	if err := c.identify(about, c.get("attributes"), "attributes"); err != nil {
		return err
	}
	if list := c.get("cio_relationships"); !list.none() {
		return c.relationships(list, about, (*call).addToObject)
	}
	return nil
}

func (c *call) personHappening() *Error {
	about, err := c.identified()
	if err != nil {
		return err
	}
	return c.happening(about, c.get("action"), "attributes")
}

func personRelationships(f func(*call, who, object, value)) func(*call) *Error {
	return func(c *call) *Error {
		about, err := c.identified()
		if err != nil {
			return err
		}
		return c.relationships(c.get("cio_relationships"), about, f)
	}
}

func (c *call) personAddDevice() *Error {
	about, err := c.identified()
	if err != nil {
		return err
	}
	return c.device(about, c.get("device"), "token")
}

func (c *call) personDeleteDevice() *Error {
	about, err := c.identified()
	if err != nil {
		return err
	}
	token, err := deviceToken(c.get("device"), "token")
	if err != nil {
		return err
	}
	c.deviceDeleted(about, token)
	return nil
}

// objectIdentify writes what an object is, and who belongs to it.
func (c *call) objectIdentify() *Error {
	o, err := objectOf("identifiers", c.get("identifiers"))
	if err != nil {
		return err
	}
	attributes := c.get("attributes")
	if err := checkAttributes("attributes", attributes); err != nil {
		return err
	}
	var about who
	if id := c.get("anonymous_id"); !id.none() {
		if about.anonymous, err = identifier("anonymous_id", id); err != nil {
			return err
		}
	}
	c.begin("group", about, len(attributes))
	c.member("groupId", o.id)
	c.out = append(c.out, `,"traits":{`...)
	if o.typ != nil {
		c.member("objectTypeId", o.typ)
		c.rest(attributes, "objectTypeId")
	} else {
		c.rest(attributes)
	}
	c.end("}}")
	if list := c.get("cio_relationships"); !list.none() {
		return c.people(list, o, (*call).addToObject)
	}
	return nil
}

// objectDelete writes that an object is gone. It is about nobody, and the
// vendor's own form of the event asks for an anonymousId: it is the object's.
func (c *call) objectDelete() *Error {
	o, err := objectOf("identifiers", c.get("identifiers"))
	if err != nil {
		return err
	}
	c.track("Object Deleted", who{anonymous: o.id}, len(o.id))
	c.objectProperties(o)
	c.end("}}")
	return nil
}

func objectRelationships(f func(*call, who, object, value)) func(*call) *Error {
	return func(c *call) *Error {
		o, err := objectOf("identifiers", c.get("identifiers"))
		if err != nil {
			return err
		}
		return c.people(c.get("cio_relationships"), o, f)
	}
}

func (c *call) deliveryEvent() *Error {
	identifiers, attributes := c.get("identifiers"), c.get("attributes")
	switch {
	case identifiers.none():
		return required("identifiers")
	case identifiers.get("id").none():
		return required("identifiers.id")
	case attributes.none():
		return required("attributes")
	case !attributes.is('{'):
		return invalid("attributes", "attributes must be a hash")
	case attributes.get("device_token").none():
		return required("attributes.device_token")
	}
	return c.delivery(report{
		delivery: identifiers.get("id"), metric: c.get("name"), recipient: attributes.get("device_token"),
		metricField: "name", other: attributes, but: []string{"device_token"},
	})
}
