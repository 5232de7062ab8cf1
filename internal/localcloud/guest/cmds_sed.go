package guest

import (
	"fmt"
	"io"
	"os"
	"path"
	"regexp"
	"strconv"
	"strings"
)

func init() { register(cmdSed, "sed") }

type sedAddr struct {
	kind byte // 0 none, 'n' line, '$' last, '/' regexp, '~' step
	n, m int
	re   *regexp.Regexp
}

type sedCmd struct {
	a1, a2  sedAddr
	neg     bool
	op      byte
	re      *regexp.Regexp
	repl    string
	text    string
	label   string
	global  bool
	print   bool
	nth     int
	file    string
	from    []rune
	to      []rune
	block   []*sedCmd
	active  bool
	endLine int
	exit    int
}

type sedParser struct {
	s        string
	extended bool
	last     *regexp.Regexp
	depth    int
}

func (sp *sedParser) space() {
	for sp.s != "" && strings.IndexByte(" \t\n;", sp.s[0]) >= 0 {
		sp.s = sp.s[1:]
	}
}

// delimited takes text up to an unescaped delimiter. In a bracket expression the delimiter does not count.
func (sp *sedParser) delimited(d byte, isRE bool) (string, error) {
	var b strings.Builder
	bracket := false
	for i := 0; i < len(sp.s); i++ {
		c := sp.s[i]
		switch {
		case c == '\\' && i+1 < len(sp.s):
			i++
			switch {
			case sp.s[i] == d && !bracket:
				if strings.IndexByte("|(){}+?.*^$", d) >= 0 && isRE {
					b.WriteByte('\\')
				}
				b.WriteByte(d)
			case sp.s[i] == 'n' && isRE:
				b.WriteByte('\n')
			default:
				b.WriteByte('\\')
				b.WriteByte(sp.s[i])
			}
			continue
		case isRE && c == '[' && !bracket:
			bracket = true
			b.WriteByte(c)
			for i+1 < len(sp.s) && (sp.s[i+1] == '^' || sp.s[i+1] == ']') {
				i++
				b.WriteByte(sp.s[i])
				if sp.s[i] == ']' {
					break
				}
			}
			continue
		case isRE && c == ']' && bracket:
			bracket = false
		case c == '[' && bracket && i+1 < len(sp.s) && sp.s[i+1] == ':':
			if e := strings.Index(sp.s[i:], ":]"); e > 0 {
				b.WriteString(sp.s[i : i+e+2])
				i += e + 1
				continue
			}
		case c == d && !bracket:
			sp.s = sp.s[i+1:]
			return b.String(), nil
		}
		b.WriteByte(c)
	}
	return "", fmt.Errorf("unterminated `%c' expression", d)
}

func (sp *sedParser) regexp(s string, flags string) (*regexp.Regexp, error) {
	if s == "" && sp.last != nil {
		return sp.last, nil
	}
	expr := convertRegexp(s, sp.extended)
	if strings.ContainsAny(flags, "Ii") {
		expr = "(?i)" + expr
	}
	if strings.Contains(flags, "M") {
		expr = "(?m)" + expr
	}
	re, err := cachedRegexp(expr)
	if err != nil {
		return nil, fmt.Errorf("%v (the simulated sed knows no back-references in expressions)", err)
	}
	sp.last = re
	return re, nil
}

func (sp *sedParser) addr() (sedAddr, error) {
	a := sedAddr{}
	if sp.s == "" {
		return a, nil
	}
	number := func() int {
		i := 0
		for i < len(sp.s) && sp.s[i] >= '0' && sp.s[i] <= '9' {
			i++
		}
		n, _ := strconv.Atoi(sp.s[:i])
		sp.s = sp.s[i:]
		return n
	}
	switch c := sp.s[0]; {
	case c >= '0' && c <= '9':
		a.kind, a.n = 'n', number()
		if strings.HasPrefix(sp.s, "~") {
			sp.s = sp.s[1:]
			a.kind, a.m = '~', number()
		}
	case c == '$':
		a.kind = '$'
		sp.s = sp.s[1:]
	case c == '+':
		sp.s = sp.s[1:]
		a.kind, a.n = '+', number()
	case c == '/' || c == '\\':
		d := c
		sp.s = sp.s[1:]
		if c == '\\' {
			if sp.s == "" {
				return a, fmt.Errorf("unexpected end of expression")
			}
			d = sp.s[0]
			sp.s = sp.s[1:]
		}
		text, err := sp.delimited(d, true)
		if err != nil {
			return a, err
		}
		flags := ""
		for strings.HasPrefix(sp.s, "I") || strings.HasPrefix(sp.s, "M") {
			flags += sp.s[:1]
			sp.s = sp.s[1:]
		}
		a.kind = '/'
		if a.re, err = sp.regexp(text, flags); err != nil {
			return a, err
		}
	}
	return a, nil
}

