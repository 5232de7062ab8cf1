package guest

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// The PowerShell of a simulated Windows: a small language of its own that understands the scripts provisioning tools
// send and what people write into templates. What it does not know it refuses, in PowerShell's words.

// psExpr gives a value, psStmt writes values to the context's output.
type (
	psExpr func(c *psCtx) any
	psStmt func(c *psCtx)
)

// psBlock is a script block, function or script.
type psBlock struct {
	params              []psParam
	begin, process, end []psStmt
	text                string
	vars                *psVars // scope of definition
}

type psParam struct {
	name string
	def  psExpr
	sw   bool
}

type psSyntaxError struct{ msg string }

type psParser struct {
	src   []rune
	pos   int
	depth int
}

func psParse(src string) (b *psBlock, err error) {
	p := &psParser{src: []rune(strings.TrimPrefix(strings.ReplaceAll(src, "\r\n", "\n"), "\ufeff"))}
	defer func() {
		if r := recover(); r != nil {
			se, ok := r.(psSyntaxError)
			if !ok {
				panic(r)
			}
			line := 1 + strings.Count(string(p.src[:min(p.pos, len(p.src))]), "\n")
			err = fmt.Errorf("at line:%d: %s", line, se.msg)
		}
	}()
	return p.block(0), nil
}

func (p *psParser) fail(format string, a ...any) { panic(psSyntaxError{fmt.Sprintf(format, a...)}) }

func (p *psParser) enter() func() {
	if p.depth++; p.depth > 500 {
		p.fail("nested too deeply")
	}
	return func() { p.depth-- }
}

func (p *psParser) peek() rune { return p.at(0) }

func (p *psParser) at(n int) rune {
	if p.pos+n < len(p.src) && p.pos+n >= 0 {
		return p.src[p.pos+n]
	}
	return 0
}

func (p *psParser) eof() bool { return p.pos >= len(p.src) }

// space skips blanks, comments and continued lines; with lines also newlines and semicolons.
func (p *psParser) space(lines bool) {
	for !p.eof() {
		switch c := p.peek(); {
		case c == ' ' || c == '\t' || c == '\r' || c == 0xa0:
			p.pos++
		case c == '`' && p.at(1) == '\n':
			p.pos += 2
		case c == '<' && p.at(1) == '#':
			for !p.eof() && !(p.peek() == '#' && p.at(1) == '>') {
				p.pos++
			}
			p.pos += 2
		case c == '#':
			for !p.eof() && p.peek() != '\n' {
				p.pos++
			}
		case lines && (c == '\n' || c == ';'):
			p.pos++
		default:
			return
		}
	}
}

func isWord(c rune) bool { return c == '_' || unicode.IsLetter(c) || unicode.IsDigit(c) }

// word looks at the bare word ahead.
func (p *psParser) word() string {
	i := p.pos
	for i < len(p.src) && (isWord(p.src[i]) || p.src[i] == '-' && i > p.pos) {
		i++
	}
	return string(p.src[p.pos:i])
}

func (p *psParser) accept(s string) bool {
	if strings.HasPrefix(strings.ToLower(string(p.src[p.pos:min(len(p.src), p.pos+len(s))])), s) {
		p.pos += len([]rune(s))
		return true
	}
	return false
}

func (p *psParser) expect(s string) {
	p.space(true)
	if !p.accept(s) {
		p.fail("Missing '%s' before %q.", s, string(p.src[p.pos:min(len(p.src), p.pos+12)]))
	}
}

// keyword takes a word if it is the given one.
func (p *psParser) keyword(s string) bool {
	if strings.EqualFold(p.word(), s) {
		p.pos += len(s)
		return true
	}
	return false
}

// block reads statements up to the closing character (0 for the end of the text).
func (p *psParser) block(end rune) *psBlock {
	defer p.enter()()
	start := p.pos
	b := &psBlock{}
	p.space(true)
	for strings.HasPrefix(string(p.src[p.pos:min(len(p.src), p.pos+8)]), "[Cmdlet") || strings.HasPrefix(strings.ToLower(string(p.src[p.pos:min(len(p.src), p.pos+9)])), "[outputty") {
		for !p.eof() && p.peek() != '\n' && p.peek() != ']' {
			p.pos++
		}
		p.pos++
		p.space(true)
	}
	if p.keyword("param") {
		p.space(true)
		b.params = p.params()
	}
	named := false
	for {
		p.space(true)
		if p.eof() || end != 0 && p.peek() == end {
			break
		}
		w := strings.ToLower(p.word())
		if w == "begin" || w == "process" || w == "end" {
			save := p.pos
			p.pos += len(w)
			p.space(true)
			if p.peek() == '{' {
				body := p.braces()
				switch w {
				case "begin":
					b.begin = body.end
				case "process":
					b.process = body.end
				default:
					b.end = body.end
				}
				named = true
				continue
			}
			p.pos = save
		}
		if named {
			p.fail("Unexpected token after a named block.")
		}
		b.end = append(b.end, p.statement())
	}
	b.text = strings.TrimSpace(string(p.src[start:p.pos]))
	return b
}

func (p *psParser) braces() *psBlock {
	p.expect("{")
	b := p.block('}')
	p.expect("}")
	return b
}

