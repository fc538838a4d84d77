package translate

import "strconv"

// identify writes who a person is. but names the members that are no
// attributes, beside those that never are.
func (c *call) identify(about who, attributes value, field string, but ...string) *Error {
	if !attributes.none() && !attributes.is('{') {
		return invalid(field, "%s must be a hash", field)
	}
	timed := c.timestamp != nil
	c.begin("identify", about, len(attributes))
	c.out = append(c.out, `,"traits":{`...)
	limit := limiter{field: field}
	var anonymous value
	if !attributes.none() {
		for m := range attributes.members() {
			switch {
			case m.named("anonymous_id"):
				anonymous = m.value
			case m.named("_timestamp"):
				if !timed {
					c.timestamp = timestampOf(m.value)
				}
			case m.named("_update"), oneOf(m, but):
			default:
				if err := limit.check(m); err != nil {
					return err
				}
				c.comma()
				c.out = append(c.out, m.whole...)
			}
		}
	}
	c.out = append(c.out, '}')
	if !anonymous.none() && string(anonymous) != `""` {
		id, err := identifier("anonymous_id", anonymous)
		if err != nil {
			return err
		}
		c.member("anonymousId", id)
	}
	if !timed && c.timestamp != nil {
		c.member("timestamp", c.timestamp)
	}
	c.end("}")
	return nil
}

// happening writes an event, a page or a screen. field names the member that
// has its data.
func (c *call) happening(about who, kind value, field string) *Error {
	data := c.get(field)
	if err := checkData(field, data); err != nil {
		return err
	}
	typ := "track"
	switch string(kind) {
	case `"page"`:
		typ = "page"
	case `"screen"`:
		typ = "screen"
	}
	name, err := eventName(c.get("name"), typ != "track")
	if err != nil {
		return err
	}
	c.begin(typ, about, len(name)+len(data))
	if typ == "track" {
		c.member("event", name)
	} else {
		c.member("name", name)
	}
	c.object("properties", data)
	c.end("}")
	return nil
}

// device writes that somebody has a device. key names its token.
func (c *call) device(about who, device value, key string) *Error {
	token, err := deviceToken(device, key)
	if err != nil {
		return err
	}
	platform := device.get("platform")
	switch {
	case platform.none() || string(platform) == `""`:
		return required("device.platform")
	case !platform.is('"'):
		return invalid("device.platform", "device.platform must be a string value")
	}
	attributes := device.get("attributes")
	if !attributes.none() && !attributes.is('{') {
		return invalid("device.attributes", "device.attributes must be a hash")
	}
	c.begin("track", about, len(device))
	c.out = append(c.out, `,"event":"Device Created or Updated","context":{"device":{`...)
	c.member("token", token)
	c.member("type", platform)
	c.rest(device, key, "token", "platform", "type", "attributes")
	c.out = append(c.out, `}}`...)
	c.object("properties", attributes)
	c.end("}")
	return nil
}

func deviceToken(device value, key string) (value, *Error) {
	if device.none() {
		return nil, required("device")
	}
	if !device.is('{') {
		return nil, invalid("device", "device must be a hash")
	}
	token, field := device.get(key), "device."+key
	switch {
	case token.none():
		return nil, required(field)
	case !token.is('"'):
		return nil, invalid(field, "%s must be a string value", field)
	case len(token) == len(`""`):
		return nil, invalid(field, "%s cannot be an empty string", field)
	}
	return token, nil
}

func (c *call) deviceDeleted(about who, token value) {
	c.begin("track", about, len(token))
	c.out = append(c.out, `,"event":"Device Deleted","context":{"device":{`...)
	c.member("token", token)
	c.end(`}},"properties":{}}`)
}

// merge writes that two people are one.
func (c *call) merge() *Error {
	primary, err := onePerson("primary", c.get("primary"))
	if err != nil {
		return err
	}
	secondary, err := onePerson("secondary", c.get("secondary"))
	if err != nil {
		return err
	}
	c.begin("alias", who{user: primary}, len(secondary))
	c.member("previousId", secondary)
	c.end("}")
	return nil
}

// onePerson returns whom identifiers name, as a JSON string. There is exactly
// one of them.
func onePerson(field string, identifiers value) (value, *Error) {
	if identifiers.none() {
		return nil, required(field)
	}
	if !identifiers.is('{') {
		return nil, invalid(field, "%s must be a hash", field)
	}
	var found value
	var kind string
	for m := range identifiers.members() {
		if m.value.none() || !oneOf(m, []string{"id", "email", "phone", "cio_id"}) {
			continue
		}
		if kind != "" && kind != string(m.name) {
			return nil, invalid(field, "%s must contain only one of id, email, phone and cio_id", field)
		}
		found, kind = m.value, string(m.name)
	}
	if kind == "" {
		return nil, &Error{ReasonRequired, field, field + " must contain id, email, phone or cio_id"}
	}
	id, err := identifier(kind, found)
	if err != nil {
		err.Field = field + "." + kind
		return nil, err
	}
	if kind == "cio_id" {
		id = cioID(id)
	}
	return id, nil
}