func (sp *sedParser) parse(nested bool) ([]*sedCmd, error) {
	if sp.depth++; sp.depth > 200 {
		return nil, fmt.Errorf("blocks nested too deeply")
	}
	defer func() { sp.depth-- }()
	var out []*sedCmd
	for {
		sp.space()
		if sp.s == "" {
			if nested {
				return nil, fmt.Errorf("unmatched `{'")
			}
			return out, nil
		}
		if sp.s[0] == '}' {
			if !nested {
				return nil, fmt.Errorf("unexpected `}'")
			}
			sp.s = sp.s[1:]
			return out, nil
		}
		if sp.s[0] == '#' {
			_, sp.s, _ = strings.Cut(sp.s, "\n")
			continue
		}
		c := &sedCmd{}
		var err error
		if c.a1, err = sp.addr(); err != nil {
			return nil, err
		}
		sp.s = strings.TrimLeft(sp.s, " \t")
		if strings.HasPrefix(sp.s, ",") && c.a1.kind != 0 {
			sp.s = strings.TrimLeft(sp.s[1:], " \t")
			if c.a2, err = sp.addr(); err != nil {
				return nil, err
			}
			if c.a2.kind == 0 {
				return nil, fmt.Errorf("unexpected `,'")
			}
		}
		sp.s = strings.TrimLeft(sp.s, " \t")
		for strings.HasPrefix(sp.s, "!") {
			c.neg = true
			sp.s = strings.TrimLeft(sp.s[1:], " \t")
		}
		if sp.s == "" {
			return nil, fmt.Errorf("missing command")
		}
		c.op = sp.s[0]
		sp.s = sp.s[1:]
		switch c.op {
		case '{':
			if c.block, err = sp.parse(true); err != nil {
				return nil, err
			}
		case 's', 'y':
			if sp.s == "" {
				return nil, fmt.Errorf("unterminated `%c' command", c.op)
			}
			d := sp.s[0]
			sp.s = sp.s[1:]
			pat, err := sp.delimited(d, c.op == 's')
			if err == nil {
				c.repl, err = sp.delimited(d, false)
			}
			if err != nil {
				return nil, fmt.Errorf("unterminated `%c' command", c.op)
			}
			if c.op == 'y' {
				c.from, c.to = []rune(unescape(pat)), []rune(unescape(c.repl))
				if len(c.from) != len(c.to) {
					return nil, fmt.Errorf("strings for `y' command are different lengths")
				}
				break
			}
			flags := ""
			for sp.s != "" && strings.IndexByte("gpIiMme0123456789w", sp.s[0]) >= 0 {
				f := sp.s[0]
				sp.s = sp.s[1:]
				switch {
				case f == 'g':
					c.global = true
				case f == 'p':
					c.print = true
				case f >= '0' && f <= '9':
					c.nth = c.nth*10 + int(f-'0')
				case f == 'w':
					c.file, sp.s, _ = strings.Cut(strings.TrimLeft(sp.s, " "), "\n")
				case f == 'e':
					return nil, fmt.Errorf("the `e' flag is not simulated")
				default:
					flags += strings.ToUpper(string(f))
				}
			}
			if c.re, err = sp.regexp(pat, flags); err != nil {
				return nil, err
			}
		case 'a', 'i', 'c':
			sp.s = strings.TrimLeft(sp.s, " \t")
			if strings.HasPrefix(sp.s, "\\") {
				sp.s = sp.s[1:]
				if t := strings.TrimLeft(sp.s, " \t"); strings.HasPrefix(t, "\n") {
					sp.s = t[1:]
				}
			}
			var b strings.Builder
			i := 0
			for ; i < len(sp.s) && sp.s[i] != '\n'; i++ {
				if sp.s[i] == '\\' && i+1 < len(sp.s) {
					i++
					if sp.s[i] == 't' {
						b.WriteByte('\t')
						continue
					}
				}
				b.WriteByte(sp.s[i])
			}
			sp.s = sp.s[i:]
			c.text = b.String()
		case ':', 'b', 't', 'T':
			i := strings.IndexAny(sp.s, "\n;}")
			if c.op == ':' {
				i = strings.IndexAny(sp.s, "\n;")
			}
			if i < 0 {
				i = len(sp.s)
			}
			c.label = strings.TrimSpace(sp.s[:i])
			sp.s = sp.s[i:]
		case 'r', 'w':
			c.file, sp.s, _ = strings.Cut(strings.TrimLeft(sp.s, " \t"), "\n")
		case 'q', 'Q':
			sp.s = strings.TrimLeft(sp.s, " ")
			i := 0
			for i < len(sp.s) && sp.s[i] >= '0' && sp.s[i] <= '9' {
				i++
			}
			c.exit, _ = strconv.Atoi(sp.s[:i])
			sp.s = sp.s[i:]
		case 'd', 'D', 'p', 'P', 'n', 'N', 'g', 'G', 'h', 'H', 'x', '=', 'l':
		default:
			return nil, fmt.Errorf("unknown command: `%c'", c.op)
		}
		out = append(out, c)
	}
}