func (p *psParser) params() []psParam {
	p.expect("(")
	var out []psParam
	for {
		p.space(true)
		switch {
		case p.peek() == ')':
			p.pos++
			return out
		case p.eof():
			p.fail("Missing ')' in function parameter list.")
		case p.peek() == ',':
			p.pos++
			continue
		}
		sw := false
		for p.peek() == '[' {
			start := p.pos
			depth := 0
			for !p.eof() {
				if p.peek() == '[' || p.peek() == '(' {
					depth++
				} else if p.peek() == ']' || p.peek() == ')' {
					if depth--; depth == 0 {
						p.pos++
						break
					}
				}
				p.pos++
			}
			sw = sw || strings.EqualFold(string(p.src[start:p.pos]), "[switch]")
			p.space(true)
		}
		if p.peek() != '$' {
			p.fail("Unexpected token in parameter list.")
		}
		p.pos++
		name := p.word()
		p.pos += len([]rune(name))
		prm := psParam{name: name, sw: sw}
		p.space(true)
		if p.peek() == '=' {
			p.pos++
			p.space(true)
			prm.def = p.expression()
		}
		out = append(out, prm)
	}
}

func (p *psParser) condition() psExpr {
	p.expect("(")
	e := p.pipelineExpr()
	p.expect(")")
	return e
}

func (p *psParser) statement() psStmt {
	defer p.enter()()
	// Labels are not supported; keywords come first.
	w := strings.ToLower(p.word())
	start := p.pos
	p.pos += len(w)
	switch w {
	case "if":
		return p.ifStatement()
	case "while":
		cond := p.condition()
		body := p.braces()
		return func(c *psCtx) {
			for psTrue(cond(c)) && c.loop(body) {
				c.check()
			}
		}
	case "do":
		body := p.braces()
		p.space(true)
		until := p.keyword("until")
		if !until && !p.keyword("while") {
			p.fail("Missing while or until keyword in do loop.")
		}
		cond := p.condition()
		return func(c *psCtx) {
			for {
				c.check()
				if !c.loop(body) || psTrue(cond(c)) == until {
					return
				}
			}
		}
	case "for":
		p.expect("(")
		part := func(end rune) psStmt {
			for p.peek() == ' ' || p.peek() == '\t' || p.peek() == '\n' {
				p.pos++
			}
			if p.peek() == end {
				p.pos++
				return nil
			}
			s := p.pipeline()
			for p.peek() == ' ' || p.peek() == '\t' || p.peek() == '\n' {
				p.pos++
			}
			if p.peek() != end {
				p.fail("Missing '%c' in for statement.", end)
			}
			p.pos++
			return s
		}
		init := part(';')
		cond := part(';')
		next := part(')')
		body := p.braces()
		return func(c *psCtx) {
			quiet := func(s psStmt) any { return psValue(c.collect(s)) }
			if init != nil {
				quiet(init)
			}
			for cond == nil || psTrue(quiet(cond)) {
				c.check()
				if !c.loop(body) {
					return
				}
				if next != nil {
					quiet(next)
				}
			}
		}
	case "foreach":
		p.space(true)
		if p.peek() != '(' {
			break // the alias of ForEach-Object
		}
		p.expect("(")
		p.space(true)
		if !p.accept("$") {
			p.fail("Missing variable name after foreach.")
		}
		name := p.word()
		p.pos += len([]rune(name))
		p.space(true)
		if !p.keyword("in") {
			p.fail("Missing 'in' after variable in foreach loop.")
		}
		p.space(true)
		list := p.pipelineExpr()
		p.expect(")")
		body := p.braces()
		return func(c *psCtx) {
			for _, v := range psList(list(c)) {
				c.check()
				c.vars.set(name, v)
				if !c.loop(body) {
					return
				}
			}
		}
	case "switch":
		p.space(true)
		for p.peek() == '-' {
			p.pos++
			p.pos += len(p.word())
			p.space(true)
		}
		value := p.condition()
		p.expect("{")
		type arm struct {
			match psExpr
			def   bool
			body  *psBlock
		}
		var arms []arm
		for {
			p.space(true)
			if p.peek() == '}' {
				p.pos++
				break
			}
			if p.eof() {
				p.fail("Missing closing '}' in switch statement.")
			}
			a := arm{}
			if p.keyword("default") {
				a.def = true
			} else if c := p.peek(); isWord(c) && !unicode.IsDigit(c) {
				text := p.word()
				p.pos += len([]rune(text))
				a.match = func(*psCtx) any { return text }
			} else {
				a.match = p.expression()
			}
			a.body = p.braces()
			arms = append(arms, a)
		}
		return func(c *psCtx) {
			for _, v := range psList(value(c)) {
				hit := false
				for _, a := range arms {
					if a.def && hit {
						continue
					}
					if !a.def {
						c.vars.set("_", v)
						m := a.match(c)
						if b, ok := m.(*psBlock); ok {
							if !psTrue(psValue(c.invoke(b, nil, nil))) {
								continue
							}
						} else if psCompare("-eq", v, m, false) != true {
							continue
						}
					}
					hit = true
					if !c.loop(a.body) {
						return
					}
				}
			}
		}
	case "try":
		return p.tryStatement()
	case "trap":
		p.braces()
		return func(*psCtx) {}
	case "function", "filter":
		p.space(true)
		i := p.pos
		for !p.eof() && !unicode.IsSpace(p.peek()) && p.peek() != '{' && p.peek() != '(' {
			p.pos++
		}
		name := string(p.src[i:p.pos])
		if j := strings.IndexByte(name, ':'); j >= 0 {
			name = name[j+1:]
		}
		p.space(true)
		var params []psParam
		if p.peek() == '(' {
			params = p.params()
		}
		b := p.braces()
		if params != nil {
			b.params = params
		}
		if w == "filter" {
			b.process, b.end = b.end, nil
		}
		return func(c *psCtx) { c.run.funcs[strings.ToLower(name)] = b }
	case "return", "exit", "throw":
		p.space(false)
		var e psExpr
		if !p.atEnd() {
			e = p.pipelineExpr()
		}
		return func(c *psCtx) {
			var v any
			if e != nil {
				v = e(c)
			}
			switch w {
			case "return":
				for _, x := range psList(v) {
					c.out(x)
				}
				panic(psReturn{})
			case "exit":
				panic(psExit{int(psNumber(v))})
			default:
				if v == nil {
					v = "ScriptHalted"
				}
				rec := c.record(v)
				rec.props.set("thrown", true)
				panic(psThrow{rec})
			}
		}
	case "break":
		return func(*psCtx) { panic(psBreak{}) }
	case "continue":
		return func(*psCtx) { panic(psContinue{}) }
	case "class", "enum", "using", "workflow", "configuration":
		p.fail("The '%s' keyword is not simulated.", w)
	}
	p.pos = start
	return p.pipeline()
}

