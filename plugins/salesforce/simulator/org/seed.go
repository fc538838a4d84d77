package org

import (
	"embed"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

//go:embed testdata/*.json
var recorded embed.FS

// objects are those that are not recorded, and what the simulator itself needs
// of them.
var objects = []struct {
	name, prefix string
	fields       []Field
}{
	{"User", userPrefix, []Field{{Name: "Username", Type: "string", Length: 80}, {Name: "LastName", Type: "string", Length: 80},
		{Name: "FirstName", Type: "string", Length: 40}, {Name: "Name", Type: "string", Length: 121}, {Name: "CompanyName", Type: "string", Length: 80},
		{Name: "Title", Type: "string", Length: 80}, {Name: "Email", Type: "email", Length: 128}, {Name: "Alias", Type: "string", Length: 8},
		{Name: "IsActive", Type: "boolean"}, {Name: "UserType", Type: "picklist", Length: 40}, {Name: "TimeZoneSidKey", Type: "picklist", Length: 40},
		{Name: "LastLoginDate", Type: "datetime"}, {Name: "ManagerId", Type: "reference", ReferenceTo: []string{"User"}, RelationshipName: "Manager"}}},
	{"Organization", "00D", []Field{{Name: "Name", Type: "string", Length: 80}, {Name: "Country", Type: "string", Length: 80},
		{Name: "OrganizationType", Type: "picklist", Length: 40}, {Name: "InstanceName", Type: "string", Length: 5}, {Name: "IsSandbox", Type: "boolean"},
		{Name: "TimeZoneSidKey", Type: "picklist", Length: 40}}},
	{"RecordType", "012", []Field{{Name: "Name", Type: "string", Length: 80}, {Name: "DeveloperName", Type: "string", Length: 80},
		{Name: "SobjectType", Type: "picklist", Length: 40}, {Name: "IsActive", Type: "boolean"}}},
}

// seed fills a new org.
func (o *Org) seed() {
	now := o.Now()
	for _, name := range []string{"Account", "Contact", "Lead", "Opportunity", "Case", "Event", "OpportunityContactRole", "Custom__c"} {
		meta, fields := readDescribe(name, "fields")
		if name == "Custom__c" {
			fields = append(fields, Field{Name: "OwnerId", Label: "Owner ID", Type: "reference", ReferenceTo: []string{"User"}, RelationshipName: "Owner"}.describe())
		}
		o.addTable(newShape(meta, fields, now))
	}
	for _, v := range objects {
		o.addTable(newShape(objectMeta(v.name, v.prefix), describes(v.fields), now))
	}
	o.seedGlobal(now)
	o.seedSetup()
	if !o.options.Empty {
		o.seedRows()
	}
}

// seedGlobal adds the objects that the recorded list names and of which no
// describe is recorded: they have the audit fields and no rows.
func (o *Org) seedGlobal(now time.Time) {
	_, all := readDescribe("global", "sobjects")
	for _, meta := range all {
		if _, known := o.tables[strings.ToLower(str(meta["name"]))]; !known {
			o.addTable(newShape(meta, nil, now))
		}
	}
}

func readDescribe(name, list string) (meta map[string]any, fields []map[string]any) {
	b, err := recorded.ReadFile("testdata/describe_" + name + ".json")
	if err == nil {
		err = json.Unmarshal(b, &meta)
	}
	entries, ok := meta[list].([]any)
	if err != nil || !ok {
		panic(fmt.Sprintf("org: testdata of %s: %v", name, err)) // embedded: never in a tested build
	}
	delete(meta, list)
	for _, e := range entries {
		m, _ := e.(map[string]any)
		fields = append(fields, m)
	}
	return meta, fields
}

func describes(fields []Field) []map[string]any {
	var out []map[string]any
	for _, f := range fields {
		out = append(out, f.describe())
	}
	return out
}

// objectMeta is the describe of an object that is not recorded.
func objectMeta(name, prefix string) map[string]any {
	custom := strings.HasSuffix(name, "__c")
	label := strings.ReplaceAll(strings.TrimSuffix(name, "__c"), "_", " ")
	return map[string]any{"name": name, "keyPrefix": prefix, "label": label, "labelPlural": label + "s", "custom": custom, "customSetting": false,
		"activateable": false, "createable": true, "deepCloneable": false, "deletable": true, "deprecatedAndHidden": false, "feedEnabled": false,
		"hasSubtypes": false, "isInterface": false, "isSubtype": false, "layoutable": true, "mergeable": false, "mruEnabled": false, "queryable": true,
		"replicateable": true, "retrieveable": true, "searchable": true, "triggerable": true, "undeletable": true, "updateable": true,
		"childRelationships": []any{}, "recordTypeInfos": []any{}, "supportedScopes": []any{}, "actionOverrides": []any{}, "namedLayoutInfos": []any{}}
}

func (o *Org) addTable(s *shape) {
	t := &table{shape: s, slots: len(s.fields)}
	o.tables[strings.ToLower(s.name)] = t
	if s.prefix != "" {
		o.prefixes[s.prefix] = t
	}
}

// load is Load of rows that are written here.
func (o *Org) load(object string, rows ...map[string]any) {
	if err := o.Load(object, len(rows), func(i int) map[string]any { return rows[i] }); err != nil {
		panic("org: seed of " + object + ": " + err.Error())
	}
}

func (o *Org) seedSetup() {
	o.load("User",
		map[string]any{"Username": AdminUsername, "FirstName": "Ada", "LastName": "Admin", "Email": "ada@simulator.example", "IsActive": true, "UserType": "Standard", "TimeZoneSidKey": "Europe/Berlin"},
		map[string]any{"Username": UserUsername, "FirstName": "Uma", "LastName": "User", "Email": "uma@simulator.example", "IsActive": true, "UserType": "Standard", "TimeZoneSidKey": "Europe/Berlin"})
	o.load("Organization", map[string]any{"Name": "Simulator", "Country": "DE", "OrganizationType": "Developer Edition", "InstanceName": "SIM1", "IsSandbox": false, "TimeZoneSidKey": "Europe/Berlin"})
	o.load("RecordType", map[string]any{"Name": "Household", "DeveloperName": "Household", "SobjectType": "Account", "IsActive": true})
}

// people are the contacts of the accounts, by turns, and then the leads.
var (
	companies = []string{"Acme, Inc.", "Globex", "Initech", "Umbrella", "Hooli"}
	people    = []string{"Grace Hopper", "Alan Turing", "Barbara Liskov", "Edsger Dijkstra", "Frances Allen", "Donald Knuth", "Radia Perlman",
		"Tony Hoare", "Katherine Johnson", "Niklaus Wirth", "Adele Goldberg", "Dennis Ritchie"}
)

func (o *Org) seedRows() {
	var accounts, contacts, leads, deals []map[string]any
	for i, name := range companies {
		accounts = append(accounts, map[string]any{"Name": name, "Industry": "Technology", "Website": fmt.Sprintf("https://%d.example", i),
			"AnnualRevenue": json.Number(fmt.Sprintf("%d00000.5", i+1)), "NumberOfEmployees": 10 * (i + 1), "BillingCity": "Berlin", "BillingCountry": "Germany"})
		deals = append(deals, map[string]any{"Name": name + " renewal", "AccountId": makeID("001", uint64(i+1)), "StageName": "Prospecting",
			"Amount": json.Number(fmt.Sprintf("%d000", i+1)), "CloseDate": "2027-01-31"})
	}
	for i, name := range people {
		first, last, _ := strings.Cut(name, " ")
		person := map[string]any{"FirstName": first, "LastName": last, "Email": strings.ToLower(first) + "@people.example", "Phone": fmt.Sprintf("+49 30 %06d", i)}
		if i < 2*len(companies) {
			person["AccountId"] = makeID("001", uint64(i%len(companies)+1))
			contacts = append(contacts, person)
			continue
		}
		person["Company"], person["Status"] = last+" Systems", "Open - Not Contacted"
		leads = append(leads, person)
	}
	o.load("Account", accounts...)
	o.load("Contact", contacts...)
	o.load("Lead", leads...)
	o.load("Opportunity", deals...)
	o.load("Custom__c", map[string]any{"Name": "A custom record", "CustomField__c": "its value"})
}
