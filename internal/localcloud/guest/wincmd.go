package guest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxCommandLine is what cmd.exe takes.
const maxCommandLine = 8191

// command runs a command line with cmd.exe and returns its exit code.
func (w *winProc) command(line string) int {
	if w.depth++; w.depth > 60 {
		return 1
	}
	defer func() { w.depth-- }()
	if len(line) > maxCommandLine {
		io.WriteString(w.err, "The command line is too long.\r\n")
		return 1
	}
	b := &batch2{w: w}
	code, _ := b.line(b.expandVars(line))
	if w.ctx.Err() != nil {
		return 1
	}
	return code
}

// batch2 is a running cmd.exe: a line or a batch file.
type batch2 struct {
	w     *winProc
	lines []string
	at    int
	args  []string
	code  int
	done  bool
	steps int
	delay bool
}

var errGoto = errors.New("goto")

// runBatch runs a batch file.
func (w *winProc) runBatch(file string, args []string) int {
	text, err := w.readText(file)
	if err != nil {
		io.WriteString(w.err, "The system cannot find the file specified.\r\n")
		return 1
	}
	b := &batch2{w: w, args: append([]string{file}, args...), lines: joinParens(strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n"))}
	for b.at < len(b.lines) && !b.done && w.ctx.Err() == nil {
		l := b.lines[b.at]
		b.at++
		if b.steps++; b.steps > 1_000_000 {
			return 1
		}
		if t := strings.TrimSpace(l); t == "" || strings.HasPrefix(t, ":") {
			continue
		}
		code, err := b.line(b.expandVars(l))
		if err != errGoto {
			b.code = code
		}
	}
	return b.code
}

// joinParens makes one line of a parenthesised block and of lines continued with ^.
func joinParens(in []string) []string {
	var out []string
	cur, depth := "", 0
	for _, l := range in {
		l = strings.TrimRight(l, "\r")
		if strings.HasSuffix(l, "^") {
			cur += strings.TrimSuffix(l, "^")
			continue
		}
		quoted := false
		rem := strings.HasPrefix(strings.ToLower(strings.TrimSpace(l)), "rem ") || strings.HasPrefix(strings.TrimSpace(l), "::")
		for i := 0; i < len(l) && !rem; i++ {
			switch l[i] {
			case '"':
				quoted = !quoted
			case '^':
				i++
			case '(':
				if !quoted && (depth > 0 || blockOpens(l, i)) {
					depth++
				}
			case ')':
				if !quoted && depth > 0 {
					depth--
				}
			}
		}
		cur += l
		if depth > 0 {
			cur += "\n"
			continue
		}
		out = append(out, cur)
		cur = ""
	}
	if cur != "" {
		out = append(out, cur)
	}
	return out
}

// blockOpens tells the parenthesis of a block from one in a text: it ends its line or begins a command.
func blockOpens(l string, i int) bool {
	return strings.TrimSpace(l[i+1:]) == "" || strings.TrimSpace(l[:i]) == "" || regexp.MustCompile(`(?i)^\s*@?(if|for|else)\b`).MatchString(l)
}

// expandArgs resolves %1, %*, %~dp0 and %VAR%.
func (b *batch2) expandVars(s string) string {
	if b.args != nil {
		s = regexp.MustCompile(`%(~[a-z]*)?([0-9*])`).ReplaceAllStringFunc(s, func(m string) string {
			mod := strings.TrimSuffix(strings.TrimPrefix(m, "%"), m[len(m)-1:])
			if m[len(m)-1] == '*' {
				return strings.Join(b.args[1:], " ")
			}
			n := int(m[len(m)-1] - '0')
			if n >= len(b.args) {
				return ""
			}
			a := b.args[n]
			if mod == "" {
				return a
			}
			a = strings.Trim(a, `"`)
			full := b.w.abs(a)
			switch strings.TrimPrefix(mod, "~") {
			case "dp":
				return strings.TrimRight(winDir(full), `\`) + `\`
			case "nx":
				return winBase(full)
			case "n":
				return strings.TrimSuffix(winBase(full), winExt(full))
			case "f":
				return full
			}
			return a
		})
	}
	s = regexp.MustCompile(`(?i)%errorlevel%`).ReplaceAllString(s, strconv.Itoa(b.code))
	s = b.w.expand(s)
	if b.args != nil {
		s = percentVar.ReplaceAllString(s, "") // unset variables are empty in a batch file
		s = strings.ReplaceAll(s, "%%", "%")
	}
	return s
}

// expandDelayed resolves !VAR! when a command runs; %VAR% was resolved with its whole line, as cmd.exe does.
func (b *batch2) expandDelayed(s string) string {
	if b.delay {
		s = regexp.MustCompile(`!([A-Za-z_][A-Za-z0-9_()]*)!`).ReplaceAllStringFunc(s, func(m string) string {
			if strings.EqualFold(m, "!errorlevel!") {
				return strconv.Itoa(b.code)
			}
			v, _ := b.w.getenv(strings.Trim(m, "!"))
			return v
		})
	}
	return s
}

// part is a command of a line and the operator after it.
type cmdPart struct{ text, op string }

// split cuts a line at &, &&, || and | outside quotes and parentheses.
func splitCommands(s string) []cmdPart {
	var out []cmdPart
	quoted, depth, start := false, 0, 0
	add := func(end int, op string) {
		out = append(out, cmdPart{strings.TrimLeft(s[start:end], " \t\r\n"), op})
		start = end + len(op)
	}
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '^' && !quoted:
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '(' && (depth > 0 || strings.TrimSpace(s[start:i]) == "" || regexp.MustCompile(`(?i)^\s*@?(if|for|else)\b`).MatchString(s[start:i])):
			depth++
		case c == ')' && depth > 0:
			depth--
		case depth > 0:
		case c == '&':
			if i > 0 && s[i-1] == '>' {
				continue // 2>&1
			}
			op := "&"
			if i+1 < len(s) && s[i+1] == '&' {
				op = "&&"
			}
			add(i, op)
			i += len(op) - 1
		case c == '|':
			op := "|"
			if i+1 < len(s) && s[i+1] == '|' {
				op = "||"
			}
			add(i, op)
			i += len(op) - 1
		case c == '\n':
			add(i, "\n")
		}
	}
	out = append(out, cmdPart{strings.TrimLeft(s[start:], " \t\r\n"), ""})
	return out
}

func (b *batch2) line(s string) (int, error) {
	parts := splitCommands(s)
	code := b.code
	skip := ""
	for i := 0; i < len(parts); i++ {
		p := parts[i]
		if b.done || b.w.ctx.Err() != nil {
			break
		}
		run := p.text != ""
		switch skip {
		case "&&":
			run = run && code == 0
		case "||":
			run = run && code != 0
		}
		// if takes the rest of its line.
		if low := strings.ToLower(strings.TrimLeft(p.text, "@ ")); strings.HasPrefix(low, "if ") || strings.HasPrefix(low, "for ") {
			for p.op != "" && p.op != "\n" && i+1 < len(parts) {
				i++
				p.text += " " + p.op + " " + parts[i].text
				p.op = parts[i].op
			}
			for strings.HasPrefix(low, "if ") && i+1 < len(parts) && strings.HasPrefix(strings.ToLower(parts[i+1].text), "else") {
				i++
				p.text += " " + parts[i].text
				p.op = parts[i].op
			}
		}
		skip = p.op
		if !run {
			continue
		}
		if p.op == "|" {
			// Collect the output for the next command.
			w := *b.w
			var buf strings.Builder
			w.out = &buf
			sub := &batch2{w: &w, args: b.args, code: code, delay: b.delay}
			sub.command(p.text)
			next := parts[i+1]
			parts[i+1] = cmdPart{next.text, next.op}
			old := b.w.in
			b.w.in = strings.NewReader(buf.String())
			var err error
			i++
			code, err = b.command(parts[i].text)
			b.w.in = old
			skip = parts[i].op
			b.code = code
			if err != nil {
				return code, err
			}
			continue
		}
		c, err := b.command(p.text)
		if err != nil {
			return c, err
		}
		code = c
		b.code = code
	}
	return code, nil
}

var redirection = regexp.MustCompile(`(^|[^0-9])([012]?)(>>?|<)\s*(&[012]|"[^"]*"|[^\s"&|<>]+)`)

// command runs one command with its redirections.
func (b *batch2) command(s string) (int, error) {
	s = strings.TrimLeft(strings.TrimPrefix(strings.TrimLeft(s, " \t\r\n"), "@"), " \t\r\n")
	if strings.TrimSpace(s) == "" {
		return b.code, nil
	}
	low := strings.ToLower(s)
	if !strings.HasPrefix(low, "echo") { // echo keeps the blanks before an operator
		s = strings.TrimRight(s, " \t\r\n")
		low = strings.ToLower(s)
	}
	block := ""
	switch {
	case strings.HasPrefix(low, "if "):
		return b.ifCommand(s[3:])
	case strings.HasPrefix(low, "for "):
		return b.forCommand(s[4:])
	case strings.HasPrefix(s, "("):
		end := matching(s)
		if end < 0 {
			return b.syntax(s)
		}
		block, s = s[1:end], s[end+1:]
	case strings.HasPrefix(low, "rem ") || low == "rem" || strings.HasPrefix(s, "::"):
		return b.code, nil
	}
	s = b.expandDelayed(s)
	// Redirections outside quotes.
	w := b.w
	oldIn, oldOut, oldErr := w.in, w.out, w.err
	defer func() { w.in, w.out, w.err = oldIn, oldOut, oldErr }()
	masked := maskQuotes(s)
	locs := redirection.FindAllStringSubmatchIndex(masked, -1)
	var clean strings.Builder
	last := 0
	for _, m := range locs {
		fd, op, target := s[m[4]:m[5]], s[m[6]:m[7]], s[m[8]:m[9]]
		clean.WriteString(s[last:m[3]])
		last = m[1]
		switch {
		case strings.HasPrefix(target, "&"):
			if target == "&1" {
				w.err = w.out
			} else if target == "&2" {
				w.out = w.err
			}
		case op == "<":
			text, err := w.readText(target)
			if err != nil {
				io.WriteString(w.err, "The system cannot find the file specified.\r\n")
				return 1, nil
			}
			w.in = strings.NewReader(text)
		default:
			var out io.Writer = io.Discard
			if n := strings.Trim(target, `"`); !strings.EqualFold(n, "nul") && !strings.EqualFold(n, "con") {
				f, err := w.create(n, op == ">>")
				if err != nil {
					io.WriteString(w.err, "The system cannot find the path specified.\r\n")
					return 1, nil
				}
				defer f.Close()
				out = f
			}
			if fd == "2" {
				w.err = out
			} else {
				w.out = out
			}
		}
	}
	if block != "" {
		return b.line(block)
	}
	if rest := s[last:]; len(locs) == 0 || strings.TrimSpace(rest) != "" {
		clean.WriteString(rest)
	}
	text := clean.String()
	if len(locs) > 0 && !strings.HasPrefix(strings.ToLower(text), "echo") {
		text = strings.TrimSpace(text)
	}
	return b.simple(text)
}

// maskQuotes hides what stands in quotes from a search, keeping positions. A quoted target of a redirection stays.
func maskQuotes(s string) string {
	out := []byte(s)
	quoted := false
	for i := 0; i < len(out); i++ {
		if out[i] == '"' {
			quoted = !quoted
			continue
		}
		if out[i] == '^' && !quoted && i+1 < len(out) {
			out[i], out[i+1] = 'x', 'x'
			i++
			continue
		}
		if quoted && (out[i] == '>' || out[i] == '<') {
			out[i] = 'x'
		}
	}
	return string(out)
}

func matching(s string) int {
	depth, quoted := 0, false
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '"':
			quoted = !quoted
		case quoted:
		case s[i] == '(':
			depth++
		case s[i] == ')':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}

func (b *batch2) syntax(s string) (int, error) {
	fmt.Fprintf(b.w.err, "The syntax of the command is incorrect.\r\n")
	return 1, nil
}

func (b *batch2) ifCommand(s string) (int, error) {
	s = strings.TrimSpace(s)
	fold, not := false, false
	for {
		low := strings.ToLower(s)
		switch {
		case strings.HasPrefix(low, "/i "):
			fold, s = true, strings.TrimSpace(s[3:])
			continue
		case strings.HasPrefix(low, "not "):
			not, s = !not, strings.TrimSpace(s[4:])
			continue
		}
		break
	}
	token := func() string {
		s = strings.TrimLeft(s, " \t")
		quoted := false
		i := 0
		for i < len(s) && (quoted || s[i] != ' ' && s[i] != '\t' && s[i] != '(' && !(s[i] == '=' && i+1 < len(s) && s[i+1] == '=')) {
			if s[i] == '"' {
				quoted = !quoted
			}
			i++
		}
		t := s[:i]
		s = s[i:]
		return b.expandDelayed(t)
	}
	ok := false
	low := strings.ToLower(s)
	switch {
	case strings.HasPrefix(low, "exist "):
		s = s[6:]
		name := token()
		if strings.ContainsAny(name, "*?") {
			run := &psRun{w: b.w}
			for _, m := range (&psCtx{run: run, vars: newVars(nil)}).matches(strings.Trim(name, `"`)) {
				ok = ok || b.w.v.exists(b.w.path(m))
			}
		} else {
			ok = b.w.v.exists(b.w.path(name))
		}
	case strings.HasPrefix(low, "defined "):
		s = s[8:]
		_, ok = b.w.getenv(token())
	case strings.HasPrefix(low, "errorlevel "):
		s = s[11:]
		n, _ := strconv.Atoi(token())
		ok = b.code >= n
	default:
		left := token()
		s = strings.TrimLeft(s, " \t")
		op := "=="
		if strings.HasPrefix(s, "==") {
			s = s[2:]
		} else {
			op = strings.ToLower(token())
		}
		right := token()
		x, y := left, right
		if fold {
			x, y = strings.ToLower(x), strings.ToLower(y)
		}
		n, e1 := strconv.Atoi(strings.Trim(x, `"`))
		m, e2 := strconv.Atoi(strings.Trim(y, `"`))
		c := strings.Compare(x, y)
		if op != "==" && e1 == nil && e2 == nil {
			c = n - m
		}
		switch op {
		case "==", "equ":
			ok = c == 0
		case "neq":
			ok = c != 0
		case "lss":
			ok = c < 0
		case "leq":
			ok = c <= 0
		case "gtr":
			ok = c > 0
		case "geq":
			ok = c >= 0
		default:
			return b.syntax(s)
		}
	}
	s = strings.TrimSpace(s)
	body, rest := s, ""
	if strings.HasPrefix(s, "(") {
		end := matching(s)
		if end < 0 {
			return b.syntax(s)
		}
		body, rest = s[1:end], strings.TrimSpace(s[end+1:])
		if strings.HasPrefix(strings.ToLower(rest), "else") {
			rest = strings.TrimSpace(rest[4:])
			if strings.HasPrefix(rest, "(") {
				if end := matching(rest); end > 0 {
					rest = rest[1:end]
				}
			}
		} else {
			// what follows the block belongs to the line
			code, err := b.code, error(nil)
			if ok != not {
				if code, err = b.line(body); err != nil {
					return code, err
				}
			}
			if rest = strings.TrimLeft(rest, "& "); rest != "" {
				return b.line(rest)
			}
			return code, nil
		}
	}
	if ok != not {
		return b.line(body)
	}
	if rest != "" {
		return b.line(rest)
	}
	return b.code, nil
}

var forList = regexp.MustCompile(`(?is)^(/l\s+)?%%?([a-z])\s+in\s*\(([^)]*)\)\s+do\s+(.*)$`)

func (b *batch2) forCommand(s string) (int, error) {
	m := forList.FindStringSubmatch(strings.TrimSpace(s))
	if m == nil {
		fmt.Fprintf(b.w.err, "this form of FOR is not simulated\r\n")
		return 1, nil
	}
	items := strings.FieldsFunc(b.expandDelayed(m[3]), func(r rune) bool { return r == ' ' || r == ',' || r == ';' || r == '\t' })
	if m[1] != "" && len(items) == 3 {
		from, _ := strconv.Atoi(items[0])
		step, _ := strconv.Atoi(items[1])
		to, _ := strconv.Atoi(items[2])
		items = nil
		for n := from; step > 0 && n <= to || step < 0 && n >= to; n += step {
			if items = append(items, strconv.Itoa(n)); len(items) > 100_000 {
				break
			}
		}
	}
	code := 0
	for _, it := range items {
		body := regexp.MustCompile(`%%?`+m[2]).ReplaceAllLiteralString(m[4], it)
		c, err := b.line(strings.TrimSpace(body))
		if err != nil || b.done {
			return c, err
		}
		code = c
	}
	return code, nil
}

// simple runs one command: what cmd.exe knows itself, else a program.
func (b *batch2) simple(s string) (int, error) {
	w := b.w
	s = strings.TrimLeft(s, " \t,;=")
	i := strings.IndexAny(s, " \t/,;=")
	if strings.HasPrefix(s, `"`) {
		if j := strings.IndexByte(s[1:], '"'); j >= 0 {
			i = j + 2
			if i >= len(s) {
				i = -1
			}
		}
	} else if i == 0 || strings.ContainsAny(firstWord(s), `\:`) {
		i = strings.IndexAny(s, " \t")
	}
	name, rest := s, ""
	if i >= 0 {
		name, rest = s[:i], s[i:]
	}
	low := strings.ToLower(strings.Trim(name, `"`))
	if strings.HasPrefix(low, "echo.") || strings.HasPrefix(low, "echo:") {
		rest, low = s[len("echo."):], "echo."
	}
	args := winWords(rest)
	fail := func(msg string) (int, error) {
		io.WriteString(w.err, msg+"\r\n")
		return 1, nil
	}
	operands := func() []string {
		var out []string
		for _, a := range args {
			if !strings.HasPrefix(a, "/") {
				out = append(out, a)
			}
		}
		return out
	}
	has := func(f string) bool {
		return slices.ContainsFunc(args, func(a string) bool { return strings.EqualFold(a, f) })
	}
	switch low {
	case "echo", "echo.":
		text := strings.TrimPrefix(rest, " ")
		switch {
		case low == "echo" && strings.EqualFold(strings.TrimSpace(text), "off"), low == "echo" && strings.EqualFold(strings.TrimSpace(text), "on"):
			return 0, nil
		case low == "echo" && strings.TrimSpace(text) == "":
			text = "ECHO is on."
		}
		io.WriteString(w.out, strings.ReplaceAll(text, "^", "")+"\r\n")
		return 0, nil
	case "set":
		text := strings.TrimSpace(rest)
		if strings.HasPrefix(text, `"`) {
			text = strings.TrimPrefix(text, `"`)
			if j := strings.LastIndexByte(text, '"'); j >= 0 {
				text = text[:j]
			}
		}
		if strings.HasPrefix(strings.ToLower(text), "/p") {
			return 0, nil
		}
		if strings.HasPrefix(strings.ToLower(text), "/a") {
			k, e, ok := strings.Cut(strings.TrimSpace(text[2:]), "=")
			if ok {
				run := &psRun{w: w, funcs: map[string]*psBlock{}}
				c := &psCtx{run: run, vars: newVars(nil), out: func(any) {}}
				expr := regexp.MustCompile(`[A-Za-z_]\w*`).ReplaceAllStringFunc(e, func(n string) string {
					if v, ok := w.getenv(n); ok {
						return v
					}
					return "0"
				})
				if blk, err := psParse(expr); err == nil {
					var v any
					func() {
						defer func() { recover() }()
						v = psValue(c.collect(func(c *psCtx) { c.stmts(blk.end) }))
					}()
					w.setenv(strings.TrimSpace(k), psString(v))
				}
			}
			return 0, nil
		}
		k, v, ok := strings.Cut(text, "=")
		if !ok {
			found := false
			for _, n := range w.envNames() {
				if strings.HasPrefix(strings.ToUpper(n), strings.ToUpper(k)) {
					val, _ := w.getenv(n)
					fmt.Fprintf(w.out, "%s=%s\r\n", n, val)
					found = true
				}
			}
			if !found {
				return fail("Environment variable " + k + " not defined")
			}
			return 0, nil
		}
		w.setenv(k, v)
		return 0, nil
	case "setlocal":
		b.delay = b.delay || strings.Contains(strings.ToLower(rest), "enabledelayedexpansion")
		return 0, nil
	case "endlocal", "title", "color", "prompt", "chcp", "cls", "verify", "break", "mode", "assoc", "ftype":
		return 0, nil
	case "pause":
		return 0, nil
	case "ver":
		fmt.Fprintf(w.out, "\r\nMicrosoft Windows [Version %s] (simulated by tfbake)\r\n", w.g.sys.Kernel)
		return 0, nil
	case "exit":
		code := b.code
		for _, a := range args {
			if n, err := strconv.Atoi(a); err == nil {
				code = n
			}
		}
		b.done, b.code = true, code
		return code, nil
	case "goto":
		label := strings.ToLower(strings.TrimPrefix(strings.TrimSpace(rest), ":"))
		if label == "eof" {
			b.done = true
			return b.code, nil
		}
		for n, l := range b.lines {
			if strings.ToLower(strings.TrimPrefix(strings.Fields(l + " x")[0], ":")) == label && strings.HasPrefix(strings.TrimSpace(l), ":") {
				b.at = n + 1
				return b.code, errGoto
			}
		}
		b.done = true
		return fail("The system cannot find the batch label specified - " + label)
	case "call":
		if strings.HasPrefix(strings.TrimSpace(rest), ":") {
			return fail("CALL of labels is not simulated")
		}
		return b.simple(strings.TrimSpace(rest))
	case "cd", "chdir":
		ops := operands()
		if len(ops) == 0 {
			fmt.Fprintf(w.out, "%s\r\n", w.dir)
			return 0, nil
		}
		if !w.v.isDir(w.path(ops[0])) {
			return fail("The system cannot find the path specified.")
		}
		w.dir = w.abs(ops[0])
		return 0, nil
	case "pushd":
		if ops := operands(); len(ops) > 0 {
			if !w.v.isDir(w.path(ops[0])) {
				return fail("The system cannot find the path specified.")
			}
			w.stack = append(w.stack, w.dir)
			w.dir = w.abs(ops[0])
		}
		return 0, nil
	case "popd":
		if n := len(w.stack); n > 0 {
			w.dir, w.stack = w.stack[n-1], w.stack[:n-1]
		}
		return 0, nil
	case "type":
		for _, n := range operands() {
			data, err := w.v.ReadFile(w.path(n))
			if err != nil {
				return fail("The system cannot find the file specified.")
			}
			w.out.Write(data)
		}
		return 0, nil
	case "md", "mkdir":
		for _, n := range operands() {
			g := w.path(n)
			if w.v.exists(g) {
				return fail("A subdirectory or file " + n + " already exists.")
			}
			if err := w.v.MkdirAll(g, 0o755); err != nil {
				return fail(why(err))
			}
		}
		return 0, nil
	case "rd", "rmdir":
		for _, n := range operands() {
			g := w.path(n)
			if !w.v.isDir(g) {
				return fail("The system cannot find the file specified.")
			}
			err := error(nil)
			if has("/s") {
				err = w.v.RemoveAll(g)
			} else {
				err = w.v.Remove(g)
			}
			if err != nil {
				return fail("The directory is not empty.")
			}
		}
		return 0, nil
	case "del", "erase":
		c := &psCtx{run: &psRun{w: w}, vars: newVars(nil)}
		for _, n := range operands() {
			hit := false
			for _, m := range c.matches(n) {
				if fi, err := w.v.Stat(w.path(m)); err == nil && !fi.IsDir() {
					hit = true
					w.v.Remove(w.path(m))
				}
			}
			if !hit {
				fmt.Fprintf(w.err, "Could Not Find %s\r\n", w.abs(n))
			}
		}
		return 0, nil
	case "copy", "xcopy", "move", "ren", "rename", "robocopy":
		ops := operands()
		if len(ops) == 0 {
			return fail("The syntax of the command is incorrect.")
		}
		if len(ops) == 1 {
			ops = append(ops, ".")
		}
		from, to := ops[0], ops[1]
		if strings.HasPrefix(low, "ren") {
			to = strings.TrimRight(winDir(w.abs(from)), `\`) + `\` + winBase(to)
		}
		c := &psCtx{run: &psRun{w: w}, vars: newVars(nil)}
		n := 0
		for _, m := range c.matches(from) {
			var err error
			switch low {
			case "move", "ren", "rename":
				dst := w.path(to)
				if w.v.isDir(dst) {
					dst += "/" + winBase(m)
				}
				err = w.v.move(w.path(m), dst)
			case "xcopy", "robocopy":
				if w.v.isDir(w.path(m)) {
					w.v.MkdirAll(w.path(to), 0o755)
					entries, _ := w.v.ReadDir(w.path(m))
					for _, e := range entries {
						if err == nil {
							err = w.copy(m+`\`+e.name, to, true)
						}
					}
				} else {
					err = w.copy(m, to, true)
				}
			default:
				err = w.copy(m, to, false)
			}
			if err != nil {
				if errors.Is(err, fs.ErrNotExist) {
					return fail("The system cannot find the file specified.")
				}
				return fail(why(err))
			}
			n++
		}
		if n == 0 {
			return fail("The system cannot find the file specified.")
		}
		fmt.Fprintf(w.out, "        %d file(s) copied.\r\n", n)
		if low == "robocopy" {
			return 1, nil
		}
		return 0, nil
	case "dir":
		dir := w.dir
		if ops := operands(); len(ops) > 0 {
			dir = ops[0]
		}
		entries, err := w.v.ReadDir(w.path(dir))
		if err != nil {
			if w.v.exists(w.path(dir)) {
				fmt.Fprintf(w.out, "%s\r\n", winBase(dir))
				return 0, nil
			}
			return fail("File Not Found")
		}
		for _, e := range entries {
			if has("/b") {
				fmt.Fprintf(w.out, "%s\r\n", e.name)
			} else {
				kind := fmt.Sprintf("%18d", e.Size())
				if e.IsDir() {
					kind = "   <DIR>          "
				}
				fmt.Fprintf(w.out, "%s  %s %s\r\n", e.ModTime().UTC().Format("01/02/2006  03:04 PM"), kind, e.name)
			}
		}
		return 0, nil
	case "start":
		for len(args) > 0 && (strings.HasPrefix(args[0], "/") || args[0] == "") {
			args = args[1:]
		}
		if len(args) == 0 {
			return 0, nil
		}
		return b.exec(args), nil
	case "cmd", "cmd.exe", `c:\windows\system32\cmd.exe`:
		line := strings.TrimSpace(rest)
		for strings.HasPrefix(line, "/") && len(line) > 1 {
			flag := strings.ToLower(line[1:2])
			line = strings.TrimSpace(line[2:])
			if flag == "c" || flag == "k" || flag == "r" {
				break
			}
			if j := strings.IndexByte(line, ' '); strings.HasPrefix(line, ":") && j > 0 {
				line = strings.TrimSpace(line[j:])
			}
		}
		return w.command(w.stripQuotes(line)), nil
	case "powershell", "powershell.exe", "pwsh", "pwsh.exe":
		return w.runPowerShell(rest), nil
	}
	argv := append([]string{strings.Trim(name, `"`)}, args...)
	return b.exec(argv), nil
}

// stripQuotes takes the outer quotes off what follows cmd /c, unless they are those of a program's name.
func (w *winProc) stripQuotes(line string) string {
	if strings.HasPrefix(line, `"`) && strings.HasSuffix(line, `"`) && len(line) > 1 && (strings.Count(line, `"`) > 2 || w.find(strings.Trim(line, `"`)) == "") {
		return line[1 : len(line)-1]
	}
	return line
}

func firstWord(s string) string {
	if f := strings.Fields(s); len(f) > 0 {
		return f[0]
	}
	return ""
}

func (b *batch2) exec(argv []string) int {
	code := b.w.program(argv)
	if code == notProgram {
		fmt.Fprintf(b.w.err, "'%s' is not recognized as an internal or external command,\r\noperable program or batch file.\r\n", argv[0])
		return 1
	}
	return code
}

// runPowerShell parses powershell.exe's command line.
func (w *winProc) runPowerShell(rest string) int {
	rest = strings.TrimSpace(rest)
	for rest != "" {
		i := strings.IndexAny(rest, " \t")
		tok, after := rest, ""
		if i >= 0 {
			tok, after = rest[:i], strings.TrimSpace(rest[i:])
		}
		if tok == "" || tok[0] != '-' && tok[0] != '/' {
			break
		}
		opt := strings.ToLower(strings.TrimLeft(tok, "-/"))
		value := func() string {
			j := strings.IndexAny(after, " \t")
			v := after
			if j >= 0 {
				v, after = after[:j], strings.TrimSpace(after[j:])
			} else {
				after = ""
			}
			return strings.Trim(v, `"`)
		}
		is := func(full string, min int) bool { return len(opt) >= min && strings.HasPrefix(full, opt) }
		switch {
		case is("encodedcommand", 1) && opt != "ex" && opt != "exe" && !strings.HasPrefix(opt, "ex"), opt == "ec":
			script, err := decodeCommand(value())
			if err != nil {
				io.WriteString(w.err, "Cannot process the command because the value specified with -EncodedCommand is not properly encoded.\r\n")
				return 1
			}
			return w.powershell(script, "", nil, false)
		case is("command", 1):
			return w.powershell(unwrapCommand(after), "", nil, false)
		case is("file", 1):
			words := winWords(after)
			if len(words) == 0 {
				io.WriteString(w.err, "The argument to the -File parameter does not exist.\r\n")
				return 1
			}
			text, err := w.readText(words[0])
			if err != nil {
				fmt.Fprintf(w.err, "The argument '%s' to the -File parameter does not exist. Provide the path to an existing '.ps1' file as an argument to the -File parameter.\r\n", words[0])
				return 0xfffd0000 & 0xffff
			}
			var args []any
			for _, a := range words[1:] {
				args = append(args, a)
			}
			return w.powershell(text, w.abs(words[0]), args, true)
		case is("executionpolicy", 2), opt == "ep", is("version", 1), is("inputformat", 2), is("outputformat", 1), is("windowstyle", 1), is("configurationname", 7), is("psconsolefile", 1):
			value()
		case is("noprofile", 3), is("noninteractive", 4), is("nologo", 3), is("sta", 1), is("mta", 1), is("noexit", 3):
		default:
			fmt.Fprintf(w.err, "%s : The term '%s' is not recognized as the name of a cmdlet, function, script file, or operable program.\r\n", tok, tok)
			return 1
		}
		rest = after
	}
	if rest == "" {
		data, _ := io.ReadAll(io.LimitReader(w.stdin(), 16<<20))
		return w.powershell(string(data), "", nil, false)
	}
	return w.powershell(unwrapCommand(rest), "", nil, false)
}

// unwrapCommand takes the quotes off a -Command argument as the C runtime does.
func unwrapCommand(s string) string {
	s = strings.TrimSpace(s)
	if strings.HasPrefix(s, `"`) && strings.HasSuffix(s, `"`) && len(s) > 1 {
		return strings.ReplaceAll(s[1:len(s)-1], `\"`, `"`)
	}
	return strings.ReplaceAll(s, `\"`, `"`)
}

var windowsPrograms = []string{"shutdown", "net", "net1", "sc", "reg", "winrm", "ipconfig", "msiexec", "timeout", "where", "whoami", "hostname", "netsh", "schtasks", "findstr", "find", "icacls", "takeown", "cscript", "wscript",
	"systeminfo", "tasklist", "taskkill", "ping", "sysprep", "setx", "attrib", "dism", "wmic", "powercfg", "wevtutil", "bcdedit", "gpupdate", "wusa", "sfc", "more", "sort", "tzutil", "cmd", "powershell", "pwsh", "robocopy", "xcopy", "curl", "sc.exe", "secedit", "w32tm", "choco", "regsvr32", "rundll32"}

func isWindowsProgram(name string) bool {
	name = strings.ToLower(winBase(name))
	for _, ext := range []string{".exe", ".cmd", ".com"} {
		name = strings.TrimSuffix(name, ext)
	}
	return slices.Contains(windowsPrograms, name)
}

// program runs a program by its words. notProgram says that there is none.
func (w *winProc) program(argv []string) int {
	if w.depth++; w.depth > 60 {
		return 1
	}
	defer func() { w.depth-- }()
	file := w.find(argv[0])
	base := strings.ToLower(winBase(argv[0]))
	ext := strings.ToLower(winExt(file))
	if strings.ContainsAny(argv[0], `\/`) && file == "" {
		return notProgram
	}
	name := strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(base, ".exe"), ".cmd"), ".com")
	if ext == ".bat" || ext == ".cmd" && !isStub(w, file) {
		return w.runBatch(file, argv[1:])
	}
	if file != "" && !isStub(w, file) && ext != ".ps1" {
		fmt.Fprintf(w.err, "%s is not a program this server can run: it is simulated by tfbake\r\n", file)
		return 216
	}
	if ext == ".ps1" {
		text, err := w.readText(file)
		if err != nil {
			return 1
		}
		return w.powershell(text, file, nil, true)
	}
	if !isWindowsProgram(name) {
		return notProgram
	}
	return w.builtinProgram(name, argv)
}

func isStub(w *winProc, file string) bool {
	if file == "" {
		return false
	}
	text, err := w.readText(file)
	if err != nil {
		return false
	}
	_, ok := stubName(text)
	return ok
}

func (w *winProc) builtinProgram(name string, argv []string) int {
	args := argv[1:]
	low := make([]string, len(args))
	for i, a := range args {
		low[i] = strings.ToLower(a)
	}
	has := func(names ...string) bool {
		return slices.ContainsFunc(low, func(a string) bool {
			return slices.Contains(names, a) || len(a) > 0 && a[0] == '-' && slices.Contains(names, "/"+a[1:])
		})
	}
	say := func(format string, a ...any) { fmt.Fprintf(w.out, format+"\r\n", a...) }
	fail := func(code int, format string, a ...any) int {
		fmt.Fprintf(w.err, format+"\r\n", a...)
		return code
	}
	joined := strings.ToLower(strings.Join(args, " "))
	switch name {
	case "shutdown":
		switch {
		case has("/a"):
			if !w.g.cancelShutdown() {
				return fail(1116, "Unable to abort the system shutdown because no shutdown was in progress.(1116)")
			}
			return 0
		case has("/l"):
			return 0
		case has("/s", "/r", "/p", "/g"):
			after := 30 * time.Second
			for i, a := range low {
				if (a == "/t" || a == "-t") && i+1 < len(low) {
					n, err := strconv.Atoi(low[i+1])
					if err != nil {
						return fail(87, "The parameter is incorrect.(87)")
					}
					after = time.Duration(n) * time.Second
				}
			}
			if has("/p") {
				after = 0
			}
			if !w.g.scheduleShutdown(has("/r", "/g"), after) {
				return fail(1190, "A system shutdown has already been scheduled.(1190)")
			}
			return 0
		}
		say("Usage: shutdown [/s | /r | /a] [/t xxx]")
		return 0
	case "sysprep":
		w.v.WriteFile("/Windows/System32/Sysprep/Sysprep_succeeded.tag", nil, 0o644)
		w.g.winLog("sysprep " + joined)
		for _, a := range args {
			if u, ok := strings.CutPrefix(strings.ToLower(a), "/unattend:"); ok && !w.v.exists(w.path(a[len(a)-len(u):])) {
				return fail(31, "sysprep: the answer file %s does not exist", a[len(a)-len(u):])
			}
		}
		switch {
		case has("/shutdown"):
			w.g.selfPower(false, 300*time.Millisecond)
		case has("/reboot"):
			w.g.selfPower(true, 300*time.Millisecond)
		case has("/quit"):
		}
		return 0
	case "winrm":
		return w.winrmTool(args, joined)
	case "sc":
		if len(args) < 2 {
			return fail(1639, "ERROR: Unrecognized command")
		}
		all := w.g.services()
		key := ""
		for k := range all {
			if strings.EqualFold(k, args[1]) {
				key = k
			}
		}
		if key == "" && low[0] != "create" {
			return fail(1060, "[SC] OpenService FAILED 1060:\r\n\r\nThe specified service does not exist as an installed service.")
		}
		s := all[key]
		switch low[0] {
		case "query", "qc":
			say("SERVICE_NAME: %s\r\n        STATE              : %s\r\n        START_TYPE         : %s", key, strings.ToUpper(s.state), s.start)
			return 0
		case "config":
			for i, a := range low {
				if v, ok := strings.CutPrefix(a, "start="); ok {
					if v == "" && i+1 < len(low) {
						v = low[i+1]
					}
					s.start = map[string]string{"auto": "Automatic", "demand": "Manual", "disabled": "Disabled", "delayed-auto": "AutomaticDelayedStart"}[v]
				}
			}
			say("[SC] ChangeServiceConfig SUCCESS")
		case "start":
			s.state = "Running"
		case "stop":
			s.state = "Stopped"
		case "create":
			key, s = args[1], winService{"Stopped", "Manual"}
			say("[SC] CreateService SUCCESS")
		case "delete":
			delete(all, key)
			w.g.saveServices(all)
			return 0
		}
		all[key] = s
		if key == "WinRM" && low[0] == "stop" {
			w.g.winrm.configure(func(c *winrmConfig) { c.Enabled = false })
		}
		w.g.saveServices(all)
		return 0
	case "net", "net1":
		if len(low) == 0 {
			return 1
		}
		switch low[0] {
		case "start", "stop":
			if len(args) < 2 {
				for k, s := range w.g.services() {
					if s.state == "Running" {
						say("   %s", k)
					}
				}
				return 0
			}
			all := w.g.services()
			for k, s := range all {
				if strings.EqualFold(k, args[1]) {
					s.state = map[string]string{"start": "Running", "stop": "Stopped"}[low[0]]
					all[k] = s
					w.g.saveServices(all)
					say("The %s service was %s successfully.", k, map[string]string{"start": "started", "stop": "stopped"}[low[0]])
					return 0
				}
			}
			return fail(2, "The service name is invalid.")
		case "user":
			if len(args) == 1 {
				say("%s", strings.Join(w.g.windowsUsers(), "  "))
				return 0
			}
			_, hash := w.g.windowsHash(args[1])
			exists := hash != nil || slices.ContainsFunc(w.g.windowsUsers(), func(n string) bool { return strings.EqualFold(n, args[1]) })
			switch {
			case has("/delete"):
				w.g.setWindowsPassword(args[1], "")
			case len(args) >= 3 && !strings.HasPrefix(args[2], "/"):
				if !exists && !has("/add") {
					return fail(2, "The user name could not be found.")
				}
				if err := w.g.setWindowsPassword(args[1], args[2]); err != nil {
					return fail(1, "%v", err)
				}
				(&builder{view: w.v}).windowsHome(winBase(args[1]))
			case !exists && !has("/add"):
				return fail(2, "The user name could not be found.")
			}
			say("The command completed successfully.")
			return 0
		case "localgroup", "accounts", "share", "use", "time", "config":
			w.g.winLog("net " + joined)
			say("The command completed successfully.")
			return 0
		}
		return fail(1, "The syntax of this command is: NET [ START | STOP | USER | LOCALGROUP ]")
	case "reg":
		return w.regTool(args, low, has)
	case "setx":
		if len(args) < 2 {
			return fail(1, "ERROR: Invalid syntax.")
		}
		var ops []string
		for _, a := range args {
			if !strings.HasPrefix(a, "/") {
				ops = append(ops, a)
			}
		}
		if len(ops) >= 2 {
			w.g.setMachineEnv(ops[0], ops[1])
		}
		say("\r\nSUCCESS: Specified value was saved.")
		return 0
	case "hostname":
		say("%s", w.g.hostname())
		return 0
	case "whoami":
		say(`%s\%s`, strings.ToLower(w.g.hostname()), strings.ToLower(w.user))
		return 0
	case "where":
		code := 1
		for _, a := range args {
			if f := w.find(a); f != "" {
				say("%s", f)
				code = 0
			}
		}
		if code != 0 {
			fail(1, "INFO: Could not find files for the given pattern(s).")
		}
		return code
	case "timeout", "ping":
		n := 1
		for i, a := range low {
			if v, err := strconv.Atoi(a); err == nil && (name == "timeout" || i > 0 && low[i-1] == "-n") {
				n = v
			}
		}
		if name == "ping" {
			if !strings.Contains(joined, "127.0.0.1") && !strings.Contains(joined, "localhost") {
				return fail(1, "Ping request could not find host. (no network: this server is simulated by tfbake)")
			}
			n--
		}
		w.sleep(time.Duration(n) * time.Second)
		return 0
	case "findstr", "find":
		var pats, files []string
		fold, invert, quiet := false, false, false
		for _, a := range args {
			switch {
			case strings.EqualFold(a, "/i"):
				fold = true
			case strings.EqualFold(a, "/v"):
				invert = true
			case strings.HasPrefix(strings.ToLower(a), "/c:"):
				pats = append(pats, strings.Trim(a[3:], `"`))
			case strings.HasPrefix(a, "/"):
			case len(pats) == 0:
				pats = strings.Fields(a)
				if name == "find" {
					pats = []string{a}
				}
			default:
				files = append(files, a)
			}
		}
		text := ""
		if len(files) == 0 {
			b, _ := io.ReadAll(io.LimitReader(w.stdin(), 64<<20))
			text = textOf(b)
		}
		for _, f := range files {
			t, err := w.readText(f)
			if err != nil {
				return fail(1, "FINDSTR: Cannot open %s", f)
			}
			text += t
		}
		code := 1
		for _, l := range splitLines(strings.ReplaceAll(text, "\r\n", "\n")) {
			hit := false
			for _, p := range pats {
				expr := regexp.QuoteMeta(p)
				if name == "findstr" && !strings.ContainsAny(p, `\`) && has("/r") {
					expr = p
				}
				if fold {
					expr = "(?i)" + expr
				}
				if re, err := cachedRegexp(expr); err == nil && re.MatchString(l) {
					hit = true
				}
			}
			if hit != invert {
				code = 0
				if !quiet {
					say("%s", l)
				}
			}
		}
		return code
	case "more", "sort":
		b, _ := io.ReadAll(io.LimitReader(w.stdin(), 64<<20))
		l := splitLines(strings.ReplaceAll(string(b), "\r\n", "\n"))
		if name == "sort" {
			slices.Sort(l)
		}
		for _, s := range l {
			say("%s", s)
		}
		return 0
	case "cmd":
		for i, a := range low {
			if a == "/c" || a == "/k" {
				return w.command(w.stripQuotes(strings.Join(quoteWords(args[i+1:]), " ")))
			}
		}
		return 0
	case "powershell", "pwsh":
		return w.runPowerShell(strings.Join(quoteWords(args), " "))
	case "curl":
		return fail(6, "curl: (6) Could not resolve host (no network: this server is simulated by tfbake)")
	case "choco":
		return notProgram
	case "systeminfo":
		say("Host Name:  %s\r\nOS Name:    %s\r\nOS Version: %s (simulated by tfbake)", strings.ToUpper(w.g.hostname()), w.g.sys.Pretty, w.g.sys.Kernel)
		return 0
	case "ipconfig":
		say("Windows IP Configuration (simulated by tfbake)")
		return 0
	case "cscript", "wscript":
		for _, a := range args {
			if strings.HasPrefix(a, "/") {
				continue
			}
			text, err := w.readText(a)
			if err != nil {
				return fail(1, "Input Error: Can not find script file \"%s\".", w.abs(a))
			}
			cmds, err := vbCommands(text)
			if err != nil {
				return fail(1, "%v", err)
			}
			for _, l := range cmds {
				w.command(l)
			}
			return 0
		}
		return 0
	case "msiexec", "wusa":
		for _, a := range args {
			if l := strings.ToLower(a); (strings.HasSuffix(l, ".msi") || strings.HasSuffix(l, ".msu")) && !w.v.exists(w.path(a)) {
				return 1619
			}
		}
		w.g.winLog(name + " " + joined)
		return 0
	}
	// The rest is recorded and changes nothing.
	w.g.winLog(name + " " + joined)
	say("%s: recorded by tfbake's simulation", name)
	return 0
}

func quoteWords(words []string) []string {
	out := make([]string, len(words))
	for i, s := range words {
		if strings.ContainsAny(s, " \t&|<>") && !strings.HasPrefix(s, `"`) {
			s = `"` + strings.ReplaceAll(s, `"`, `\"`) + `"`
		}
		out[i] = s
	}
	return out
}

func (w *winProc) regTool(args, low []string, has func(...string) bool) int {
	if len(args) < 2 {
		fmt.Fprintf(w.err, "ERROR: Invalid syntax.\r\n")
		return 1
	}
	opt := func(f string) string {
		for i, a := range low {
			if a == f && i+1 < len(args) {
				return args[i+1]
			}
		}
		return ""
	}
	r := w.registry()
	name := opt("/v")
	switch low[0] {
	case "add":
		if name == "" && !has("/ve") {
			r.add(args[1])
		} else {
			r.set(args[1], name, opt("/d"))
		}
	case "delete":
		if name != "" {
			r.unset(args[1], name)
		} else {
			r.remove(args[1])
		}
	case "query":
		vals, ok := r.values(args[1])
		if _, has := vals[name]; !ok || name != "" && !has {
			fmt.Fprintf(w.err, "ERROR: The system was unable to find the specified registry key or value.\r\n")
			return 1
		}
		fmt.Fprintf(w.out, "\r\n%s\r\n", args[1])
		for k, v := range vals {
			if name == "" || name == k {
				fmt.Fprintf(w.out, "    %s    REG_SZ    %s\r\n", k, v)
			}
		}
		return 0
	case "import", "export", "load", "unload":
		w.g.winLog("reg " + strings.Join(low, " "))
	default:
		fmt.Fprintf(w.err, "ERROR: Invalid syntax.\r\n")
		return 1
	}
	fmt.Fprintf(w.out, "The operation completed successfully.\r\n")
	return 0
}

var settingValue = regexp.MustCompile(`(?i)(basic|allowunencrypted|[a-z]+)\s*=\s*"?(true|false|[^";}]*)"?`)

// winrmTool is winrm.cmd: it opens and configures the WinRM service.
func (w *winProc) winrmTool(args []string, joined string) int {
	svc := w.g.winrm
	switch {
	case strings.HasPrefix(joined, "quickconfig") || strings.HasPrefix(joined, "qc"):
		https := strings.Contains(joined, "https")
		svc.configure(func(c *winrmConfig) { c.Enabled = true; c.HTTPS = c.HTTPS || https })
		fmt.Fprintf(w.out, "WinRM has been updated to receive requests.\r\nWinRM service started.\r\n")
	case strings.HasPrefix(joined, "set"), strings.HasPrefix(joined, "s "):
		on := map[string]bool{}
		for _, m := range settingValue.FindAllStringSubmatch(joined, -1) {
			on[strings.ToLower(m[1])] = strings.EqualFold(m[2], "true")
		}
		svc.configure(func(c *winrmConfig) {
			if v, ok := on["basic"]; ok && strings.Contains(joined, "service/auth") {
				c.Basic = v
			}
			if v, ok := on["allowunencrypted"]; ok && strings.Contains(joined, "service") {
				c.Unencrypted = v
			}
		})
		fmt.Fprintf(w.out, "Config\r\n")
	case strings.HasPrefix(joined, "create"), strings.HasPrefix(joined, "c "):
		https := strings.Contains(joined, "transport=https")
		svc.configure(func(c *winrmConfig) { c.Enabled = true; c.HTTPS = c.HTTPS || https })
		fmt.Fprintf(w.out, "ResourceCreated\r\n")
	case strings.HasPrefix(joined, "delete"):
	case strings.HasPrefix(joined, "get"), strings.HasPrefix(joined, "g "), strings.HasPrefix(joined, "e"):
		c := svc.config()
		fmt.Fprintf(w.out, "Service\r\n    AllowUnencrypted = %v\r\n    Auth\r\n        Basic = %v\r\n", c.Unencrypted, c.Basic)
	default:
		fmt.Fprintf(w.err, "Invalid use of command line. Type \"winrm -?\" for help.\r\n")
		return 1
	}
	return 0
}

// scheduleShutdown keeps a shutdown that shutdown /a can still stop; false when one is scheduled already.
func (g *Guest) scheduleShutdown(reboot bool, after time.Duration) bool {
	g.winrm.mu.Lock()
	defer g.winrm.mu.Unlock()
	if g.winrm.pending != nil {
		return false
	}
	g.mu.Lock()
	boot, going := g.ctx, g.ending
	g.mu.Unlock()
	if going {
		return false
	}
	ctx, cancel := context.WithCancel(boot)
	g.winrm.pending = cancel
	go func() {
		t := time.NewTimer(after)
		defer t.Stop()
		select {
		case <-t.C:
			g.selfPower(reboot, 0)
		case <-ctx.Done():
		}
		g.winrm.mu.Lock()
		g.winrm.pending = nil
		g.winrm.mu.Unlock()
		cancel()
	}()
	return true
}

func (g *Guest) cancelShutdown() bool {
	g.winrm.mu.Lock()
	defer g.winrm.mu.Unlock()
	if g.winrm.pending == nil {
		return false
	}
	g.winrm.pending()
	return true
}