func (p *psParser) ifStatement() psStmt {
	type branch struct {
		cond psExpr
		body *psBlock
	}
	var bs []branch
	cond := p.condition()
	bs = append(bs, branch{cond, p.braces()})
	for {
		save := p.pos
		p.space(true)
		if p.keyword("elseif") {
			cond := p.condition()
			bs = append(bs, branch{cond, p.braces()})
			continue
		}
		if p.keyword("else") {
			bs = append(bs, branch{nil, p.braces()})
			break
		}
		p.pos = save
		break
	}
	return func(c *psCtx) {
		for _, b := range bs {
			if b.cond == nil || psTrue(b.cond(c)) {
				c.stmts(b.body.end)
				return
			}
		}
	}
}

func (p *psParser) tryStatement() psStmt {
	body := p.braces()
	var catch, finally *psBlock
	for {
		save := p.pos
		p.space(true)
		if p.keyword("catch") {
			p.space(true)
			for p.peek() == '[' {
				for !p.eof() && p.peek() != ']' {
					p.pos++
				}
				p.pos++
				p.space(true)
				if p.peek() == ',' {
					p.pos++
					p.space(true)
				}
			}
			b := p.braces()
			if catch == nil {
				catch = b
			}
			continue
		}
		if p.keyword("finally") {
			finally = p.braces()
			break
		}
		p.pos = save
		break
	}
	if catch == nil && finally == nil {
		p.fail("The Try statement is missing its Catch or Finally block.")
	}
	return func(c *psCtx) { c.try(body, catch, finally) }
}

// atEnd reports whether the statement ends here.
func (p *psParser) atEnd() bool {
	c := p.peek()
	return p.eof() || c == '\n' || c == ';' || c == '}' || c == ')' || c == ']'
}

// pipelineExpr is a pipeline whose output is its value.
func (p *psParser) pipelineExpr() psExpr {
	p.space(true)
	s := p.pipeline()
	return func(c *psCtx) any { return psValue(c.collect(s)) }
}

// pipeline reads an assignment or a chain of commands.
func (p *psParser) pipeline() psStmt {
	defer p.enter()()
	p.space(false)
	start := p.pos
	if target, op, ok := p.assignment(); ok {
		p.space(true)
		value := p.statement()
		return func(c *psCtx) {
			v := psValue(c.collect(value))
			if op != "" {
				v = psArith(c, op, target.get(c), v)
			}
			target.set(c, v)
		}
	}
	p.pos = start
	first := p.element(true)
	var rest []psElement
	for {
		p.space(false)
		if p.peek() == '|' && p.at(1) != '|' {
			p.pos++
			p.space(true)
			rest = append(rest, p.element(false))
			continue
		}
		break
	}
	redirects := p.redirects()
	var chain psStmt
	chainAnd := false
	if p.accept("&&") || p.accept("||") {
		chainAnd = p.at(-1) == '&'
		p.space(true)
		chain = p.pipeline()
	}
	if !p.atEnd() && p.peek() != '|' {
		p.fail("Unexpected token '%s' in expression or statement.", strings.SplitN(string(p.src[p.pos:min(len(p.src), p.pos+40)]), "\n", 2)[0])
	}
	all := append([]psElement{first}, rest...)
	return func(c *psCtx) {
		c.pipeline(all, redirects)
		if chain != nil && c.run.ok == chainAnd {
			chain(c)
		}
	}
}

// psElement is one stage of a pipeline: an expression or a command.
type psElement struct {
	expr psExpr
	cmd  *psCommand
}

type psArg struct {
	name  string // -Name
	value psExpr
	colon bool // -Name:value
	raw   string
}

type psCommand struct {
	name psExpr
	call byte // 0, '&' or '.'
	args []psArg
}

type psRedirect struct {
	from   byte // '1', '2', '*'
	append bool
	merge  bool
	target psExpr
}

func (p *psParser) redirects() []psRedirect {
	var out []psRedirect
	for {
		p.space(false)
		r := psRedirect{from: '1'}
		switch {
		case p.peek() == '>':
		case strings.ContainsRune("123456*", p.peek()) && p.at(1) == '>':
			r.from = byte(p.peek())
			p.pos++
		default:
			return out
		}
		p.pos++
		if p.peek() == '>' {
			r.append = true
			p.pos++
		}
		if p.peek() == '&' {
			p.pos += 2
			r.merge = true
			out = append(out, r)
			continue
		}
		p.space(false)
		r.target = p.argument()
		out = append(out, r)
	}
}

