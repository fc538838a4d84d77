package translate

import (
	"net/url"
	"strconv"
)

// person returns whom the path names.
func (c *call) person() (who, *Error) {
	id, err := pathIdentifier("id", c.params[0])
	return who{user: id}, err
}

// named reads the body of a call whose path names a person.
func (c *call) named() (who, *Error) {
	about, err := c.person()
	if err != nil {
		return about, err
	}
	return about, c.read()
}

func (c *call) customer() *Error {
	about, err := c.named()
	if err != nil {
		return err
	}
	if id := c.get("id"); id != nil && !id.none() {
		if _, err := identifier("id", id); err != nil {
			return err
		}
	}
	if err := c.identify(about, c.body, "attributes", "cio_relationships"); err != nil {
		return err
	}
	relations := c.get("cio_relationships")
	if relations.none() {
		return nil
	}
	return c.relate(about, relations)
}

// relate writes what cio_relationships of version 1 says.
func (c *call) relate(about who, relations value) *Error {
	if !relations.is('{') {
		return invalid("cio_relationships", "cio_relationships must be a hash")
	}
	switch action := relations.get("action"); string(action) {
	case `"add_relationships"`:
		return c.relationships(relations.get("relationships"), about, (*call).addToObject)
	case `"delete_relationships"`:
		return c.relationships(relations.get("relationships"), about, (*call).removeFromObject)
	default:
		if action.none() {
			return required("cio_relationships.action")
		}
		return invalid("cio_relationships.action", "cio_relationships.action must be add_relationships or delete_relationships")
	}
}

func (c *call) deleteCustomer() *Error { return c.bare("User Deleted") }
func (c *call) suppress() *Error       { return c.bare("User Suppressed") }
func (c *call) unsuppress() *Error     { return c.bare("User Unsuppressed") }

// bare is a call of which the path says everything.
func (c *call) bare(event string) *Error {
	about, err := c.person()
	if err != nil {
		return err
	}
	c.track(event, about, 0)
	c.end("}}")
	return nil
}

func (c *call) customerEvent() *Error {
	about, err := c.named()
	if err != nil {
		return err
	}
	if err := c.stamp(); err != nil {
		return err
	}
	return c.happening(about, c.get("type"), "data")
}

func (c *call) anonymousEvent() *Error {
	if err := c.read(); err != nil {
		return err
	}
	id := c.get("anonymous_id")
	if id.none() || string(id) == `""` { // an invitation: it is about the address that it goes to
		id = c.get("data").get("recipient")
	}
	var about who
	if !id.none() && string(id) != `""` {
		var err *Error
		if about.anonymous, err = identifier("anonymous_id", id); err != nil {
			return err
		}
	}
	if err := c.stamp(); err != nil {
		return err
	}
	return c.happening(about, c.get("type"), "data")
}

func (c *call) addDevice() *Error {
	about, err := c.named()
	if err != nil {
		return err
	}
	return c.device(about, c.get("device"), "id")
}

func (c *call) deleteDevice() *Error {
	about, err := c.person()
	if err != nil {
		return err
	}
	token := quote(c.params[1])
	if len(token) == len(`""`) {
		return invalid("device_id", "device_id cannot be an empty string")
	}
	c.deviceDeleted(about, token)
	return nil
}

func (c *call) mergeCustomers() *Error {
	if err := c.read(); err != nil {
		return err
	}
	return c.merge()
}

func (c *call) pushEvent() *Error {
	if err := c.read(); err != nil {
		return err
	}
	c.timestamp = timestampOf(c.get("timestamp"))
	return c.delivery(report{
		delivery: c.get("delivery_id"), metric: c.get("event"), recipient: c.get("device_id"),
		metricField: "event", other: c.body, but: []string{"delivery_id", "event", "device_id"},
	})
}

func (c *call) metric() *Error {
	if err := c.read(); err != nil {
		return err
	}
	c.timestamp = timestampOf(c.get("timestamp"))
	return c.delivery(report{
		delivery: c.get("delivery_id"), metric: c.get("metric"), recipient: c.get("recipient"),
		metricField: "metric", other: c.body, but: []string{"delivery_id"},
	})
}

func (c *call) submitForm() *Error {
	if err := c.read(); err != nil {
		return err
	}
	fields := c.get("data")
	if fields.none() {
		return required("data")
	}
	if !fields.is('{') {
		return invalid("data", "data must be a hash")
	}
	id := fields.get("id")
	if id.none() {
		id = fields.get("email")
	}
	if id.none() {
		return &Error{ReasonRequired, "data", "data must contain an id or an email"}
	}
	user, err := identifier("id", id)
	if err != nil {
		return err
	}
	about := who{user: user}
	if err := c.identify(about, fields, "data", "id"); err != nil {
		return err
	}
	c.track("Form Submitted", about, len(fields)+len(c.params[0]))
	c.member("formId", quote(c.params[0]))
	c.member("fields", fields)
	c.end("}}")
	return nil
}

func (c *call) addToSegment() *Error      { return c.segment("Segment Member Added") }
func (c *call) removeFromSegment() *Error { return c.segment("Segment Member Removed") }

func (c *call) segment(event string) *Error {
	number, notNumber := strconv.ParseUint(c.params[0], 10, 32)
	if notNumber != nil {
		return invalid("segment_id", "segment_id must be an integer")
	}
	query, _ := url.ParseQuery(c.query) // of a broken one, what could be read
	kind := query.Get("id_type")
	switch kind {
	case "":
		kind = "id"
	case "id", "email", "cio_id":
	default:
		return invalid("id_type", "id_type must be id, email or cio_id")
	}
	if err := c.read(); err != nil {
		return err
	}
	ids := c.get("ids")
	switch {
	case ids.none():
		return required("ids")
	case !ids.is('['):
		return invalid("ids", "ids must be an array")
	}
	for id := range ids.elements() {
		if len(c.events) == maxSegmentIDs {
			return &Error{ReasonTooMany, "ids", "ids cannot have more than 1000 elements"}
		}
		user, err := identifier("ids", id)
		if err != nil {
			return err
		}
		if kind == "cio_id" {
			user = cioID(user)
		}
		c.track(event, who{user: user}, 0)
		c.member("segmentId", strconv.AppendUint(nil, number, 10))
		c.member("idType", quote(kind))
		c.end("}}")
	}
	if len(c.events) == 0 {
		return invalid("ids", "ids cannot be empty")
	}
	return nil
}

func (c *call) unsubscribe() *Error {
	if err := c.read(); err != nil {
		return err
	}
	delivery, err := pathIdentifier("delivery_id", c.params[0])
	if err != nil {
		return err
	}
	event := "Unsubscribed"
	switch choice := c.get("unsubscribe"); string(choice) {
	case "", "null", "true", `"true"`:
	case "false", `"false"`:
		event = "Subscribed"
	default:
		return invalid("unsubscribe", "unsubscribe must be true or false")
	}
	c.track(event, who{anonymous: delivery}, len(delivery))
	c.member("deliveryId", delivery)
	c.end("}}")
	return nil
}
