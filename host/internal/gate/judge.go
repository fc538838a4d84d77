package gate

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"
	"unicode/utf8"
	"unsafe"

	"github.com/wellhead-io/wellhead/host/internal/event"
	"github.com/wellhead-io/wellhead/host/internal/schema/fast"
)

// oversizeKept is how much of a claim over the limit a refusal keeps.
const oversizeKept = 64 << 10

// manyValues is from how many values on events are checked one at a time: a
// hostile one of the largest can take 100 MB meanwhile.
const manyValues = 5000

// maxKeptID and maxKeptTime bound, in bytes, what a refusal repeats of a claim
// outside of it.
const (
	maxKeptID   = 512
	maxKeptTime = 64
)

// maxDelivered is the most violations that context.violations lists.
const maxDelivered = 100

// judgement is the judging of one claim.
type judgement struct {
	source     *Source
	in         Input
	work       *workspace
	receivedAt time.Time
	call       event.Type        // empty: unknown
	broken     []event.Violation // of bounds and the common spec: always refuses
	planned    []event.Violation // of the tracking plan: as the source wishes
	out        []byte            // what the envelope's text is appended to
}

func (j *judgement) run() Result {
	if limit := j.source.gate.options.MaxEvent; len(j.in.Claim) > limit {
		return j.refuseOversize(limit)
	}
	if q := &j.work.quick; len(j.in.Own) == 0 && q.knows(j.source, j.in.Claim) {
		j.call = q.call
		return j.accept(&q.found)
	}
	j.judge()
	switch {
	case len(j.broken) > 0 || len(j.in.Own) > 0:
		return j.refuse(Quarantined)
	case len(j.planned) == 0 || j.source.policy == Deliver:
		return j.accept(&j.work.scan.found)
	case j.source.policy == Drop:
		return j.refuse(Dropped)
	}
	return j.refuse(Quarantined)
}

// judge finds all violations that can be found.
func (j *judgement) judge() {
	s := &j.work.scan
	kind := s.scan(j.in.Claim, j.source.gate.bounds)
	switch {
	case s.fault != "":
		j.broken = []event.Violation{{Code: event.CodeNotObject, Message: "not JSON: " + s.fault}}
		return
	case s.deep: // what follows was not read
		j.broken = s.broken()
		return
	case kind != object:
		j.broken = []event.Violation{{Code: event.CodeNotObject, Message: fmt.Sprintf("an event is an object, not %v", kind)}}
		return
	}
	j.broken = s.broken()
	known := j.judgeType(s)
	j.judgeIDs(s)
	j.judgeMessageID(s)
	if s.unsafe() {
		return
	}
	if s.values > manyValues {
		j.source.gate.crowd <- struct{}{}
		defer func() { <-j.source.gate.crowd }()
	}
	doc := &Document{Raw: s.raw[s.begin:s.end]}
	j.broken = append(j.broken, j.source.gate.checkers[j.call].Check(doc)...)
	if known && j.source.plan != nil {
		j.planned = j.source.plan.check(j.call, s, doc)
	}
}

// judgeType finds the event's type.
func (j *judgement) judgeType(s *scanner) (known bool) {
	if j.call, known = s.call(); known {
		return true
	}
	v := event.Violation{Code: event.CodeUnknownType, Path: "/type"}
	switch kind := s.members[memberType].Kind; kind {
	case absent:
		v.Message = "type is missing"
	case text:
		v.Message = fmt.Sprintf("type %.100q is none of identify, track, page, screen, group, alias", s.value(memberType))
	default:
		v.Message = fmt.Sprintf("type is %v; it must be a string", kind)
	}
	j.broken = append(j.broken, v)
	return false
}

// call tells the event's type.
func (f *found) call() (call event.Type, known bool) {
	if f.members[memberType].Kind == text {
		name := f.value(memberType)
		for _, t := range event.Types {
			if string(name) == string(t) {
				return t, true
			}
		}
	}
	return "", false
}

func (j *judgement) judgeIDs(s *scanner) {
	if !s.identified(j.call) {
		j.broken = append(j.broken, event.Violation{
			Code: event.CodeNoID, Message: "no id: userId and anonymousId are missing or empty",
		})
	}
}

// identified tells whether the event is about somebody or something. A group is
// something, and so is the group of an event; an alias names two people.
func (f *found) identified(call event.Type) bool {
	switch {
	case f.filled(memberUserID), f.filled(memberAnonymousID):
		return true
	case (call == event.Group || call == event.Track) && f.filled(memberGroupID):
		return true
	case call == event.Alias && f.filled(memberPreviousID):
		return true
	}
	// As at Customer.io, the email is the id.
	return f.members[memberUserID].Kind == text && f.members[memberTraitsEmail].Kind == text && f.filled(memberTraitsEmail)
}