func (p *psParser) element(first bool) psElement {
	p.space(false)
	c := p.peek()
	switch {
	case c == '&' || c == '.' && (p.at(1) == ' ' || p.at(1) == '\t' || p.at(1) == '$' || p.at(1) == '\'' || p.at(1) == '"' || p.at(1) == '{' || p.at(1) == '('):
		p.pos++
		p.space(false)
		cmd := &psCommand{call: byte(c)}
		if p.peek() == '{' {
			b := p.braces()
			cmd.name = func(c *psCtx) any { return c.bind(b) }
		} else {
			cmd.name = p.argument()
		}
		cmd.args = p.arguments()
		return psElement{cmd: cmd}
	case c == '$':
		// A line like $env:SystemRoot\System32\x.exe /arg is taken for the command it means.
		save := p.pos
		i := p.pos + 1
		for i < len(p.src) && (isWord(p.src[i]) || p.src[i] == ':') {
			i++
		}
		if first && i < len(p.src) && (p.src[i] == '\\' || p.src[i] == '/' && i+1 < len(p.src) && isWord(p.src[i+1]) && strings.Contains(strings.ToLower(string(p.src[save:i])), "$env:")) {
			cmd := &psCommand{name: p.argument()}
			cmd.args = p.arguments()
			return psElement{cmd: cmd}
		}
		return psElement{expr: p.expression()}
	case strings.ContainsRune("@(['\"{!+", c) || unicode.IsDigit(c) && !p.bareNumberWord() || c == '-' && (unicode.IsDigit(p.at(1)) || p.at(1) == '(' || p.at(1) == '$') || c == '-' && isUnaryWord(p):
		return psElement{expr: p.expression()}
	case c == 0 || c == '|' || c == ')' || c == '}':
		p.fail("An empty pipe element or expression is not allowed.")
	}
	cmd := &psCommand{name: p.argument()}
	cmd.args = p.arguments()
	return psElement{cmd: cmd}
}

func isUnaryWord(p *psParser) bool {
	for _, w := range []string{"-not", "-join", "-split", "-bnot", "--"} {
		if strings.HasPrefix(strings.ToLower(string(p.src[p.pos:min(len(p.src), p.pos+8)])), w) {
			return true
		}
	}
	return false
}

// bareNumberWord tells 7z.exe from a number.
func (p *psParser) bareNumberWord() bool {
	i := p.pos
	for i < len(p.src) && (unicode.IsDigit(p.src[i]) || p.src[i] == '.' || unicode.IsLetter(p.src[i])) {
		i++
	}
	_, ok := psLiteral(string(p.src[p.pos:i]))
	return !ok && i > p.pos && !strings.Contains(string(p.src[p.pos:i]), "..")
}

func (p *psParser) arguments() []psArg {
	var out []psArg
	for {
		p.space(false)
		c := p.peek()
		if p.atEnd() || c == '|' || c == '&' && p.at(1) == '&' || c == '>' || strings.ContainsRune("12345*", c) && p.at(1) == '>' {
			return out
		}
		if c == '-' && p.at(1) == '-' && p.at(2) == '%' {
			p.pos += 3
			i := p.pos
			for !p.eof() && p.peek() != '\n' {
				p.pos++
			}
			for _, w := range strings.Fields(string(p.src[i:p.pos])) {
				out = append(out, psArg{value: func(*psCtx) any { return w }, raw: w})
			}
			return out
		}
		if c == '-' && (unicode.IsLetter(p.at(1)) || p.at(1) == '_') {
			i := p.pos
			p.pos++
			for isWord(p.peek()) || p.peek() == '-' || p.peek() == '.' {
				p.pos++
			}
			a := psArg{name: string(p.src[i+1 : p.pos])}
			a.raw = "-" + a.name
			if p.peek() == ':' {
				p.pos++
				a.colon = true
				p.space(false)
				a.value = p.commaList()
			} else if c := p.peek(); !p.atEnd() && c != ' ' && c != '\t' && c != '|' && c != '`' {
				// -foo=bar and the like are plain words for programs.
				p.pos = i
				out = append(out, psArg{value: p.argument()})
				continue
			}
			out = append(out, a)
			continue
		}
		out = append(out, psArg{value: p.commaList()})
	}
}

// commaList is one argument, or several joined by commas.
func (p *psParser) commaList() psExpr {
	first := p.argument()
	items := []psExpr{first}
	for {
		save := p.pos
		p.space(false)
		if p.peek() != ',' {
			p.pos = save
			break
		}
		p.pos++
		p.space(true)
		items = append(items, p.argument())
	}
	if len(items) == 1 {
		return first
	}
	return func(c *psCtx) any {
		var out []any
		for _, i := range items {
			out = append(out, psList(i(c))...)
		}
		return out
	}
}

