package gate

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"
	"unicode/utf8"

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
	in         *Input
	work       *workspace
	receivedAt time.Time
	call       event.Type        // empty: unknown
	broken     []event.Violation // of bounds and the common spec: always refuses
	planned    []event.Violation // of the tracking plan: as the source wishes
}

func (j *judgement) run() Result {
	if limit := j.source.gate.options.MaxEvent; len(j.in.Claim) > limit {
		return j.refuseOversize(limit)
	}
	j.judge()
	switch {
	case len(j.broken) > 0 || len(j.in.Own) > 0:
		return j.refuse(Quarantined)
	case len(j.planned) == 0 || j.source.policy == Deliver:
		return j.accept()
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
	m := s.members[memberType]
	if m.Kind == text {
		name := s.value(memberType)
		for _, t := range event.Types {
			if string(name) == string(t) {
				j.call = t
				return true
			}
		}
	}
	v := event.Violation{Code: event.CodeUnknownType, Path: "/type"}
	switch m.Kind {
	case absent:
		v.Message = "type is missing"
	case text:
		v.Message = fmt.Sprintf("type %.100q is none of identify, track, page, screen, group, alias", s.value(memberType))
	default:
		v.Message = fmt.Sprintf("type is %v; it must be a string", m.Kind)
	}
	j.broken = append(j.broken, v)
	return false
}

// judgeIDs holds that the event is about somebody or something. A group is
// something, and so is the group of an event; an alias names two people.
func (j *judgement) judgeIDs(s *scanner) {
	switch {
	case s.filled(memberUserID), s.filled(memberAnonymousID):
		return
	case (j.call == event.Group || j.call == event.Track) && s.filled(memberGroupID):
		return
	case j.call == event.Alias && s.filled(memberPreviousID):
		return
	case s.members[memberUserID].Kind == text && s.members[memberTraitsEmail].Kind == text && s.filled(memberTraitsEmail):
		return // as at Customer.io: the email is the id
	}
	j.broken = append(j.broken, event.Violation{
		Code: event.CodeNoID, Message: "no id: userId and anonymousId are missing or empty",
	})
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
func (j *judgement) accept() Result {
	s, e := &j.work.scan, &j.work.edits
	e.reset(s)
	id, own := j.messageID()
	if !own {
		e.setText(memberMessageID, id)
	}
	if e.setTimes(j.in.SentAt, j.receivedAt) {
		j.source.counts.absurd.Add(1)
	}
	e.set(memberSourceID, func(to []byte) []byte { return append(to, j.source.quoted...) })
	if len(j.planned) > 0 {
		e.setViolations(deliverable(j.planned))
		j.source.counts.delivered.Add(1)
	}
	j.source.counts.accepted.Add(1)
	return Result{Envelope: event.Envelope{
		Source:     j.source.id,
		Type:       j.call,
		MessageID:  id,
		ReceivedAt: j.receivedAt,
		JSON:       e.apply(),
		Group:      j.in.Group,
		Attachment: j.in.Attachment,
	}}
}

// messageID finds the event's id, and tells whether the event has it already.
func (j *judgement) messageID() (id string, own bool) {
	s := &j.work.scan
	if s.filled(memberMessageID) {
		switch s.members[memberMessageID].Kind {
		case text:
			return string(s.value(memberMessageID)), true
		case number:
			return string(s.value(memberMessageID)), false
		}
	}
	if j.in.MessageID != "" {
		return j.in.MessageID, false
	}
	return j.source.gate.options.NewID(), false
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
		id, _ := j.messageID()
		r.MessageID = clip(id, maxKeptID)
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