// cioID returns Customer.io's own id of a person in the form in which version 1
// takes it among other ids: cio_ before it.
func cioID(id value) value {
	return append(value(`"cio_`), id[1:]...)
}

// object names an object by JSON strings.
type object struct{ id, typ value } // typ is nil where Customer.io's own id names it

// objectOf returns the object that identifiers name.
func objectOf(field string, identifiers value) (object, *Error) {
	if identifiers.none() {
		return object{}, required(field)
	}
	if !identifiers.is('{') {
		return object{}, invalid(field, "%s must be a hash", field)
	}
	var o object
	var err *Error
	if own := identifiers.get("cio_object_id"); !own.none() {
		o.id, err = identifier("cio_object_id", own)
	} else if o.id, err = identifier("object_id", identifiers.get("object_id")); err == nil {
		o.typ, err = identifier("object_type_id", identifiers.get("object_type_id"))
	}
	if err != nil {
		err.Field = field + "." + err.Field
	}
	return o, err
}

// typeNumber returns the object's type as a track call has it: a number where
// it is one.
func (o object) typeNumber() value {
	if n, err := strconv.ParseUint(o.typ.text(), 10, 32); err == nil {
		return strconv.AppendUint(nil, n, 10)
	}
	return o.typ
}

// maxRelationships bounds the events of one call, within what fits into it.
const maxRelationships = 2000

// relationships calls f with each element of a list of relationships of
// somebody with objects.
func (c *call) relationships(list value, about who, f func(*call, who, object, value)) *Error {
	return c.eachRelationship(list, func(identifiers, attributes value) *Error {
		o, err := objectOf("cio_relationships.identifiers", identifiers)
		if err == nil {
			f(c, about, o, attributes)
		}
		return err
	})
}

// people calls f with each element of a list of relationships of an object
// with people. An anonymous person may be named by its anonymous_id.
func (c *call) people(list value, o object, f func(*call, who, object, value)) *Error {
	return c.eachRelationship(list, func(identifiers, attributes value) *Error {
		about := who{}
		var err *Error
		const field = "cio_relationships.identifiers"
		if id := identifiers.get("anonymous_id"); !id.none() {
			about.anonymous, err = identifier(field+".anonymous_id", id)
		} else {
			about.user, err = onePerson(field, identifiers)
		}
		if err == nil {
			f(c, about, o, attributes)
		}
		return err
	})
}

func (c *call) eachRelationship(list value, f func(identifiers, attributes value) *Error) *Error {
	if list.none() {
		return required("cio_relationships")
	}
	if !list.is('[') {
		return invalid("cio_relationships", "cio_relationships must be an array")
	}
	count := 0
	for r := range list.elements() {
		if !r.is('{') {
			return invalid("cio_relationships", "a relationship must be a hash")
		}
		if count++; count > maxRelationships {
			return &Error{ReasonTooMany, "cio_relationships", "cio_relationships cannot have more than 2000 elements"}
		}
		attributes := r.get("relationship_attributes")
		if err := checkAttributes("relationship_attributes", attributes); err != nil {
			return err
		}
		if err := f(r.get("identifiers"), attributes); err != nil {
			return err
		}
	}
	return nil
}

// addToObject writes that somebody belongs to an object.
func (c *call) addToObject(about who, o object, attributes value) {
	c.begin("group", about, len(o.id)+len(o.typ)+len(attributes))
	c.member("groupId", o.id)
	c.out = append(c.out, `,"traits":{`...)
	if o.typ != nil {
		c.member("objectTypeId", o.typ)
	}
	if !attributes.none() {
		c.member("relationshipAttributes", attributes)
	}
	c.end("}}")
}

// removeFromObject writes that somebody no longer belongs to an object.
func (c *call) removeFromObject(about who, o object, _ value) {
	c.track("Relationship Deleted", about, len(o.id)+len(o.typ))
	c.objectProperties(o)
	c.end("}}")
}

func (c *call) objectProperties(o object) {
	c.member("objectId", o.id)
	if o.typ != nil {
		c.member("objectTypeId", o.typeNumber())
	}
}

// report is what became of a delivery, as one of the endpoints says it.
type report struct {
	delivery, metric, recipient value
	metricField                 string
	other                       value    // an object whose members go with it
	but                         []string // those of its members that are said already
}

// delivery writes what became of a delivery. The person is not named, and the
// common spec asks for an id: it is the delivery's, as in the vendor's apps.
func (c *call) delivery(r report) *Error {
	delivery, err := identifier("delivery_id", r.delivery)
	if err != nil {
		return err
	}
	switch {
	case r.metric.none() || string(r.metric) == `""`:
		return required(r.metricField)
	case !r.metric.is('"'):
		return invalid(r.metricField, "%s must be a string value", r.metricField)
	}
	c.track("Report Delivery Event", who{anonymous: delivery}, len(delivery)+len(r.other))
	c.member("deliveryId", delivery)
	c.member("metric", r.metric)
	if !r.recipient.none() {
		c.member("recipient", r.recipient)
	}
	c.rest(r.other, append(r.but, "timestamp", "deliveryId", "metric", "recipient")...)
	c.end("}}")
	return nil
}