// argument is one word in command mode.
func (p *psParser) argument() psExpr {
	c := p.peek()
	switch {
	case c == '(' || c == '{' || c == '@' && (p.at(1) == '(' || p.at(1) == '{' || p.at(1) == '"' || p.at(1) == '\''):
		return p.postfix(p.primary())
	case c == '@' && isWord(p.at(1)):
		p.pos++
		name := p.word()
		p.pos += len([]rune(name))
		return func(c *psCtx) any { return psSplat{c.vars.get(name)} }
	case c == '[' && p.typeAhead():
		return p.postfix(p.primary())
	}
	// Parts stick together until a blank.
	var parts []psExpr
	literal := true
	var text strings.Builder
	flush := func() {
		if text.Len() > 0 {
			s := text.String()
			parts = append(parts, func(*psCtx) any { return s })
			text.Reset()
		}
	}
	for !p.eof() {
		c := p.peek()
		if c == ' ' || c == '\t' || c == '\n' || c == ';' || c == '|' || c == ')' || c == '}' || c == ',' || c == '>' && text.Len() > 0 || c == '&' && p.at(1) == '&' || c == '(' {
			break
		}
		if c == '(' || c == '{' {
			break
		}
		switch {
		case c == '`':
			p.pos++
			text.WriteRune(psEscapeRune(p.peek()))
			p.pos++
		case c == '\'' || c == '"':
			literal = false
			flush()
			e := p.stringLiteral()
			if len(parts) == 0 {
				e = p.postfix(e)
			}
			parts = append(parts, e)
		case c == '$' && (isWord(p.at(1)) || p.at(1) == '{' || p.at(1) == '(' || p.at(1) == '?' || p.at(1) == '$'):
			literal = false
			first := len(parts) == 0 && text.Len() == 0
			flush()
			e := p.variable()
			if first {
				e = p.postfix(e)
			}
			parts = append(parts, e)
		default:
			text.WriteRune(c)
			p.pos++
		}
	}
	flush()
	if len(parts) == 0 {
		p.fail("Unexpected token '%c'.", p.peek())
	}
	if len(parts) == 1 {
		if literal {
			s := parts[0](nil).(string)
			if n, ok := psLiteral(s); ok && unicode.IsDigit(rune(s[len(s)-1])) && !strings.HasPrefix(s, "0") || s == "0" {
				if s == "0" {
					n = 0
				}
				return func(*psCtx) any { return psBareNumber{n, s} }
			}
		}
		return parts[0]
	}
	return func(c *psCtx) any {
		var b strings.Builder
		for _, e := range parts {
			b.WriteString(psString(e(c)))
		}
		return b.String()
	}
}

// psBareNumber is a number written as an argument: a number for cmdlets, its very text for programs.
type psBareNumber struct {
	n    any
	text string
}

type psSplat struct{ v any }

func psLiteral(s string) (any, bool) {
	mult := 1
	l := strings.ToLower(s)
	for suffix, m := range map[string]int{"kb": 1 << 10, "mb": 1 << 20, "gb": 1 << 30, "tb": 1 << 40} {
		if t, ok := strings.CutSuffix(l, suffix); ok && len(t) > 0 {
			l, mult = t, m
		}
	}
	if strings.HasPrefix(l, "0x") {
		n, err := strconv.ParseInt(l[2:], 16, 64)
		return int(n) * mult, err == nil
	}
	if n, err := strconv.Atoi(l); err == nil {
		return n * mult, true
	}
	if strings.ContainsAny(l, "0123456789") && strings.Trim(l, "0123456789.e+-") == "" {
		if f, err := strconv.ParseFloat(l, 64); err == nil {
			return f * float64(mult), true
		}
	}
	return nil, false
}

// psTarget is something that can be assigned to.
type psTarget struct {
	get func(c *psCtx) any
	set func(c *psCtx, v any)
}

// assignment looks for `$x =`, `$env:x +=`, `$a.b =`, `$a[i] =`, `[type]$x =`, `[Type]::Member =`.
func (p *psParser) assignment() (psTarget, string, bool) {
	save := p.pos
	fail := func() (psTarget, string, bool) { p.pos = save; return psTarget{}, "", false }
	for p.peek() == '[' && p.typeAhead() {
		t := p.typeName()
		p.space(false)
		if p.accept("::") {
			w := p.word()
			p.pos += len([]rune(w))
			p.space(false)
			if p.peek() == '=' && p.at(1) != '=' {
				p.pos++
				return psTarget{get: func(*psCtx) any { return nil }, set: func(c *psCtx, v any) { c.run.setStatic(t, w, v) }}, "", true
			}
			return fail()
		}
	}
	if p.peek() != '$' {
		return fail()
	}
	name, ok := p.variableName()
	if !ok {
		return fail()
	}
	t := psTarget{get: func(c *psCtx) any { return c.variable(name) }, set: func(c *psCtx, v any) { c.setVariable(name, v) }}
	for {
		switch {
		case p.peek() == '.' && isWord(p.at(1)):
			p.pos++
			w := p.word()
			p.pos += len([]rune(w))
			if p.peek() == '(' {
				return fail()
			}
			base := t
			t = psTarget{get: func(c *psCtx) any { return c.member(base.get(c), w) }, set: func(c *psCtx, v any) { c.setMember(base.get(c), w, v) }}
			continue
		case p.peek() == '[':
			p.pos++
			idx := p.pipelineExpr()
			p.expect("]")
			base := t
			t = psTarget{get: func(c *psCtx) any { return c.index(base.get(c), idx(c)) }, set: func(c *psCtx, v any) { c.setIndex(base.get(c), idx(c), v) }}
			continue
		}
		break
	}
	p.space(false)
	for _, op := range []string{"+", "-", "*", "/", "%"} {
		if p.peek() == rune(op[0]) && p.at(1) == '=' {
			p.pos += 2
			return t, op, true
		}
	}
	if p.peek() == '=' && p.at(1) != '=' {
		p.pos++
		return t, "", true
	}
	return fail()
}

// variableName reads $name, ${name}, $scope:name.
func (p *psParser) variableName() (string, bool) {
	if p.peek() != '$' {
		return "", false
	}
	if p.at(1) == '{' {
		i := p.pos + 2
		j := i
		for j < len(p.src) && p.src[j] != '}' {
			j++
		}
		p.pos = j + 1
		return string(p.src[i:min(j, len(p.src))]), true
	}
	i := p.pos + 1
	if i < len(p.src) && strings.ContainsRune("?$^", p.src[i]) {
		p.pos += 2
		return string(p.src[i]), true
	}
	j := i
	for j < len(p.src) && (isWord(p.src[j]) || p.src[j] == ':' && j+1 < len(p.src) && isWord(p.src[j+1]) && !strings.ContainsRune(string(p.src[i:j]), ':')) {
		j++
	}
	if j == i {
		return "", false
	}
	p.pos = j
	return string(p.src[i:j]), true
}