// sedRun is one pass over one or more inputs.
type sedRun struct {
	p       *proc
	prog    []*sedCmd
	quiet   bool
	in      []string
	at      int
	pattern string
	hold    string
	after   []string
	out     *strings.Builder
	w       io.Writer
	quit    bool
	code    int
	subst   bool
	steps   int
}

func (r *sedRun) print(s string) {
	r.out.WriteString(s)
	r.out.WriteByte('\n')
	if r.w != nil && r.out.Len() > 32<<10 {
		io.WriteString(r.w, r.out.String())
		r.out.Reset()
	}
}

func (r *sedRun) match(a sedAddr) bool {
	line := r.at
	switch a.kind {
	case 'n':
		return line == a.n
	case '$':
		return line == len(r.in)
	case '~':
		if a.m <= 0 {
			return line == a.n
		}
		return line >= a.n && (line-a.n)%a.m == 0
	case '/':
		return a.re.MatchString(r.pattern)
	}
	return false
}

func (r *sedRun) selected(c *sedCmd) bool {
	ok := true
	switch {
	case c.a1.kind == 0:
	case c.a2.kind == 0:
		ok = r.match(c.a1)
	case c.active:
		switch {
		case c.a2.kind == 'n' || c.a2.kind == '+':
			if r.at >= c.endLine {
				c.active = false
			}
			ok = r.at <= c.endLine
			if !ok {
				ok = r.match(c.a1)
			}
		case r.match(c.a2):
			c.active = false
		}
	default:
		if ok = r.match(c.a1) || c.a1.kind == 'n' && c.a1.n == 0 && r.at == 1; ok {
			c.active = true
			switch c.a2.kind {
			case 'n':
				c.endLine = c.a2.n
				c.active = c.a2.n > r.at
			case '+':
				c.endLine = r.at + c.a2.n
				c.active = c.a2.n > 0
			case '$':
				c.active = r.at < len(r.in)
			default:
				if c.a1.kind == 'n' && c.a1.n == 0 && r.match(c.a2) {
					c.active = false
				}
			}
		}
	}
	return ok != c.neg
}

type sedFlow int

const (
	flowNext sedFlow = iota
	flowDelete
	flowRestart
	flowQuit
	flowEnd // branch to the end
	flowJump
)

func (r *sedRun) flushAfter() {
	for _, t := range r.after {
		r.print(t)
	}
	r.after = nil
}

