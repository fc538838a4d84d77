package org

import (
	"slices"
	"strings"
	"time"
)

// Values are nil, string, bool, int, int64, float64, json.Number or time.Time;
// the audit fields are the org's to set. Errors are *Failure, with the codes
// that an org's own answer has.

// Insert adds a row and says its id.
func (o *Org) Insert(object string, fields map[string]any) (id string, err error) {
	err = o.do(adminNumber, func(tx *Tx) error {
		id, err = tx.insert(object, fields)
		return err
	})
	return id, err
}

// Update changes a row. Its SystemModstamp moves even where all values are the
// same.
func (o *Org) Update(object, id string, fields map[string]any) error {
	return o.do(adminNumber, func(tx *Tx) error { return tx.update(object, id, fields) })
}

// UpdateAll changes rows alike in one transaction, of which Change Data Capture
// tells in one event with all their ids.
func (o *Org) UpdateAll(object string, ids []string, fields map[string]any) error {
	return o.do(adminNumber, func(tx *Tx) error {
		tx.joined = true
		for _, id := range ids {
			if err := tx.update(object, id, fields); err != nil {
				return err
			}
		}
		return nil
	})
}

// Delete moves a row into the recycle bin. Unlike an org it leaves children
// where they are.
func (o *Org) Delete(object, id string) error {
	return o.do(adminNumber, func(tx *Tx) error { return tx.remove(object, id, "DELETE") })
}

// Undelete brings a row back from the recycle bin.
func (o *Org) Undelete(object, id string) error {
	return o.do(adminNumber, func(tx *Tx) error { return tx.remove(object, id, "UNDELETE") })
}

// HardDelete removes a row so that queryAll does not see it either; getDeleted
// still tells of it.
func (o *Org) HardDelete(object, id string) error {
	return o.do(adminNumber, func(tx *Tx) error { return tx.remove(object, id, "PURGE") })
}

// Merge moves the losers into the recycle bin with MasterRecordId set to master,
// and what refers to them over to it.
func (o *Org) Merge(object, master string, losers ...string) error {
	return o.do(adminNumber, func(tx *Tx) error {
		t, err := o.table(object)
		if err != nil {
			return err
		}
		f, ok := t.byName["masterrecordid"]
		if !ok {
			return failure("INVALID_OPERATION", t.name+" cannot be merged")
		}
		if err := tx.set(object, master, nil); err != nil {
			return err
		}
		moved := map[string]bool{}
		for _, id := range losers {
			if err := tx.set(object, id, map[*field][]byte{f: quote(master)}); err != nil {
				return err
			}
			if err := tx.remove(object, id, "DELETE"); err != nil {
				return err
			}
			moved[id] = true
		}
		return tx.reparent(t.name, master, moved)
	})
}