// judgeMessageID holds that different ids stay different once they are unescaped.
// Elsewhere half a surrogate pair is let through, as browsers send it where
// they have cut a text.
func (j *judgement) judgeMessageID(s *scanner) {
	m := s.members[memberMessageID]
	if m.Kind == text && m.Escaped && fast.Halved(s.raw[m.Start:m.End]) {
		j.broken = append(j.broken, event.Violation{
			Code: event.CodeSchema, Path: "/messageId",
			Message: "half of a surrogate pair is no character, and an id must be text",
		})
	}
}

// accept makes the envelope.
func (j *judgement) accept(f *found) Result {
	e := &j.work.edits
	e.reset(f)
	var id string
	own := f.namesItself()
	if !own {
		id = j.givenID(f)
		e.setText(memberMessageID, id)
	}
	if e.setTimes(j.in.SentAt, j.receivedAt) {
		j.source.counts.absurd.Add(1)
	}
	e.setJSON(memberSourceID, j.source.quoted)
	if len(j.planned) > 0 {
		e.setViolations(deliverable(j.planned))
		j.source.counts.delivered.Add(1)
	}
	j.source.counts.accepted.Add(1)
	first := len(j.out)
	j.out = e.apply(j.out)
	made := j.out[first:len(j.out):len(j.out)]
	if own {
		if m := f.members[memberMessageID]; m.Escaped {
			id = string(f.value(memberMessageID))
		} else {
			id = unsafe.String(&made[e.moved(m.Start)], m.End-m.Start) //nolint:gosec // as Envelope says, it is good as long as JSON is
		}
	}
	return Result{Envelope: event.Envelope{
		Source:     j.source.id,
		Type:       j.call,
		MessageID:  id,
		ReceivedAt: j.receivedAt,
		JSON:       made,
		Group:      j.in.Group,
		Attachment: j.in.Attachment,
	}}
}

// namesItself tells whether the event has an id that is text already.
func (f *found) namesItself() bool {
	return f.members[memberMessageID].Kind == text && f.filled(memberMessageID)
}

// givenID finds the id of an event that does not name itself.
func (j *judgement) givenID(f *found) string {
	switch {
	case f.members[memberMessageID].Kind == number:
		return string(f.value(memberMessageID))
	case j.in.MessageID != "":
		return j.in.MessageID
	}
	return j.source.gate.options.NewID()
}

// refuse makes the refusal.
func (j *judgement) refuse(action Action) Result {
	s := &j.work.scan
	all := append(append(j.broken, j.planned...), j.in.Own...)
	claim := j.in.Claim
	r := &event.Refusal{
		Source:     j.source.id,
		ReceivedAt: j.receivedAt,
		SentAt:     j.in.SentAt,
		Claim:      claim,
		Size:       len(claim),
		Hash:       hashOf(claim),
		Violations: all,
		Attachment: j.in.Attachment,
	}
	if s.fault == "" && s.raw[s.begin] == '{' {
		if s.namesItself() {
			r.MessageID = clip(string(s.value(memberMessageID)), maxKeptID)
		} else {
			r.MessageID = clip(j.givenID(&s.found), maxKeptID)
		}
		if s.members[memberSentAt].Kind == text {
			r.SentAt = clip(string(s.value(memberSentAt)), maxKeptTime)
		}
	}
	j.source.counts.refuse(all[0].Code, action)
	return Result{Refusal: r, Action: action}
}

// refuseOversize refuses a claim over the limit. It is read only for what names
// it.
func (j *judgement) refuseOversize(limit int) Result {
	j.broken = []event.Violation{{
		Code: event.CodeTooLarge, Message: fmt.Sprintf("event of %d bytes; at most %d are allowed", len(j.in.Claim), limit),
	}}
	b := j.source.gate.bounds
	b.anyNames = true // to remember them all could take more memory than the claim
	j.work.scan.scan(j.in.Claim, b)
	result := j.refuse(Quarantined)
	result.Refusal.Claim = bytes.Clone(j.in.Claim[:min(oversizeKept, len(j.in.Claim))])
	return result
}

// deliverable writes violations as a JSON array.
func deliverable(vs []event.Violation) []byte {
	if len(vs) > maxDelivered {
		more := len(vs) - (maxDelivered - 1)
		vs = append(vs[:maxDelivered-1:maxDelivered-1], event.Violation{
			Code: event.CodePlan, Message: fmt.Sprintf("and at least %d more violations", more),
		})
	}
	return asJSON(vs)
}

func hashOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// clip cuts s to at most limit bytes, never within a character.
func clip(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}