// variable reads $name or $( ... ).
func (p *psParser) variable() psExpr {
	if p.at(1) == '(' {
		p.pos += 2
		b := p.block(')')
		p.expect(")")
		return func(c *psCtx) any { return psValue(c.collect(func(c *psCtx) { c.stmts(b.end) })) }
	}
	name, ok := p.variableName()
	if !ok {
		p.fail("Unexpected '$'.")
	}
	return func(c *psCtx) any { return c.variable(name) }
}

func psEscapeRune(c rune) rune {
	switch c {
	case 'n':
		return '\n'
	case 't':
		return '\t'
	case 'r':
		return '\r'
	case '0':
		return 0
	case 'a':
		return 7
	case 'b':
		return 8
	case 'e':
		return 27
	}
	return c
}

// stringLiteral reads '...' or "..." with expansion.
func (p *psParser) stringLiteral() psExpr {
	q := p.peek()
	p.pos++
	if q == '\'' {
		var b strings.Builder
		for {
			if p.eof() {
				p.fail("The string is missing the terminator: '.")
			}
			c := p.peek()
			p.pos++
			if c == '\'' {
				if p.peek() != '\'' {
					break
				}
				p.pos++
			}
			b.WriteRune(c)
		}
		s := b.String()
		return func(*psCtx) any { return s }
	}
	return p.expandable(func() bool {
		if p.peek() == '"' {
			if p.at(1) == '"' {
				return false
			}
			p.pos++
			return true
		}
		return false
	}, true)
}

// expandable reads text with $variables until end says so.
func (p *psParser) expandable(end func() bool, quotes bool) psExpr {
	var parts []psExpr
	var text strings.Builder
	flush := func() {
		if text.Len() > 0 {
			s := text.String()
			parts = append(parts, func(*psCtx) any { return s })
			text.Reset()
		}
	}
	for {
		if p.eof() {
			p.fail("The string is missing the terminator: \".")
		}
		if end() {
			break
		}
		c := p.peek()
		switch {
		case quotes && c == '"' && p.at(1) == '"':
			text.WriteRune('"')
			p.pos += 2
		case c == '`':
			p.pos++
			text.WriteRune(psEscapeRune(p.peek()))
			p.pos++
		case c == '$' && (isWord(p.at(1)) || p.at(1) == '{' || p.at(1) == '(' || p.at(1) == '?' && false):
			flush()
			parts = append(parts, p.variable())
		default:
			text.WriteRune(c)
			p.pos++
		}
	}
	flush()
	return func(c *psCtx) any {
		var b strings.Builder
		for _, e := range parts {
			b.WriteString(psString(e(c)))
		}
		return b.String()
	}
}

func (p *psParser) hereString() psExpr {
	q := p.at(1)
	p.pos += 2
	for !p.eof() && p.peek() != '\n' {
		p.pos++
	}
	p.pos++
	end := "\n" + string(q) + "@"
	closing := func() bool {
		if p.peek() == '\n' && p.at(1) == q && p.at(2) == '@' {
			p.pos += len(end)
			return true
		}
		return false
	}
	if p.peek() == q && p.at(1) == '@' {
		p.pos += 2
		return func(*psCtx) any { return "" }
	}
	if q == '"' {
		return p.expandable(closing, false)
	}
	i := p.pos
	for !p.eof() {
		j := p.pos
		if closing() {
			s := string(p.src[i:j])
			return func(*psCtx) any { return s }
		}
		p.pos++
	}
	p.fail("The string is missing the terminator: %c@.", q)
	return nil
}

// Operators by precedence, lowest first.
var psLevels = [][]string{
	{"-and", "-or", "-xor"},
	{"-band", "-bor", "-bxor"},
	{"-eq", "-ne", "-ceq", "-ieq", "-cne", "-ine", "-gt", "-ge", "-lt", "-le", "-match", "-imatch", "-cmatch", "-notmatch", "-like", "-ilike", "-notlike", "-contains", "-notcontains", "-in", "-notin",
		"-replace", "-ireplace", "-creplace", "-split", "-isplit", "-join", "-is", "-isnot", "-as"},
	{"+", "-"},
	{"*", "/", "%"},
	{"-f"},
	{".."},
}

func (p *psParser) expression() psExpr {
	defer p.enter()()
	return p.binary(0)
}

func (p *psParser) binary(level int) psExpr {
	if level == len(psLevels) {
		return p.commaExpr()
	}
	left := p.binary(level + 1)
	for {
		save := p.pos
		p.space(false)
		op := ""
		if p.peek() == '-' && unicode.IsLetter(p.at(1)) {
			i := p.pos + 1
			for i < len(p.src) && unicode.IsLetter(p.src[i]) {
				i++
			}
			op = strings.ToLower(string(p.src[p.pos:i]))
		} else if p.peek() == '.' && p.at(1) == '.' {
			op = ".."
		} else if strings.ContainsRune("+-*/%", p.peek()) && p.at(1) != '=' && p.at(1) != p.peek() {
			op = string(p.peek())
		}
		found := false
		for _, o := range psLevels[level] {
			found = found || o == op
		}
		if !found {
			p.pos = save
			return left
		}
		p.pos += len(op)
		p.space(true)
		right := p.binary(level + 1)
		l := left
		switch op {
		case "-and":
			left = func(c *psCtx) any { return psTrue(l(c)) && psTrue(right(c)) }
		case "-or":
			left = func(c *psCtx) any { return psTrue(l(c)) || psTrue(right(c)) }
		default:
			left = func(c *psCtx) any { return psBinary(c, op, l(c), right(c)) }
		}
	}
}

