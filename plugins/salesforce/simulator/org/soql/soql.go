// Package soql parses the part of the Salesforce Object Query Language that
// programs which read an org use: one object's fields with paths to parents,
// COUNT, MIN and MAX over the whole, WHERE, ORDER BY, LIMIT and OFFSET. It knows
// the language, not the org: whether an object or a field exists is the
// caller's question, for which each name keeps its position.
//
// Left out, and refused as a token that was not expected: GROUP BY, TYPEOF,
// child subqueries and semi-joins.
package soql

import (
	"fmt"
	"strings"
)

// Query is one parsed statement.
type Query struct {
	// Count is true of SELECT COUNT(), which has no Select.
	Count  bool
	Select []Item
	From   Name
	// Where is nil when the statement has none.
	Where   Expr
	OrderBy []Order
	// Limit and Offset are -1 when the statement has none.
	Limit, Offset int
}

// Name is an identifier, or several with dots between them, as written.
type Name struct {
	Text string
	// Pos is where it starts in the statement, in bytes from 0.
	Pos int
}

// Path is the name's parts.
func (n Name) Path() []string { return strings.Split(n.Text, ".") }

// Item is one entry of SELECT.
type Item struct {
	Name
	// Func is COUNT, MIN, MAX, FIELDS or "" for a plain field.
	Func string
	// Alias is the column's name in an aggregate's answer, "" when none is given.
	Alias string
}

// Order is one entry of ORDER BY.
type Order struct {
	Name
	Desc bool
	// NullsLast is false by default, whichever the direction.
	NullsLast bool
}

// Expr is a condition: And, Or, Not or *Compare.
type Expr interface{ expr() }

type (
	// And holds where all of its conditions do.
	And []Expr
	// Or holds where one of its conditions does.
	Or []Expr
	// Not holds where its condition does not.
	Not struct{ Of Expr }
	// Compare holds a field against one value, or against several for IN,
	// NOT IN, INCLUDES and EXCLUDES.
	Compare struct {
		Field  Name
		Op     Op
		Values []Value
	}
)

func (And) expr()      {}
func (Or) expr()       {}
func (Not) expr()      {}
func (*Compare) expr() {}

// Op is a comparison's operator.
type Op string

// The operators, as a statement spells them; <> is read as !=.
const (
	Eq       Op = "="
	Ne       Op = "!="
	Lt       Op = "<"
	Le       Op = "<="
	Gt       Op = ">"
	Ge       Op = ">="
	Like     Op = "LIKE"
	In       Op = "IN"
	NotIn    Op = "NOT IN"
	Includes Op = "INCLUDES"
	Excludes Op = "EXCLUDES"
)

// Kind is what a literal looks like.
type Kind int

// The kinds of literals. A Relative is a word such as TODAY or LAST_N_DAYS:7.
const (
	Null Kind = iota
	Bool
	Number
	String
	Date
	DateTime
	Relative
)

// Value is a literal: Text is a string's content without quotes and escapes,
// and what was written for all others (true and false in lower case, a relative
// date in upper case).
type Value struct {
	Kind Kind
	Text string
	Pos  int
}

// Error is a statement that does not parse, or one that the caller finds wrong
// at a position.
type Error struct {
	// Code is Salesforce's: MALFORMED_QUERY from this package.
	Code    string
	Message string
	// Query and Pos say where; Pos is -1 where there is no place to show.
	Query string
	Pos   int
}

// Error is the message as Salesforce prints it: the piece of the statement, a
// caret under the place, the place in words, and what is wrong (facts of a
// recorded answer: CumulusCI, test_count_sobjects__errors).
func (e *Error) Error() string {
	if e.Pos < 0 {
		return e.Message
	}
	const around = 40
	from, to := max(0, e.Pos-around), min(len(e.Query), e.Pos+around)
	row := 1 + strings.Count(e.Query[:e.Pos], "\n")
	column := e.Pos - strings.LastIndexByte(e.Query[:e.Pos], '\n')
	shown := strings.Map(func(r rune) rune {
		if r == '\n' || r == '\r' || r == '\t' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(e.Query[from:to], "?"))
	return fmt.Sprintf("\n%s\n%s^\nERROR at Row:%d:Column:%d\n%s", shown, strings.Repeat(" ", e.Pos-from), row, column, e.Message)
}
