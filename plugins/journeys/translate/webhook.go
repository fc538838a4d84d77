package translate

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/wellhead-io/wellhead/sdk"
)

// Report returns what a reporting webhook says as a track call. What is no
// such webhook becomes what the host refuses and keeps: a webhook that is
// signed is never turned away, since all later ones would wait for it.
func Report(body []byte) sdk.Event {
	v, err := check(body)
	if err != nil || !v.is('{') {
		return body
	}
	data := v.get("data")
	w := &writer{timestamp: timestampOf(v.get("timestamp"))}
	w.begin("track", recipientOf(data), len(v))
	if id := v.get("event_id"); id.is('"') {
		w.member("messageId", id)
	}
	if name := reportName(v.get("object_type"), v.get("metric")); name != "" {
		w.member("event", quote(name))
	}
	w.out = append(w.out, `,"properties":{`...)
	w.rest(data)
	for m := range v.members() {
		known := m.named("event_id") || m.named("timestamp") || m.named("data") && (data.none() || data.is('{'))
		if !known && data.get(string(m.name)) == nil {
			w.comma()
			w.out = append(w.out, m.whole...)
		}
	}
	w.end("}}")
	return w.events[0]
}

// recipientOf returns whom a webhook is about: the first that names a person,
// or else its delivery. customer_id comes last, since it may be an id of
// Customer.io's own.
func recipientOf(data value) who {
	if !data.is('{') {
		return who{}
	}
	identifiers := data.get("identifiers")
	if id := named(identifiers.get("id")); id != nil {
		return who{user: id}
	}
	if id := named(identifiers.get("email")); id != nil {
		return who{user: id}
	}
	if id := named(identifiers.get("cio_id")); id != nil {
		return who{user: cioID(id)}
	}
	if id := named(data.get("customer_id")); id != nil {
		return who{user: id}
	}
	return who{anonymous: named(data.get("delivery_id"))}
}

// named returns an id as a JSON string; nil where it names nobody.
func named(id value) value {
	switch {
	case id.is('0'):
		return quoted(id)
	case id.is('"') && len(id) > len(`""`):
		return id
	}
	return nil
}

var objectWords = map[string]string{
	"email":    "Email",
	"push":     "Push",
	"in_app":   "In-App",
	"sms":      "SMS",
	"slack":    "Slack",
	"webhook":  "Webhook",
	"whatsapp": "WhatsApp",
}

var metricWords = map[string]string{
	"clicked": "Link Clicked",
	"dropped": "Suppressed",
	"spammed": "Marked as Spam",
}

// reportName returns the name of a webhook's event: the words of its object
// and its metric. A metric that is new tomorrow has a name too. Empty: there
// is no metric.
func reportName(object, metric value) string {
	if !metric.is('"') || len(metric) == len(`""`) {
		return ""
	}
	what := metric.text()
	about := ""
	if object.is('"') {
		about = object.text()
	}
	switch {
	case what == "subscribed":
		return "Subscribed"
	case what == "unsubscribed" && about != "email":
		return "Unsubscribed"
	case what == "cio_subscription_preferences_changed":
		return "Subscription Preferences Changed"
	case what == "clicked" && about == "in_app":
		return "In-App Clicked"
	}
	return strings.TrimSpace(wordsOf(objectWords, about) + " " + wordsOf(metricWords, what))
}

func wordsOf(known map[string]string, name string) string {
	if words, ok := known[name]; ok {
		return words
	}
	words := strings.FieldsFunc(name, func(r rune) bool { return r == '_' })
	for i, w := range words {
		first, size := utf8.DecodeRuneInString(w)
		words[i] = string(unicode.ToUpper(first)) + w[size:]
	}
	return strings.Join(words, " ")
}