// reparent lets what refers to one of moved refer to master.
func (tx *Tx) reparent(object, master string, moved map[string]bool) error {
	for _, t := range tx.org.tables {
		for _, f := range t.fields {
			if f.system != stored || len(f.targets) == 0 || f.targets[0] != object || f.name == "MasterRecordId" {
				continue
			}
			for i := range t.rows {
				if t.rows[i].state != live || !moved[string(text(one(t.rows[i].data, f.slot)))] {
					continue
				}
				if err := tx.set(t.name, t.id(uint64(i+1)), map[*field][]byte{f: quote(master)}); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// Conversion is what a lead became.
type Conversion struct {
	AccountID     string `json:"accountId"`
	ContactID     string `json:"contactId"`
	OpportunityID string `json:"opportunityId"`
}

// ConvertLead makes an account, a contact and an opportunity of a lead, all in
// one transaction.
func (o *Org) ConvertLead(lead string) (Conversion, error) {
	var c Conversion
	err := o.do(adminNumber, func(tx *Tx) (err error) {
		was, ok := o.get("Lead", lead)
		if !ok || was["IsDeleted"] == true || was["IsConverted"] == true {
			return failure("CANNOT_UPDATE_CONVERTED_LEAD", "cannot convert lead: "+lead)
		}
		if c.AccountID, err = tx.insert("Account", map[string]any{"Name": was["Company"]}); err != nil {
			return err
		}
		contact := map[string]any{"AccountId": c.AccountID}
		for _, k := range []string{"FirstName", "LastName", "Salutation", "Title", "Email", "Phone", "MobilePhone", "LeadSource"} {
			contact[k] = was[k]
		}
		if c.ContactID, err = tx.insert("Contact", contact); err != nil {
			return err
		}
		today := o.Now()
		if c.OpportunityID, err = tx.insert("Opportunity", map[string]any{"Name": str(was["Company"]) + "-", "AccountId": c.AccountID,
			"StageName": "Prospecting", "CloseDate": today.Add(90 * 24 * time.Hour)}); err != nil {
			return err
		}
		return tx.update("Lead", lead, map[string]any{"IsConverted": true, "ConvertedDate": today, "ConvertedAccountId": c.AccountID,
			"ConvertedContactId": c.ContactID, "ConvertedOpportunityId": c.OpportunityID, "Status": "Closed - Converted"})
	})
	return c, err
}

// SetFormula changes values as a formula's or a roll-up's change: neither does
// SystemModstamp move, nor does Change Data Capture tell.
func (o *Org) SetFormula(object, id string, fields map[string]any) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	t, err := o.table(object)
	if err != nil {
		return err
	}
	n, r := t.at(id)
	if r == nil || r.state == gone {
		return failure("NOT_FOUND", "no such record: "+id)
	}
	values := make(map[*field][]byte, len(fields))
	if err := t.encodeStored(fields, func(f *field, raw []byte) { values[f] = raw }); err != nil {
		return err
	}
	if err := o.keep(entry{At: o.Now(), Writes: []keptWrite{{Object: t.name, N: n, Kind: "FORMULA", Values: keptValues(values)}}}); err != nil {
		return err
	}
	t.merge(r, values, &Change{})
	return nil
}

// encodeStored gives out the stored form of each field.
func (t *table) encodeStored(fields map[string]any, out func(*field, []byte)) error {
	for name, v := range fields {
		f, ok := t.byName[strings.ToLower(name)]
		if !ok || f.system != stored {
			return failure("INVALID_FIELD", "No such column '"+name+"' on sobject of type "+t.name)
		}
		raw, err := encode(f, v)
		if err != nil {
			return err
		}
		out(f, raw)
	}
	return nil
}

// Load adds n rows that were there before anyone looked: there are no change
// events of them, what is required may be missing, and their CreatedDate,
// LastModifiedDate and SystemModstamp may be given as time.Time. It holds the
// org still.
func (o *Org) Load(object string, n int, fields func(i int) map[string]any) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	t, err := o.table(object)
	if err != nil {
		return err
	}
	now := o.Now().Unix()
	owner, name := t.byName["ownerid"], t.byName["name"]
	admin := quote(makeID(userPrefix, adminNumber))
	t.rows = slices.Grow(t.rows, n)
	all := make([][]byte, t.slots)
	for i := range n {
		given := fields(i)
		r := row{state: live, created: now, modified: now, stamp: now, createdBy: adminNumber, modifiedBy: adminNumber}
		for name, at := range map[string]*int64{"CreatedDate": &r.created, "LastModifiedDate": &r.modified, "SystemModstamp": &r.stamp} {
			if when, ok := given[name].(time.Time); ok {
				*at = when.Unix()
				delete(given, name)
			}
		}
		clear(all)
		if err := t.encodeStored(given, func(f *field, raw []byte) { all[f.slot] = raw }); err != nil {
			return err
		}
		if owner != nil && all[owner.slot] == nil {
			all[owner.slot] = admin
		}
		if full := t.fullName(all); full != nil {
			all[name.slot] = full
		}
		r.data = pack(all)
		t.rows = append(t.rows, r)
	}
	return nil
}

// Get is a row as it is, whoever may see it: every field in its REST form,
// numbers as json.Number, nil for null. Rows of the recycle bin are there, with
// IsDeleted true.
func (o *Org) Get(object, id string) (fields map[string]any, ok bool) {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return o.get(object, id)
}

func (o *Org) get(object, id string) (map[string]any, bool) {
	t, err := o.table(object)
	if err != nil {
		return nil, false
	}
	n, r := t.at(id)
	if r == nil || r.state == gone || r.state == pending {
		return nil, false
	}
	out := map[string]any{}
	for _, f := range t.fields {
		if f.system != compound {
			out[f.name] = decode(t.value(f, n, r))
			continue
		}
		out[f.name] = decode(t.compound(nil, f, n, r))
	}
	return out, true
}

// IDs are those of an object's live rows, in their order.
func (o *Org) IDs(object string) []string {
	o.mu.RLock()
	defer o.mu.RUnlock()
	t, err := o.table(object)
	if err != nil {
		return nil
	}
	var out []string
	for i := range t.rows {
		if t.rows[i].state == live {
			out = append(out, t.id(uint64(i+1)))
		}
	}
	return out
}
