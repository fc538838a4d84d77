package soql

import (
	"slices"
	"strconv"
	"strings"
)

const (
	// maxQuery is Salesforce's own bound on a statement, in characters.
	maxQuery = 100_000
	// maxDepth bounds how deep conditions nest.
	maxDepth = 200
)

// Parse reads one statement. Its error is an *Error.
func Parse(q string) (*Query, error) {
	if len(q) > maxQuery {
		return nil, &Error{"QUERY_TOO_COMPLICATED", "SOQL statement is longer than 100,000 characters", q, -1}
	}
	tokens, err := lex(q)
	if err != nil {
		return nil, err
	}
	p := &parser{query: q, tokens: tokens}
	out, err := p.statement()
	if err != nil {
		return nil, err
	}
	if p.peek().kind != end {
		return nil, unexpected(q, p.peek())
	}
	return out, nil
}

type parser struct {
	query  string
	tokens []token
	at     int
	depth  int
}

func (p *parser) peek() token { return p.tokens[p.at] }

func (p *parser) take() token {
	t := p.tokens[p.at]
	if t.kind != end {
		p.at++
	}
	return t
}

// accept takes the next token where it is this keyword or symbol.
func (p *parser) accept(s string) bool {
	if p.peek().is(s) {
		p.at++
		return true
	}
	return false
}

func (p *parser) expect(s string) error {
	if !p.accept(s) {
		return unexpected(p.query, p.peek())
	}
	return nil
}

// reserved cannot be the name of a field or an object.
var reserved = []string{"SELECT", "FROM", "WHERE", "AND", "OR", "NOT", "ORDER", "LIMIT", "OFFSET", "IN", "LIKE", "NULLS", "ASC", "DESC"}

func (p *parser) name() (Name, error) {
	t := p.peek()
	if t.kind != word || strings.ContainsRune(t.text, ':') || slices.ContainsFunc(reserved, t.is) {
		return Name{}, unexpected(p.query, t)
	}
	p.at++
	return Name{t.text, t.pos}, nil
}

func (p *parser) statement() (*Query, error) {
	q := &Query{Limit: -1, Offset: -1}
	if err := p.expect("SELECT"); err != nil {
		return nil, err
	}
	if err := p.list(q); err != nil {
		return nil, err
	}
	err := p.expect("FROM")
	if err != nil {
		return nil, err
	}
	if q.From, err = p.name(); err != nil {
		return nil, err
	}
	if p.accept("WHERE") {
		if q.Where, err = p.or(); err != nil {
			return nil, err
		}
	}
	if p.accept("ORDER") {
		if err := p.orderBy(q); err != nil {
			return nil, err
		}
	}
	if q.Limit, err = p.bound("LIMIT"); err != nil {
		return nil, err
	}
	if q.Offset, err = p.bound("OFFSET"); err != nil {
		return nil, err
	}
	return q, nil
}

func (p *parser) list(q *Query) error {
	for {
		item, err := p.item()
		if err != nil {
			return err
		}
		if item.Func == "COUNT" && item.Text == "" && len(q.Select) == 0 {
			q.Count = true
			return nil
		}
		q.Select = append(q.Select, item)
		if !p.accept(",") {
			return nil
		}
	}
}

func (p *parser) item() (Item, error) {
	n, err := p.name()
	if err != nil {
		return Item{}, err
	}
	if !p.peek().is("(") {
		return Item{Name: n}, nil
	}
	fn := strings.ToUpper(n.Text)
	if !slices.Contains([]string{"COUNT", "MIN", "MAX", "FIELDS"}, fn) {
		return Item{}, unexpected(p.query, p.peek())
	}
	p.at++
	if fn == "COUNT" && p.accept(")") {
		return Item{Func: fn, Name: Name{Pos: n.Pos}}, nil
	}
	arg, err := p.name()
	if err != nil {
		return Item{}, err
	}
	if err := p.expect(")"); err != nil {
		return Item{}, err
	}
	item := Item{Name: arg, Func: fn}
	if p.peek().kind == word && !p.peek().is("FROM") {
		item.Alias = p.take().text
	}
	return item, nil
}