func (r *sedRun) exec(prog []*sedCmd, jump *string) sedFlow {
	for i := 0; i < len(prog); i++ {
		c := prog[i]
		if r.steps++; r.steps%1024 == 0 && r.p.ctx.Err() != nil {
			return flowQuit
		}
		if *jump != "" {
			if c.op == ':' && c.label == *jump {
				*jump = ""
				continue
			}
			if c.op == '{' {
				if f := r.exec(c.block, jump); *jump == "" && f != flowNext {
					return f
				}
			}
			continue
		}
		if c.op == ':' || !r.selected(c) {
			continue
		}
		switch c.op {
		case '{':
			if f := r.exec(c.block, jump); f != flowNext {
				return f
			}
		case 's':
			if s, ok := r.substitute(c); ok {
				r.pattern, r.subst = s, true
				if c.print {
					r.print(r.pattern)
				}
				if c.file != "" {
					r.write(c.file)
				}
			}
		case 'y':
			r.pattern = strings.Map(func(x rune) rune {
				for k, f := range c.from {
					if f == x {
						return c.to[k]
					}
				}
				return x
			}, r.pattern)
		case 'd':
			return flowDelete
		case 'D':
			_, rest, ok := strings.Cut(r.pattern, "\n")
			if !ok {
				return flowDelete
			}
			r.pattern = rest
			return flowRestart
		case 'p':
			r.print(r.pattern)
		case 'P':
			first, _, _ := strings.Cut(r.pattern, "\n")
			r.print(first)
		case 'l':
			r.print(strings.Trim(strconv.Quote(r.pattern), `"`) + "$")
		case 'n':
			if r.at >= len(r.in) {
				if !r.quiet {
					r.print(r.pattern)
				}
				r.quit = true
				return flowDelete
			}
			if !r.quiet {
				r.print(r.pattern)
			}
			r.flushAfter()
			r.pattern = r.in[r.at]
			r.at++
		case 'N':
			if r.at >= len(r.in) {
				r.quit = true
				return flowEnd
			}
			r.pattern += "\n" + r.in[r.at]
			r.at++
		case 'g':
			r.pattern = r.hold
		case 'G':
			r.pattern += "\n" + r.hold
		case 'h':
			r.hold = r.pattern
		case 'H':
			r.hold += "\n" + r.pattern
		case 'x':
			r.pattern, r.hold = r.hold, r.pattern
		case '=':
			r.print(strconv.Itoa(r.at))
		case 'a':
			r.after = append(r.after, c.text)
		case 'i':
			r.print(c.text)
		case 'c':
			if c.a2.kind == 0 || !c.active || c.neg {
				r.print(c.text)
			}
			return flowDelete
		case 'r':
			if data, err := r.p.readAll(c.file); err == nil {
				r.after = append(r.after, splitLines(string(data))...)
			}
		case 'w':
			r.write(c.file)
		case 'q', 'Q':
			r.quit, r.code = true, c.exit
			if c.op == 'Q' {
				return flowDelete
			}
			return flowEnd
		case 'b', 't', 'T':
			take := c.op == 'b' || c.op == 't' && r.subst || c.op == 'T' && !r.subst
			if c.op != 'b' {
				r.subst = false
			}
			if !take {
				continue
			}
			if c.label == "" {
				return flowEnd
			}
			*jump = c.label
			return flowJump
		}
		if len(r.pattern)+len(r.hold) > 64<<20 {
			r.p.warn("couldn't re-allocate memory")
			r.code, r.quit = 4, true
			return flowQuit
		}
	}
	return flowNext
}

func (r *sedRun) write(name string) {
	f, err := r.p.create(name, os.O_WRONLY|os.O_APPEND, 0o666)
	if err != nil {
		r.p.warn("couldn't open file %s: %s", name, why(err))
		return
	}
	io.WriteString(f, r.pattern+"\n")
	f.Close()
}

func (r *sedRun) substitute(c *sedCmd) (string, bool) {
	var b strings.Builder
	pos, n, done := 0, 0, false
	for _, m := range c.re.FindAllStringSubmatchIndex(r.pattern, -1) {
		n++
		if n < c.nth || !c.global && n > max(1, c.nth) {
			continue
		}
		b.WriteString(r.pattern[pos:m[0]])
		b.WriteString(sedReplacement(c.repl, r.pattern, m))
		pos, done = m[1], true
	}
	if !done {
		return r.pattern, false
	}
	b.WriteString(r.pattern[pos:])
	return b.String(), true
}

func sedReplacement(repl, s string, m []int) string {
	var b strings.Builder
	mode, once := byte(0), byte(0)
	put := func(t string) {
		if t == "" {
			return
		}
		switch mode {
		case 'U':
			t = strings.ToUpper(t)
		case 'L':
			t = strings.ToLower(t)
		}
		switch once {
		case 'u':
			t = strings.ToUpper(t[:1]) + t[1:]
		case 'l':
			t = strings.ToLower(t[:1]) + t[1:]
		}
		once = 0
		b.WriteString(t)
	}
	group := func(n int) {
		if 2*n+1 < len(m) && m[2*n] >= 0 {
			put(s[m[2*n]:m[2*n+1]])
		}
	}
	for i := 0; i < len(repl); i++ {
		switch c := repl[i]; {
		case c == '&':
			group(0)
		case c == '\\' && i+1 < len(repl):
			i++
			switch d := repl[i]; {
			case d >= '0' && d <= '9':
				group(int(d - '0'))
			case d == 'n':
				put("\n")
			case d == 't':
				put("\t")
			case d == 'r':
				put("\r")
			case d == 'U' || d == 'L':
				mode = d
			case d == 'u' || d == 'l':
				once = d
			case d == 'E':
				mode = 0
			default:
				put(string(d))
			}
		default:
			put(string(c))
		}
	}
	return b.String()
}