func (p *psParser) commaExpr() psExpr {
	if p.peek() == ',' {
		p.pos++
		p.space(true)
		e := p.unary()
		return func(c *psCtx) any { return []any{e(c)} }
	}
	first := p.unary()
	items := []psExpr{first}
	for {
		save := p.pos
		p.space(false)
		if p.peek() != ',' {
			p.pos = save
			break
		}
		p.pos++
		p.space(true)
		items = append(items, p.unary())
	}
	if len(items) == 1 {
		return first
	}
	return func(c *psCtx) any {
		out := make([]any, len(items))
		for i, e := range items {
			out[i] = e(c)
		}
		return out
	}
}

func (p *psParser) unary() psExpr {
	defer p.enter()()
	p.space(false)
	switch c := p.peek(); {
	case c == '!' || c == '-' && p.accept("-not"):
		if c == '!' {
			p.pos++
		}
		e := p.unary()
		return func(c *psCtx) any { return !psTrue(e(c)) }
	case c == '-' && p.accept("-join"):
		e := p.unary()
		return func(c *psCtx) any { return psBinary(c, "-join", e(c), "") }
	case c == '-' && p.accept("-split"):
		e := p.unary()
		return func(c *psCtx) any {
			var out []any
			for _, f := range strings.Fields(psString(e(c))) {
				out = append(out, f)
			}
			return out
		}
	case c == '-' && !unicode.IsLetter(p.at(1)) && p.at(1) != '-':
		p.pos++
		e := p.unary()
		return func(c *psCtx) any { return psArith(c, "-", 0, e(c)) }
	case c == '+' && p.at(1) != '+':
		p.pos++
		return p.unary()
	case (c == '+' || c == '-') && p.at(1) == c:
		p.pos += 2
		name, ok := p.variableName()
		if !ok {
			p.fail("The operator works only on variables.")
		}
		return func(x *psCtx) any {
			v := psArith(x, string(c), x.variable(name), 1)
			x.setVariable(name, v)
			return v
		}
	case c == '[' && p.typeAhead():
		save := p.pos
		t := p.typeName()
		if p.peek() == ':' && p.at(1) == ':' {
			p.pos = save
			break
		}
		p.space(false)
		if nc := p.peek(); p.atEnd() || nc == '|' || nc == ',' || nc == '-' && unicode.IsLetter(p.at(1)) || nc == '.' {
			return p.postfix(func(*psCtx) any { return psType(t) })
		}
		e := p.unary()
		return func(c *psCtx) any { return c.cast(t, e(c)) }
	}
	return p.postfix(p.primary())
}

// typeAhead reports whether a [Type] stands here.
func (p *psParser) typeAhead() bool {
	i := p.pos + 1
	n := 0
	for i < len(p.src) && (isWord(p.src[i]) || strings.ContainsRune(".[],` ", p.src[i])) {
		if p.src[i] == '[' {
			n++
		}
		if p.src[i] == ']' {
			if n == 0 {
				return unicode.IsLetter(p.at(1))
			}
			n--
		}
		i++
	}
	return false
}

func (p *psParser) typeName() string {
	i := p.pos + 1
	n := 0
	for p.pos = i; !p.eof(); p.pos++ {
		if p.peek() == '[' {
			n++
		}
		if p.peek() == ']' {
			if n == 0 {
				break
			}
			n--
		}
	}
	t := string(p.src[i:p.pos])
	p.pos++
	return strings.TrimPrefix(strings.ToLower(strings.TrimSpace(t)), "system.")
}

func (p *psParser) primary() psExpr {
	c := p.peek()
	switch {
	case c == '$':
		return p.variable()
	case c == '\'' || c == '"':
		return p.stringLiteral()
	case c == '@' && (p.at(1) == '\'' || p.at(1) == '"'):
		return p.hereString()
	case c == '@' && p.at(1) == '(':
		p.pos += 2
		b := p.block(')')
		p.expect(")")
		return func(c *psCtx) any {
			out := c.collect(func(c *psCtx) { c.stmts(b.end) })
			if len(out) == 1 {
				if l, ok := out[0].([]any); ok {
					return l
				}
			}
			return append([]any{}, out...)
		}
	case c == '@' && p.at(1) == '{':
		return p.hashtable()
	case c == '(':
		p.pos++
		p.space(true)
		start := p.pos
		target, op, ok := p.assignment()
		if !ok {
			p.pos = start
			e := p.pipelineExpr()
			p.expect(")")
			return e
		}
		// An assignment in parentheses has the value it assigns.
		p.space(true)
		value := p.statement()
		p.expect(")")
		return func(c *psCtx) any {
			v := psValue(c.collect(value))
			if op != "" {
				v = psArith(c, op, target.get(c), v)
			}
			target.set(c, v)
			return v
		}
	case c == '{':
		b := p.braces()
		return func(c *psCtx) any { return c.bind(b) }
	case c == '[':
		t := p.typeName()
		if !p.accept("::") {
			return func(*psCtx) any { return psType(t) }
		}
		w := p.word()
		p.pos += len([]rune(w))
		if p.peek() == '(' {
			args := p.callArgs()
			return func(c *psCtx) any { return c.static(t, w, args(c), true) }
		}
		return func(c *psCtx) any { return c.static(t, w, nil, false) }
	case unicode.IsDigit(c) || c == '.' && unicode.IsDigit(p.at(1)):
		i := p.pos
		for isWord(p.peek()) || p.peek() == '.' && unicode.IsDigit(p.at(1)) {
			p.pos++
		}
		n, ok := psLiteral(string(p.src[i:p.pos]))
		if !ok {
			p.fail("The numeric constant %s is not valid.", string(p.src[i:p.pos]))
		}
		return func(*psCtx) any { return n }
	}
	p.fail("Unexpected token '%s'.", strings.SplitN(string(p.src[p.pos:min(len(p.src), p.pos+20)]), "\n", 2)[0])
	return nil
}