func (p *parser) orderBy(q *Query) error {
	if err := p.expect("BY"); err != nil {
		return err
	}
	for {
		n, err := p.name()
		if err != nil {
			return err
		}
		o := Order{Name: n}
		if !p.accept("ASC") {
			o.Desc = p.accept("DESC")
		}
		if p.accept("NULLS") {
			if o.NullsLast = p.accept("LAST"); !o.NullsLast {
				if err := p.expect("FIRST"); err != nil {
					return err
				}
			}
		}
		q.OrderBy = append(q.OrderBy, o)
		if !p.accept(",") {
			return nil
		}
	}
}

func (p *parser) bound(keyword string) (int, error) {
	if !p.accept(keyword) {
		return -1, nil
	}
	t := p.take()
	n, err := strconv.Atoi(t.text)
	if t.kind != number || err != nil || n < 0 {
		return 0, unexpected(p.query, t)
	}
	return n, nil
}

func (p *parser) or() (Expr, error) {
	first, err := p.and()
	if err != nil || !p.peek().is("OR") {
		return first, err
	}
	out := Or{first}
	for p.accept("OR") {
		e, err := p.unary()
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	// Salesforce refuses AND beside OR without parentheses.
	if p.peek().is("AND") {
		return nil, unexpected(p.query, p.peek())
	}
	return out, nil
}

func (p *parser) and() (Expr, error) {
	first, err := p.unary()
	if err != nil || !p.peek().is("AND") {
		return first, err
	}
	out := And{first}
	for p.accept("AND") {
		e, err := p.unary()
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	if p.peek().is("OR") {
		return nil, unexpected(p.query, p.peek())
	}
	return out, nil
}

func (p *parser) unary() (Expr, error) {
	if p.depth++; p.depth > maxDepth {
		return nil, &Error{"MALFORMED_QUERY", "conditions are nested too deeply", p.query, p.peek().pos}
	}
	defer func() { p.depth-- }()
	if p.accept("NOT") {
		e, err := p.unary()
		return Not{e}, err
	}
	if p.accept("(") {
		e, err := p.or()
		if err != nil {
			return nil, err
		}
		return e, p.expect(")")
	}
	return p.compare()
}

func (p *parser) compare() (Expr, error) {
	n, err := p.name()
	if err != nil {
		return nil, err
	}
	c := &Compare{Field: n}
	t := p.take()
	switch {
	case t.is("NOT"):
		if err := p.expect("IN"); err != nil {
			return nil, err
		}
		c.Op = NotIn
	case t.is("<>"):
		c.Op = Ne
	case slices.ContainsFunc([]string{"=", "!=", "<", "<=", ">", ">=", "LIKE", "IN", "INCLUDES", "EXCLUDES"}, t.is):
		c.Op = Op(strings.ToUpper(t.text))
	default:
		return nil, unexpected(p.query, t)
	}
	if c.Op == In || c.Op == NotIn || c.Op == Includes || c.Op == Excludes {
		return c, p.values(c)
	}
	v, err := p.value()
	c.Values = []Value{v}
	return c, err
}

func (p *parser) values(c *Compare) error {
	if err := p.expect("("); err != nil {
		return err
	}
	for {
		v, err := p.value()
		if err != nil {
			return err
		}
		c.Values = append(c.Values, v)
		if !p.accept(",") {
			return p.expect(")")
		}
	}
}

func (p *parser) value() (Value, error) {
	t := p.take()
	switch t.kind {
	case text:
		return Value{String, t.text, t.pos}, nil
	case number:
		return Value{Number, t.text, t.pos}, nil
	case date:
		return Value{Date, t.text, t.pos}, nil
	case dateTime:
		return Value{DateTime, t.text, t.pos}, nil
	case word:
		switch {
		case t.is("null"):
			return Value{Null, "null", t.pos}, nil
		case t.is("true"), t.is("false"):
			return Value{Bool, strings.ToLower(t.text), t.pos}, nil
		case relative(t.text):
			return Value{Relative, strings.ToUpper(t.text), t.pos}, nil
		}
	}
	return Value{}, unexpected(p.query, t)
}

// relative knows the date literals that the simulator computes.
func relative(s string) bool {
	s = strings.ToUpper(s)
	base, n, counted := strings.Cut(s, ":")
	if counted {
		return n != "" && slices.Contains([]string{"LAST_N_DAYS", "NEXT_N_DAYS", "N_DAYS_AGO"}, base)
	}
	return slices.Contains([]string{"TODAY", "YESTERDAY", "TOMORROW"}, base)
}