func (r *sedRun) run() {
	for r.at < len(r.in) && !r.quit && r.p.ctx.Err() == nil {
		r.pattern = r.in[r.at]
		r.at++
		restart := true
		for restart {
			restart = false
			jump := ""
			flow := r.exec(r.prog, &jump)
			r.subst = r.subst && flow == flowJump
			for loops := 0; flow == flowJump; loops++ {
				if loops > 10_000_000 || r.p.ctx.Err() != nil {
					return
				}
				if flow = r.exec(r.prog, &jump); jump != "" && flow != flowJump {
					r.p.warn("can't find label for jump to `%s'", jump)
					r.code, r.quit = 1, true
					return
				}
			}
			switch flow {
			case flowRestart:
				restart = true
			case flowNext, flowEnd:
				if !r.quiet {
					r.print(r.pattern)
				}
			case flowQuit:
				return
			}
			r.flushAfter()
		}
	}
}

func cmdSed(p *proc) int {
	// -i may carry a suffix, and only attached.
	args := make([]string, 0, len(p.args))
	inPlace, suffix := false, ""
	for i, a := range p.args {
		if a == "--" {
			args = append(args, p.args[i:]...)
			break
		}
		if strings.HasPrefix(a, "-i") || strings.HasPrefix(a, "--in-place") {
			inPlace = true
			suffix = strings.TrimPrefix(strings.TrimPrefix(strings.TrimPrefix(a, "--in-place"), "="), "-i")
			if strings.HasPrefix(a, "-i") && (suffix == "e" || suffix == "r" || suffix == "E" || suffix == "n") {
				args, suffix = append(args, "-"+suffix), ""
			}
			continue
		}
		if len(a) > 2 && a[0] == '-' && a[1] != '-' && a[1] != 'e' && a[1] != 'f' && strings.HasSuffix(a, "i") && strings.Trim(a[1:], "nrEsuzi") == "" {
			inPlace = true
			args = append(args, strings.TrimSuffix(a, "i"))
			continue
		}
		args = append(args, a)
	}
	p.args = args
	o, ok := p.parse("ne:f:rEsuzl:", "quiet=n silent=n expression:=e file:=f regexp-extended=E separate=s null-data=z posix unbuffered=u follow-symlinks debug sandbox", false)
	if !ok {
		return 1
	}
	rest := o.rest
	script := strings.Join(o.all["e"], "\n")
	for _, f := range o.all["f"] {
		data, err := p.readAll(f)
		if err != nil {
			return p.fail("couldn't open file %s: %s", f, why(err))
		}
		script += "\n" + string(data)
	}
	if !o.has("e", "f") {
		if len(rest) == 0 {
			return p.fail("no script specified")
		}
		script, rest = rest[0], rest[1:]
	}
	quiet := o.has("n")
	if strings.HasPrefix(script, "#n\n") {
		quiet = true
	}
	compile := func() ([]*sedCmd, error) { return (&sedParser{s: script, extended: o.has("r", "E")}).parse(false) }
	prog, err := compile()
	if err != nil {
		return p.fail("-e expression #1: %v", err)
	}
	if inPlace {
		code := 0
		for _, name := range rest {
			data, err := p.readAll(name)
			fi, serr := p.v.Stat(p.abs(name))
			if err != nil || serr != nil {
				if err == nil {
					err = serr
				}
				code = p.failCode(2, "can't read %s: %s", name, why(err))
				continue
			}
			prog, _ = compile()
			r := &sedRun{p: p, prog: prog, quiet: quiet, in: splitLines(string(data)), out: &strings.Builder{}}
			r.run()
			if r.quit {
				for r.at < len(r.in) {
					r.print(r.in[r.at])
					r.at++
				}
			}
			text := r.out.String()
			if len(data) > 0 && data[len(data)-1] != '\n' {
				text = strings.TrimSuffix(text, "\n")
			}
			if suffix != "" {
				backup := name + suffix
				if strings.Contains(suffix, "*") {
					backup = path.Join(path.Dir(name), strings.ReplaceAll(suffix, "*", path.Base(name)))
				}
				p.v.WriteFile(p.abs(backup), data, fi.mode.Perm())
			}
			if err := p.v.WriteFile(p.abs(name), []byte(text), fi.mode.Perm()); err != nil {
				code = p.failCode(4, "couldn't write %s: %s", name, why(err))
			}
			code = max(code, r.code)
		}
		return code
	}
	r := &sedRun{p: p, prog: prog, quiet: quiet, out: &strings.Builder{}, w: p.out}
	code := p.inputs(rest, func(_ string, in io.Reader) {
		data, _ := io.ReadAll(&limited{p.ctx, in, 256 << 20})
		r.in = append(r.in, splitLines(string(data))...)
	})
	if code != 0 {
		code = 2
	}
	r.run()
	io.WriteString(p.out, r.out.String())
	return max(code, r.code)
}