func (p *psParser) hashtable() psExpr {
	p.pos += 2
	type pair struct{ k, v psExpr }
	var pairs []pair
	for {
		p.space(true)
		if p.peek() == '}' {
			p.pos++
			break
		}
		if p.eof() {
			p.fail("The hash literal was incomplete.")
		}
		var k psExpr
		if w := p.word(); w != "" && !unicode.IsDigit(p.peek()) {
			p.pos += len([]rune(w))
			k = func(*psCtx) any { return w }
		} else {
			k = p.unary()
		}
		p.expect("=")
		p.space(true)
		s := p.statement()
		pairs = append(pairs, pair{k, func(c *psCtx) any { return psValue(c.collect(s)) }})
	}
	return func(c *psCtx) any {
		h := newHash()
		for _, kv := range pairs {
			h.set(psString(kv.k(c)), kv.v(c))
		}
		return h
	}
}

func (p *psParser) callArgs() func(c *psCtx) []any {
	p.pos++
	var args []psExpr
	for {
		p.space(true)
		if p.peek() == ')' {
			p.pos++
			break
		}
		if p.eof() {
			p.fail("Missing ')' in method call.")
		}
		if p.peek() == ',' {
			p.pos++
			continue
		}
		// Commas separate arguments here, so each is read below the level of lists.
		args = append(args, p.methodArg())
	}
	return func(c *psCtx) []any {
		out := make([]any, len(args))
		for i, a := range args {
			out[i] = a(c)
		}
		return out
	}
}

// methodArg is an expression in which a comma ends the argument.
func (p *psParser) methodArg() psExpr {
	var read func(level int) psExpr
	read = func(level int) psExpr {
		if level == len(psLevels) {
			return p.unary()
		}
		left := read(level + 1)
		for {
			save := p.pos
			p.space(true)
			op := ""
			if p.peek() == '-' && unicode.IsLetter(p.at(1)) {
				op = strings.ToLower("-" + string([]rune(p.wordAt(1))))
			} else if p.peek() == '.' && p.at(1) == '.' {
				op = ".."
			} else if strings.ContainsRune("+-*/%", p.peek()) {
				op = string(p.peek())
			}
			found := false
			for _, o := range psLevels[level] {
				found = found || o == op
			}
			if !found {
				p.pos = save
				return left
			}
			p.pos += len(op)
			p.space(true)
			right := read(level + 1)
			l := left
			left = func(c *psCtx) any { return psBinary(c, op, l(c), right(c)) }
		}
	}
	return read(0)
}

func (p *psParser) wordAt(n int) string {
	i := p.pos + n
	j := i
	for j < len(p.src) && unicode.IsLetter(p.src[j]) {
		j++
	}
	return string(p.src[i:j])
}

func (p *psParser) postfix(e psExpr) psExpr {
	for {
		base := e
		switch {
		case p.peek() == '.' && (isWord(p.at(1)) || p.at(1) == '$' || p.at(1) == '\'' || p.at(1) == '"') && p.at(1) != '.':
			p.pos++
			var name psExpr
			if p.peek() == '$' {
				name = p.variable()
			} else if p.peek() == '\'' || p.peek() == '"' {
				name = p.stringLiteral()
			} else {
				w := ""
				i := p.pos
				for isWord(p.peek()) {
					p.pos++
				}
				w = string(p.src[i:p.pos])
				name = func(*psCtx) any { return w }
			}
			if p.peek() == '(' {
				args := p.callArgs()
				e = func(c *psCtx) any { return c.method(base(c), psString(name(c)), args(c)) }
			} else {
				e = func(c *psCtx) any { return c.member(base(c), psString(name(c))) }
			}
		case p.peek() == '[':
			p.pos++
			idx := p.pipelineExpr()
			p.expect("]")
			e = func(c *psCtx) any { return c.index(base(c), idx(c)) }
		case p.peek() == ':' && p.at(1) == ':':
			p.pos += 2
			w := p.word()
			p.pos += len([]rune(w))
			if p.peek() == '(' {
				args := p.callArgs()
				e = func(c *psCtx) any { return c.static(string(psTypeOf(base(c))), w, args(c), true) }
			} else {
				e = func(c *psCtx) any { return c.static(string(psTypeOf(base(c))), w, nil, false) }
			}
		case p.peek() == '+' && p.at(1) == '+' || p.peek() == '-' && p.at(1) == '-' && !unicode.IsLetter(p.at(2)):
			// $i++: only plain variables are counted.
			op := string(p.peek())
			i := p.pos - 1
			for i >= 0 && isWord(p.src[i]) {
				i--
			}
			if i < 0 || p.src[i] != '$' {
				return e
			}
			name := string(p.src[i+1 : p.pos])
			p.pos += 2
			return func(c *psCtx) any {
				c.setVariable(name, psArith(c, op, c.variable(name), 1))
				return nil
			}
		default:
			return e
		}
	}
}
