package guest

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// psVars is one scope of variables.
type psVars struct {
	m      map[string]any
	parent *psVars
}

func newVars(parent *psVars) *psVars { return &psVars{m: map[string]any{}, parent: parent} }

func (v *psVars) lookup(name string) (any, bool) {
	name = strings.ToLower(name)
	for s := v; s != nil; s = s.parent {
		if x, ok := s.m[name]; ok {
			return x, true
		}
	}
	return nil, false
}

func (v *psVars) get(name string) any { x, _ := v.lookup(name); return x }

func (v *psVars) set(name string, x any) { v.m[strings.ToLower(name)] = x }

func (v *psVars) global() *psVars {
	for v.parent != nil {
		v = v.parent
	}
	return v
}

// psRun is one PowerShell process.
type psRun struct {
	w      *winProc
	funcs  map[string]*psBlock
	ok     bool // $?
	errors []any
	depth  int
	script string // the running file
}

// psCtx is where a statement runs.
type psCtx struct {
	run   *psRun
	vars  *psVars
	out   func(any)
	input []any // $input
}

type (
	psReturn   struct{}
	psBreak    struct{}
	psContinue struct{}
	psExit     struct{ code int }
	psThrow    struct{ err *psObject }
	psType     string
	psCancel   struct{}
)

// psHash is a hashtable in the order of insertion.
type psHash struct {
	keys []string
	m    map[string]any
}

func newHash() *psHash { return &psHash{m: map[string]any{}} }

func (h *psHash) set(k string, v any) {
	l := strings.ToLower(k)
	if _, ok := h.m[l]; !ok {
		h.keys = append(h.keys, k)
	}
	h.m[l] = v
}

func (h *psHash) get(k string) any { return h.m[strings.ToLower(k)] }

// psObject is anything with named properties; lenient ones (COM, XML) have whatever they are asked for.
type psObject struct {
	typ     string
	props   *psHash
	methods map[string]func(c *psCtx, args []any) any
	text    func() string
	dynamic func(name string) (any, bool)
	lenient bool
}

func newObject(typ string, kv ...any) *psObject {
	o := &psObject{typ: typ, props: newHash(), methods: map[string]func(*psCtx, []any) any{}}
	for i := 0; i+1 < len(kv); i += 2 {
		o.props.set(kv[i].(string), kv[i+1])
	}
	return o
}

func (c *psCtx) check() {
	if c.run.w.ctx.Err() != nil {
		panic(psCancel{})
	}
}

func (c *psCtx) stmts(list []psStmt) {
	for _, s := range list {
		c.check()
		s(c)
	}
}

// collect runs a statement and returns what it writes.
func (c *psCtx) collect(s psStmt) []any {
	var out []any
	d := *c
	d.out = func(v any) { out = append(out, v) }
	s(&d)
	return out
}

// loop runs a loop's body; false means break.
func (c *psCtx) loop(b *psBlock) (goOn bool) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case psBreak:
			goOn = false
		case psContinue:
			goOn = true
		default:
			panic(r)
		}
	}()
	c.stmts(b.end)
	return true
}

func (c *psCtx) try(body, catch, finally *psBlock) {
	if finally != nil {
		defer c.stmts(finally.end)
	}
	func() {
		defer func() {
			r := recover()
			if r == nil {
				return
			}
			t, ok := r.(psThrow)
			if !ok || catch == nil {
				panic(r)
			}
			c.run.ok = false
			old, had := c.vars.m["_"]
			c.vars.set("_", t.err)
			c.run.errors = append([]any{t.err}, c.run.errors...)
			c.stmts(catch.end)
			if had {
				c.vars.m["_"] = old
			}
		}()
		// Inside try, errors that a command would only print are still only printed, unless they are made to stop.
		c.stmts(body.end)
	}()
}

// record makes an error record.
func (c *psCtx) record(v any) *psObject {
	if o, ok := v.(*psObject); ok && o.typ == "ErrorRecord" {
		return o
	}
	msg := psString(v)
	ex := newObject("Exception", "Message", msg)
	ex.text = func() string { return msg }
	ex.methods["gettype"] = func(*psCtx, []any) any {
		return newObject("Type", "Name", "RuntimeException", "FullName", "System.Management.Automation.RuntimeException")
	}
	o := newObject("ErrorRecord", "Exception", ex, "FullyQualifiedErrorId", msg, "ScriptStackTrace", "at <ScriptBlock>, <No file>: line 1", "InvocationInfo", newObject("InvocationInfo", "PositionMessage", "At line:1 char:1"))
	o.text = func() string { return msg }
	return o
}

// throw ends the statement with an error that try can catch.
func (c *psCtx) throw(format string, a ...any) {
	panic(psThrow{c.record(fmt.Sprintf(format, a...))})
}

// complain prints an error that does not end the script, unless the preference says so.
func (c *psCtx) complain(args *psBound, msg string) {
	pref := strings.ToLower(psString(c.vars.get("ErrorActionPreference")))
	if args != nil {
		if v, ok := args.get("erroraction"); ok {
			pref = strings.ToLower(psString(v))
		}
	}
	rec := c.record(msg)
	c.run.ok = false
	switch pref {
	case "stop":
		panic(psThrow{rec})
	case "ignore":
		return
	}
	c.run.errors = append([]any{rec}, c.run.errors...)
	if pref != "silentlycontinue" {
		c.run.printError(rec)
	}
}

func (r *psRun) printError(rec *psObject) {
	fmt.Fprintf(r.w.err, "%s\r\n    + CategoryInfo          : NotSpecified: (:) [], RuntimeException\r\n    + FullyQualifiedErrorId : RuntimeException\r\n", strings.ReplaceAll(psString(rec), "\n", "\r\n"))
}

// --- values

func psTrue(v any) bool {
	switch v := v.(type) {
	case nil:
		return false
	case bool:
		return v
	case int:
		return v != 0
	case float64:
		return v != 0
	case string:
		return v != ""
	case psBareNumber:
		return psTrue(v.n)
	case []any:
		switch len(v) {
		case 0:
			return false
		case 1:
			return psTrue(v[0])
		}
		return true
	}
	return true
}

func psNumber(v any) float64 {
	switch v := v.(type) {
	case bool:
		if v {
			return 1
		}
	case int:
		return float64(v)
	case float64:
		return v
	case psBareNumber:
		return psNumber(v.n)
	case string:
		if n, ok := psLiteral(strings.TrimSpace(v)); ok {
			return psNumber(n)
		}
	case []any:
		if len(v) == 1 {
			return psNumber(v[0])
		}
	}
	return 0
}

func isNumber(v any) bool {
	switch v.(type) {
	case int, float64, psBareNumber:
		return true
	}
	return false
}

func psString(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case bool:
		if v {
			return "True"
		}
		return "False"
	case int:
		return strconv.Itoa(v)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case psBareNumber:
		return v.text
	case []any:
		out := make([]string, len(v))
		for i, x := range v {
			out[i] = psString(x)
		}
		return strings.Join(out, " ")
	case []byte:
		out := make([]string, len(v))
		for i, x := range v {
			out[i] = strconv.Itoa(int(x))
		}
		return strings.Join(out, " ")
	case *psHash:
		return "System.Collections.Hashtable"
	case *psObject:
		if v.text != nil {
			return v.text()
		}
		if v.typ == "PSCustomObject" {
			var f []string
			for _, k := range v.props.keys {
				f = append(f, k+"="+psString(v.props.get(k)))
			}
			return "@{" + strings.Join(f, "; ") + "}"
		}
		return v.typ
	case *psBlock:
		return v.text
	case psType:
		return string(v)
	case time.Time:
		return v.Format("01/02/2006 15:04:05")
	}
	return fmt.Sprint(v)
}

// psList gives the elements of a value.
func psList(v any) []any {
	switch v := v.(type) {
	case nil:
		return nil
	case []any:
		return v
	case psSplat:
		return psList(v.v)
	}
	return []any{v}
}

// psValue is what a pipeline's output is worth as a value.
func psValue(out []any) any {
	switch len(out) {
	case 0:
		return nil
	case 1:
		return out[0]
	}
	return out
}

func psTypeOf(v any) psType {
	switch v := v.(type) {
	case psType:
		return v
	case string:
		return "string"
	case int:
		return "int"
	case bool:
		return "bool"
	}
	return "object"
}

func number(f float64) any {
	if f == math.Trunc(f) && math.Abs(f) < 1<<53 {
		return int(f)
	}
	return f
}

func psArith(c *psCtx, op string, a, b any) any {
	if n, ok := a.(psBareNumber); ok {
		a = n.n
	}
	if op == "+" {
		switch x := a.(type) {
		case string:
			return x + psString(b)
		case []any:
			return append(slices.Clone(x), psList(b)...)
		case *psHash:
			h := newHash()
			for _, k := range x.keys {
				h.set(k, x.get(k))
			}
			if y, ok := b.(*psHash); ok {
				for _, k := range y.keys {
					h.set(k, y.get(k))
				}
			}
			return h
		case nil:
			return b
		}
	}
	if op == "*" {
		if s, ok := a.(string); ok {
			n := int(psNumber(b))
			if n < 0 || n*len(s) > 64<<20 {
				c.throw("Insufficient memory to continue the execution of the program.")
			}
			return strings.Repeat(s, n)
		}
	}
	if s, ok := b.(string); ok {
		if _, num := psLiteral(strings.TrimSpace(s)); !num && s != "" {
			c.throw("Cannot convert value \"%s\" to type \"System.Int32\". Error: \"Input string was not in a correct format.\"", s)
		}
	}
	x, y := psNumber(a), psNumber(b)
	switch op {
	case "+":
		return number(x + y)
	case "-":
		return number(x - y)
	case "*":
		return number(x * y)
	case "/":
		if y == 0 {
			c.throw("Attempted to divide by zero.")
		}
		return number(x / y)
	}
	if y == 0 {
		c.throw("Attempted to divide by zero.")
	}
	return number(math.Mod(x, y))
}

func psCompare(op string, a, b any, exact bool) any {
	if n, ok := a.(psBareNumber); ok {
		a = n.n
	}
	if n, ok := b.(psBareNumber); ok {
		b = n.n
	}
	if l, ok := a.([]any); ok {
		var out []any
		for _, x := range l {
			if psCompare(op, x, b, exact) == true {
				out = append(out, x)
			}
		}
		return out
	}
	var cmp int
	switch {
	case a == nil || b == nil:
		eq := a == nil && b == nil
		switch op {
		case "-eq":
			return eq
		case "-ne":
			return !eq
		}
		cmp = int(psNumber(a) - psNumber(b))
	case isNumber(a) || func() bool { _, ok := a.(bool); return ok }():
		x, y := psNumber(a), psNumber(b)
		if s, ok := b.(string); ok {
			if _, num := psLiteral(strings.TrimSpace(s)); !num {
				x, y = 0, 1
				if _, isBool := a.(bool); isBool {
					x, y = psNumber(a), psNumber(s != "")
				}
			}
		}
		switch {
		case x < y:
			cmp = -1
		case x > y:
			cmp = 1
		}
	default:
		if x, ok := a.(time.Time); ok {
			if y, ok := b.(time.Time); ok {
				cmp = x.Compare(y)
				break
			}
		}
		x, y := psString(a), psString(b)
		if !exact {
			x, y = strings.ToLower(x), strings.ToLower(y)
		}
		cmp = strings.Compare(x, y)
	}
	switch op {
	case "-eq":
		return cmp == 0
	case "-ne":
		return cmp != 0
	case "-gt":
		return cmp > 0
	case "-ge":
		return cmp >= 0
	case "-lt":
		return cmp < 0
	}
	return cmp <= 0
}

func psRegexp(c *psCtx, expr string, exact bool) *regexp.Regexp {
	if !exact {
		expr = "(?i)" + expr
	}
	re, err := cachedRegexp(expr)
	if err != nil {
		c.throw("parsing \"%s\": %v", expr, err)
	}
	return re
}

func wildcard(pat string) string {
	var b strings.Builder
	b.WriteString("(?is)^")
	for i := 0; i < len(pat); i++ {
		switch c := pat[i]; c {
		case '*':
			b.WriteString(".*")
		case '?':
			b.WriteString(".")
		case '[':
			if j := strings.IndexByte(pat[i:], ']'); j > 0 {
				b.WriteString(pat[i : i+j+1])
				i += j
				continue
			}
			b.WriteString(`\[`)
		default:
			b.WriteString(regexp.QuoteMeta(string(c)))
		}
	}
	return b.String() + "$"
}

var dotNetReplace = regexp.MustCompile(`\$(\d+|\{\w+\}|&)`)

func goReplacement(s string) string {
	s = strings.ReplaceAll(s, "$$", "\x00")
	s = dotNetReplace.ReplaceAllStringFunc(s, func(m string) string {
		if m == "$&" {
			return "${0}"
		}
		return "${" + strings.Trim(m[1:], "{}") + "}"
	})
	return strings.ReplaceAll(s, "\x00", "$$")
}

func psBinary(c *psCtx, op string, a, b any) any {
	switch op {
	case "+", "-", "*", "/", "%":
		return psArith(c, op, a, b)
	case "..":
		x, y := int(psNumber(a)), int(psNumber(b))
		if y-x > 1_000_000 || x-y > 1_000_000 {
			c.throw("range too large")
		}
		var out []any
		for ; x <= y; x++ {
			out = append(out, x)
		}
		if len(out) == 0 {
			for ; x >= y; x-- {
				out = append(out, x)
			}
		}
		return out
	case "-f":
		return psFormat(c, psString(a), psList(b))
	case "-xor":
		return psTrue(a) != psTrue(b)
	case "-band":
		return int(psNumber(a)) & int(psNumber(b))
	case "-bor":
		// Flags of enumerations are joined by their numbers where they have one.
		return int(psNumber(a)) | int(psNumber(b))
	case "-bxor":
		return int(psNumber(a)) ^ int(psNumber(b))
	case "-is", "-isnot":
		t := strings.TrimPrefix(strings.ToLower(psString(b)), "system.")
		is := string(psTypeOf(a)) == strings.TrimSuffix(t, "32")
		switch t {
		case "array", "object[]":
			_, is = a.([]any)
		case "hashtable", "collections.hashtable":
			_, is = a.(*psHash)
		case "int32", "int":
			_, is = a.(int)
		case "boolean":
			_, is = a.(bool)
		}
		return is == (op == "-is")
	case "-as":
		return c.cast(strings.ToLower(psString(b)), a)
	case "-contains", "-notcontains", "-in", "-notin":
		list, x := a, b
		if strings.HasSuffix(op, "in") {
			list, x = b, a
		}
		found := false
		for _, v := range psList(list) {
			found = found || psCompare("-eq", v, x, false) == true
		}
		return found != strings.HasPrefix(op, "-not")
	case "-join":
		var out []string
		for _, v := range psList(a) {
			out = append(out, psString(v))
		}
		return strings.Join(out, psString(b))
	case "-split", "-isplit":
		opts := psList(b)
		var out []any
		re := psRegexp(c, psString(opts[0]), false)
		n := -1
		if len(opts) > 1 && psNumber(opts[1]) > 0 {
			n = int(psNumber(opts[1]))
		}
		for _, v := range psList(a) {
			for _, f := range re.Split(psString(v), n) {
				out = append(out, f)
			}
		}
		return out
	case "-replace", "-ireplace", "-creplace":
		opts := psList(b)
		to := ""
		if len(opts) > 1 {
			to = psString(opts[1])
		}
		from := ""
		if len(opts) > 0 {
			from = psString(opts[0])
		}
		re := psRegexp(c, from, op == "-creplace")
		if l, ok := a.([]any); ok {
			out := make([]any, len(l))
			for i, v := range l {
				out[i] = re.ReplaceAllString(psString(v), goReplacement(to))
			}
			return out
		}
		return re.ReplaceAllString(psString(a), goReplacement(to))
	case "-match", "-imatch", "-cmatch", "-notmatch":
		re := psRegexp(c, psString(b), op == "-cmatch")
		if l, ok := a.([]any); ok {
			var out []any
			for _, v := range l {
				if re.MatchString(psString(v)) != (op == "-notmatch") {
					out = append(out, v)
				}
			}
			return out
		}
		m := re.FindStringSubmatch(psString(a))
		if m != nil && op != "-notmatch" {
			h := newHash()
			for i, g := range m {
				h.set(strconv.Itoa(i), g)
				if n := re.SubexpNames()[i]; n != "" {
					h.set(n, g)
				}
			}
			c.vars.set("Matches", h)
		}
		return (m != nil) != (op == "-notmatch")
	case "-like", "-ilike", "-notlike":
		re := psRegexp(c, wildcard(psString(b)), false)
		if l, ok := a.([]any); ok {
			var out []any
			for _, v := range l {
				if re.MatchString(psString(v)) != (op == "-notlike") {
					out = append(out, v)
				}
			}
			return out
		}
		return re.MatchString(psString(a)) != (op == "-notlike")
	}
	exact := strings.HasPrefix(op, "-c")
	op = strings.Replace(strings.Replace(op, "-ceq", "-eq", 1), "-cne", "-ne", 1)
	op = strings.Replace(strings.Replace(op, "-ieq", "-eq", 1), "-ine", "-ne", 1)
	return psCompare(op, a, b, exact)
}

var formatItem = regexp.MustCompile(`\{(\d+)(?:,(-?\d+))?(?::([^}]*))?\}`)

func psFormat(c *psCtx, format string, args []any) string {
	format = strings.ReplaceAll(strings.ReplaceAll(format, "{{", "\x01"), "}}", "\x02")
	out := formatItem.ReplaceAllStringFunc(format, func(m string) string {
		f := formatItem.FindStringSubmatch(m)
		i, _ := strconv.Atoi(f[1])
		if i >= len(args) {
			c.throw("Error formatting a string: Index (zero based) must be greater than or equal to zero and less than the size of the argument list..")
		}
		s := psString(args[i])
		if f[3] != "" {
			n := psNumber(args[i])
			w, _ := strconv.Atoi(strings.TrimLeft(f[3][1:], " "))
			switch f[3][0] {
			case 'D', 'd':
				s = fmt.Sprintf("%0*d", w, int(n))
			case 'X':
				s = fmt.Sprintf("%0*X", w, int(n))
			case 'x':
				s = fmt.Sprintf("%0*x", w, int(n))
			case 'N', 'n', 'F', 'f':
				if len(f[3]) == 1 {
					w = 2
				}
				s = strconv.FormatFloat(n, 'f', min(w, 20), 64)
			}
			if t, ok := args[i].(time.Time); ok {
				s = dotNetTime(t, f[3])
			}
		}
		if w, err := strconv.Atoi(f[2]); err == nil {
			s = fmt.Sprintf("%*s", w, s)
		}
		return s
	})
	return strings.ReplaceAll(strings.ReplaceAll(out, "\x01", "{"), "\x02", "}")
}

func dotNetTime(t time.Time, f string) string {
	return t.Format(strings.NewReplacer("yyyy", "2006", "MM", "01", "dd", "02", "HH", "15", "mm", "04", "ss", "05", "fff", "000", "yy", "06").Replace(f))
}

// --- variables

func (c *psCtx) variable(name string) any {
	scope, rest, ok := strings.Cut(name, ":")
	if ok {
		switch strings.ToLower(scope) {
		case "env":
			if v, ok := c.run.w.getenv(rest); ok {
				return v
			}
			return nil
		case "global", "script":
			return c.vars.global().get(rest)
		case "local", "private", "using", "variable":
			return c.vars.get(rest)
		case "function":
			if f := c.run.funcs[strings.ToLower(rest)]; f != nil {
				return f
			}
			return nil
		}
	}
	switch strings.ToLower(name) {
	case "true":
		return true
	case "false":
		return false
	case "null":
		return nil
	case "?":
		return c.run.ok
	case "input":
		return c.input
	case "pwd":
		return newPathInfo(c.run.w.dir)
	case "error":
		return c.run.errors
	case "psscriptroot":
		return winDir(c.run.script)
	case "pscommandpath":
		return c.run.script
	case "executioncontext":
		path := newObject("PathIntrinsics")
		resolve := func(c *psCtx, a []any) any { return c.run.w.abs(psString(first(a))) }
		path.methods["getunresolvedproviderpathfrompspath"] = resolve
		path.methods["getresolvedproviderpathfrompspath"] = resolve
		return newObject("EngineIntrinsics", "SessionState", newObject("SessionState", "Path", path))
	}
	return c.vars.get(name)
}

func newPathInfo(dir string) *psObject {
	o := newObject("PathInfo", "Path", dir, "ProviderPath", dir)
	o.text = func() string { return dir }
	return o
}

func first(a []any) any {
	if len(a) == 0 {
		return nil
	}
	return a[0]
}

func (c *psCtx) setVariable(name string, v any) {
	if n, ok := v.(psBareNumber); ok {
		v = n.n
	}
	scope, rest, ok := strings.Cut(name, ":")
	if ok {
		switch strings.ToLower(scope) {
		case "env":
			c.run.w.setenv(rest, psString(v))
			return
		case "global", "script":
			c.vars.global().set(rest, v)
			return
		}
		name = rest
	}
	c.vars.set(name, v)
}

// --- members

func (c *psCtx) member(v any, name string) any {
	l := strings.ToLower(name)
	switch x := v.(type) {
	case nil:
		return nil
	case string:
		if l == "length" {
			return len([]rune(x))
		}
		if l == "count" {
			return 1
		}
	case []any:
		if l == "length" || l == "count" {
			return len(x)
		}
		var out []any
		for _, e := range x {
			if m := c.member(e, name); m != nil {
				out = append(out, m)
			}
		}
		return psValue(out)
	case []byte:
		if l == "length" || l == "count" {
			return len(x)
		}
	case *psHash:
		if x.m[l] != nil {
			return x.m[l]
		}
		switch l {
		case "count":
			return len(x.keys)
		case "keys":
			var out []any
			for _, k := range x.keys {
				out = append(out, k)
			}
			return out
		case "values":
			var out []any
			for _, k := range x.keys {
				out = append(out, x.get(k))
			}
			return out
		}
	case *psObject:
		if x.dynamic != nil {
			if v, ok := x.dynamic(l); ok {
				return v
			}
		}
		if p, ok := x.props.m[l]; ok {
			return p
		}
		if x.lenient {
			return lenientObject(x.typ)
		}
		if l == "count" {
			return 1
		}
	case time.Time:
		switch l {
		case "year":
			return x.Year()
		case "month":
			return int(x.Month())
		case "day":
			return x.Day()
		case "hour":
			return x.Hour()
		case "minute":
			return x.Minute()
		case "second":
			return x.Second()
		case "ticks":
			return int(x.UnixNano() / 100)
		}
	case int, bool, float64:
		if l == "count" || l == "length" {
			return 1
		}
	}
	return nil
}

func lenientObject(typ string) *psObject {
	o := newObject(typ)
	o.lenient = true
	return o
}

func (c *psCtx) setMember(v any, name string, x any) {
	switch o := v.(type) {
	case *psHash:
		o.set(name, x)
	case *psObject:
		o.props.set(name, x)
	default:
		c.throw("The property '%s' cannot be found on this object. Verify that the property exists and can be set.", name)
	}
}

func (c *psCtx) index(v, idx any) any {
	if n, ok := idx.(psBareNumber); ok {
		idx = n.n
	}
	if l, ok := idx.([]any); ok {
		var out []any
		for _, i := range l {
			out = append(out, c.index(v, i))
		}
		return out
	}
	if h, ok := v.(*psHash); ok {
		return h.get(psString(idx))
	}
	i := int(psNumber(idx))
	at := func(n int) (int, bool) {
		if i < 0 {
			i += n
		}
		return i, i >= 0 && i < n
	}
	switch x := v.(type) {
	case nil:
		c.throw("Cannot index into a null array.")
	case string:
		r := []rune(x)
		if n, ok := at(len(r)); ok {
			return string(r[n])
		}
	case []any:
		if n, ok := at(len(x)); ok {
			return x[n]
		}
	case []byte:
		if n, ok := at(len(x)); ok {
			return int(x[n])
		}
	default:
		if i == 0 || i == -1 {
			return v
		}
	}
	return nil
}

func (c *psCtx) setIndex(v, idx, x any) {
	switch o := v.(type) {
	case *psHash:
		o.set(psString(idx), x)
	case []any:
		i := int(psNumber(idx))
		if i < 0 || i >= len(o) {
			c.throw("Index was outside the bounds of the array.")
		}
		o[i] = x
	case []byte:
		i := int(psNumber(idx))
		if i < 0 || i >= len(o) {
			c.throw("Index was outside the bounds of the array.")
		}
		o[i] = byte(int(psNumber(x)))
	default:
		c.throw("Unable to index into an object of type %s.", psTypeOf(v))
	}
}

func (c *psCtx) method(v any, name string, args []any) any {
	l := strings.ToLower(name)
	for i, a := range args {
		if n, ok := a.(psBareNumber); ok {
			args[i] = n.n
		}
	}
	arg := func(i int) string {
		if i < len(args) {
			return psString(args[i])
		}
		return ""
	}
	num := func(i int) int {
		if i < len(args) {
			return int(psNumber(args[i]))
		}
		return 0
	}
	if v == nil {
		c.throw("You cannot call a method on a null-valued expression.")
	}
	switch l {
	case "tostring":
		if t, ok := v.(time.Time); ok && len(args) > 0 {
			return dotNetTime(t, arg(0))
		}
		if isNumber(v) && len(args) > 0 {
			return psFormat(c, "{0:"+arg(0)+"}", []any{v})
		}
		return psString(v)
	case "gettype":
		n := string(psTypeOf(v))
		n = strings.ToUpper(n[:1]) + n[1:]
		if o, ok := v.(*psObject); ok {
			n = o.typ
			if m := o.methods["gettype"]; m != nil {
				return m(c, args)
			}
		}
		return newObject("Type", "Name", n, "FullName", "System."+n)
	case "equals":
		return psCompare("-eq", v, first(args), true)
	}
	switch x := v.(type) {
	case string:
		switch l {
		case "trim":
			if len(args) > 0 {
				return strings.Trim(x, arg(0))
			}
			return strings.TrimSpace(x)
		case "trimend":
			if len(args) > 0 {
				return strings.TrimRight(x, arg(0))
			}
			return strings.TrimRight(x, " \t\r\n")
		case "trimstart":
			if len(args) > 0 {
				return strings.TrimLeft(x, arg(0))
			}
			return strings.TrimLeft(x, " \t\r\n")
		case "toupper", "toupperinvariant":
			return strings.ToUpper(x)
		case "tolower", "tolowerinvariant":
			return strings.ToLower(x)
		case "contains":
			return strings.Contains(x, arg(0))
		case "startswith":
			return strings.HasPrefix(x, arg(0))
		case "endswith":
			return strings.HasSuffix(x, arg(0))
		case "indexof":
			return strings.Index(x, arg(0))
		case "lastindexof":
			return strings.LastIndex(x, arg(0))
		case "replace":
			if arg(0) == "" {
				c.throw("String cannot be of zero length.")
			}
			return strings.ReplaceAll(x, arg(0), arg(1))
		case "split":
			var out []any
			seps := arg(0)
			for _, f := range strings.FieldsFunc("\x00"+strings.Map(func(r rune) rune {
				if strings.ContainsRune(seps, r) || seps == "" && (r == ' ' || r == '\t' || r == '\n') {
					return 1
				}
				return r
			}, x), func(r rune) bool { return false }) {
				for _, part := range strings.Split(strings.TrimPrefix(f, "\x00"), "\x01") {
					out = append(out, part)
				}
			}
			return out
		case "substring":
			r := []rune(x)
			from, n := num(0), len(r)-num(0)
			if len(args) > 1 {
				n = num(1)
			}
			if from < 0 || n < 0 || from+n > len(r) {
				c.throw("Exception calling \"Substring\": \"Index and length must refer to a location within the string.\"")
			}
			return string(r[from : from+n])
		case "padleft":
			return fmt.Sprintf("%*s", min(num(0), 4096), x)
		case "padright":
			return fmt.Sprintf("%-*s", min(num(0), 4096), x)
		case "insert":
			if n := num(0); n >= 0 && n <= len(x) {
				return x[:n] + arg(1) + x[n:]
			}
		case "remove":
			if n := num(0); n >= 0 && n <= len(x) {
				return x[:n]
			}
		case "tochararray":
			var out []any
			for _, r := range x {
				out = append(out, string(r))
			}
			return out
		case "getenumerator":
			return x
		}
	case []any:
		switch l {
		case "contains":
			return psBinary(c, "-contains", x, first(args))
		case "getenumerator":
			return x
		case "foreach", "where":
			if b, ok := first(args).(*psBlock); ok {
				var out []any
				for _, e := range x {
					c.vars.set("_", e)
					r := c.invoke(b, nil, nil)
					if l == "foreach" {
						out = append(out, r...)
					} else if psTrue(psValue(r)) {
						out = append(out, e)
					}
				}
				return out
			}
		}
	case *psHash:
		switch l {
		case "add", "set_item":
			x.set(arg(0), args[min(1, len(args)-1)])
			return nil
		case "containskey", "contains":
			_, ok := x.m[strings.ToLower(arg(0))]
			return ok
		case "remove":
			delete(x.m, strings.ToLower(arg(0)))
			x.keys = slices.DeleteFunc(x.keys, func(k string) bool { return strings.EqualFold(k, arg(0)) })
			return nil
		case "getenumerator":
			var out []any
			for _, k := range x.keys {
				out = append(out, newObject("DictionaryEntry", "Key", k, "Name", k, "Value", x.get(k)))
			}
			return out
		}
	case *psObject:
		if m := x.methods[l]; m != nil {
			return m(c, args)
		}
		if x.lenient {
			return lenientObject(x.typ)
		}
	case *psBlock:
		if l == "invoke" || l == "invokereturnasis" {
			return psValue(c.invoke(x, args, nil))
		}
	case time.Time:
		n := psNumber(first(args))
		switch l {
		case "tofiletimeutc", "tofiletime":
			return int(x.UnixNano()/100 + 116444736000000000)
		case "touniversaltime", "tolocaltime":
			return x.UTC()
		case "addseconds":
			return x.Add(time.Duration(n * float64(time.Second)))
		case "addminutes":
			return x.Add(time.Duration(n * float64(time.Minute)))
		case "addhours":
			return x.Add(time.Duration(n * float64(time.Hour)))
		case "adddays":
			return x.Add(time.Duration(n * 24 * float64(time.Hour)))
		}
	}
	c.throw("Method invocation failed because [%s] does not contain a method named '%s'.", typeName(v), name)
	return nil
}

func typeName(v any) string {
	if o, ok := v.(*psObject); ok {
		return o.typ
	}
	switch v.(type) {
	case []any:
		return "System.Object[]"
	case *psHash:
		return "System.Collections.Hashtable"
	case string:
		return "System.String"
	case int:
		return "System.Int32"
	}
	return reflect.TypeOf(v).String()
}

func (c *psCtx) cast(t string, v any) any {
	if n, ok := v.(psBareNumber); ok {
		v = n.n
	}
	t = strings.TrimPrefix(strings.ToLower(t), "system.")
	switch t {
	case "string":
		return psString(v)
	case "int", "int32", "int64", "long", "uint32", "uint64", "short", "byte", "uint16":
		if s, ok := v.(string); ok {
			if len([]rune(s)) == 1 && t == "byte" {
				return int([]rune(s)[0])
			}
			if _, num := psLiteral(strings.TrimSpace(s)); !num && strings.TrimSpace(s) != "" {
				c.throw("Cannot convert value \"%s\" to type \"System.Int32\". Error: \"Input string was not in a correct format.\"", s)
			}
		}
		return int(math.RoundToEven(psNumber(v)))
	case "double", "float", "single", "decimal":
		return psNumber(v)
	case "bool", "boolean", "switch":
		return psTrue(v)
	case "char":
		if isNumber(v) {
			return string(rune(int(psNumber(v))))
		}
		return psString(v)
	case "void":
		return nil
	case "array", "object[]", "string[]", "int[]":
		out := []any{}
		for _, x := range psList(v) {
			if t == "string[]" {
				x = psString(x)
			}
			out = append(out, x)
		}
		return out
	case "byte[]":
		if b, ok := v.([]byte); ok {
			return b
		}
		var out []byte
		for _, x := range psList(v) {
			out = append(out, byte(int(psNumber(x))))
		}
		return out
	case "xml", "xml.xmldocument":
		o := lenientObject("XmlDocument")
		text := psString(v)
		o.props.set("OuterXml", text)
		o.props.set("InnerXml", text)
		o.text = func() string { return text }
		return o
	case "pscustomobject", "psobject":
		if h, ok := v.(*psHash); ok {
			o := newObject("PSCustomObject")
			for _, k := range h.keys {
				o.props.set(k, h.get(k))
			}
			return o
		}
	case "scriptblock":
		if s, ok := v.(string); ok {
			b, err := psParse(s)
			if err != nil {
				c.throw("%v", err)
			}
			return c.bind(b)
		}
	case "datetime":
		if t, err := parseDate(psString(v), time.Now()); err == nil {
			return t
		}
	}
	return v
}

// --- blocks

func (c *psCtx) bind(b *psBlock) *psBlock {
	d := *b
	d.vars = c.vars
	return &d
}

// invoke runs a block in the caller's scope as the blocks of ForEach-Object and Where-Object do.
func (c *psCtx) invoke(b *psBlock, args []any, input []any) []any {
	return c.collect(func(c *psCtx) { c.call(b, args, nil, input, true) })
}

// call runs a function or script block with arguments; shared runs it in the caller's scope.
func (c *psCtx) call(b *psBlock, args []any, named map[string]any, input []any, shared bool) {
	if c.run.depth++; c.run.depth > 300 {
		c.run.depth--
		c.throw("The script failed due to call depth overflow.")
	}
	defer func() { c.run.depth-- }()
	d := &psCtx{run: c.run, vars: c.vars, out: c.out, input: input}
	if !shared || len(b.params) > 0 {
		d.vars = newVars(c.vars)
	}
	rest := args
	for _, p := range b.params {
		v, ok := named[strings.ToLower(p.name)]
		if !ok && !p.sw && len(rest) > 0 {
			v, rest, ok = rest[0], rest[1:], true
		}
		if !ok && p.def != nil {
			v = p.def(d)
		}
		if p.sw {
			v = psTrue(v)
		}
		if n, isBare := v.(psBareNumber); isBare {
			v = n.n
		}
		d.vars.set(p.name, v)
	}
	if !shared || len(b.params) > 0 || len(args) > 0 {
		d.vars.set("args", append([]any{}, rest...))
	}
	defer func() {
		if r := recover(); r != nil {
			if _, ok := r.(psReturn); !ok {
				panic(r)
			}
		}
	}()
	d.stmts(b.begin)
	if b.process != nil {
		for _, v := range input {
			d.vars.set("_", v)
			d.input = []any{v}
			d.stmts(b.process)
		}
	}
	d.stmts(b.end)
}

// --- pipelines

func (c *psCtx) pipeline(elems []psElement, redirects []psRedirect) {
	out := c.out
	var captured []any
	toFile, mergeErr := false, false
	var target psRedirect
	stderr := c.run.w.err
	for _, r := range redirects {
		switch {
		case r.merge:
			mergeErr = true
		case r.from == '1' || r.from == '*':
			toFile, target = true, r
		default:
			name := psString(r.target(c))
			if strings.EqualFold(name, "nul") || name == "" {
				c.run.w.err = io.Discard
			} else if f, err := c.run.w.create(name, r.append); err == nil {
				defer f.Close()
				c.run.w.err = f
			}
			defer func() { c.run.w.err = stderr }()
		}
	}
	if toFile {
		out = func(v any) { captured = append(captured, v) }
	}
	if mergeErr {
		c.run.w.err = writerFunc(func(b []byte) (int, error) {
			for _, l := range splitLines(strings.ReplaceAll(string(b), "\r\n", "\n")) {
				out(l)
			}
			return len(b), nil
		})
		defer func() { c.run.w.err = stderr }()
	}
	func() {
		defer func() {
			if r := recover(); r != nil {
				t, ok := r.(psThrow)
				if !ok || c.stopping() {
					panic(r)
				}
				panic(t)
			}
		}()
		var input []any
		for i, e := range elems {
			c.check()
			d := *c
			var results []any
			if i == len(elems)-1 {
				d.out = out
			} else {
				d.out = func(v any) { results = append(results, v) }
			}
			// What goes down a pipeline is taken apart; arrays that are values stay whole at its end.
			if e.cmd != nil {
				e.cmd.run(&d, input, i > 0)
			} else {
				if i > 0 {
					c.throw("Expressions are only allowed as the first element of a pipeline.")
				}
				c.run.ok = true
				v := e.expr(&d)
				if i == len(elems)-1 {
					if l, ok := v.([]any); ok {
						for _, x := range l {
							d.out(x)
						}
					} else if v != nil {
						d.out(v)
					}
				} else {
					results = psList(v)
				}
			}
			input = nil
			for _, r := range results {
				input = append(input, psList(r)...)
			}
		}
	}()
	if toFile {
		name := psString(target.target(c))
		if strings.EqualFold(name, "nul") || name == "" {
			return
		}
		f, err := c.run.w.create(name, target.append)
		if err != nil {
			c.throw("Could not find a part of the path '%s'.", c.run.w.abs(name))
		}
		defer f.Close()
		for _, v := range captured {
			io.WriteString(f, psDisplay(v)+"\r\n")
		}
	}
}

func (c *psCtx) stopping() bool {
	return strings.EqualFold(psString(c.vars.get("ErrorActionPreference")), "stop")
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// psDisplay is a value as the console shows it.
func psDisplay(v any) string {
	switch v := v.(type) {
	case *psHash:
		var b strings.Builder
		b.WriteString("\r\nName                           Value\r\n----                           -----\r\n")
		for _, k := range v.keys {
			fmt.Fprintf(&b, "%-30s %s\r\n", k, psString(v.get(k)))
		}
		return strings.TrimRight(b.String(), "\r\n")
	case *psObject:
		if v.text != nil {
			return v.text()
		}
		var lines []string
		for _, k := range v.props.keys {
			lines = append(lines, fmt.Sprintf("%-12s : %s", k, psString(v.props.get(k))))
		}
		return strings.Join(lines, "\r\n")
	case []any:
		var lines []string
		for _, x := range v {
			lines = append(lines, psDisplay(x))
		}
		return strings.Join(lines, "\r\n")
	}
	return strings.ReplaceAll(psString(v), "\n", "\n")
}

// --- running a script as a process

// powershell runs a script text. asFile tells -File from -Command: how a failure shows in the exit code.
func (w *winProc) powershell(script, file string, args []any, asFile bool) (code int) {
	b, err := psParse(script)
	if err != nil {
		fmt.Fprintf(w.err, "%v\r\n    + CategoryInfo          : ParserError: (:) [], ParentContainsErrorRecordException\r\n", err)
		return 1
	}
	run := &psRun{w: w, funcs: map[string]*psBlock{}, ok: true, script: file}
	c := &psCtx{run: run, vars: newVars(nil)}
	c.vars.set("PSVersionTable", func() *psHash {
		h := newHash()
		v := newObject("Version", "Major", 5, "Minor", 1)
		v.text = func() string { return "5.1." + w.g.sys.build() + ".1 (simulated by tfbake)" }
		h.set("PSVersion", v)
		h.set("PSEdition", "Desktop")
		return h
	}())
	for k, v := range map[string]any{"ErrorActionPreference": "Continue", "ProgressPreference": "Continue", "WarningPreference": "Continue", "VerbosePreference": "SilentlyContinue", "PID": w.pid,
		"HOME": `C:\Users\` + w.user, "PSHOME": `C:\Windows\System32\WindowsPowerShell\v1.0`, "Host": lenientObject("Host"), "LASTEXITCODE": nil, "IsWindows": true} {
		if v != nil {
			c.vars.set(k, v)
		}
	}
	c.out = func(v any) { io.WriteString(w.out, psDisplay(v)+"\r\n") }
	defer func() {
		switch r := recover().(type) {
		case nil:
		case psExit:
			code = r.code
		case psThrow:
			run.printError(r.err)
			code = 1
		case psCancel:
			code = 1
		case psReturn, psBreak, psContinue:
		default:
			w.g.logf("guest: powershell: %v", r)
			fmt.Fprintf(w.err, "internal error of the simulated PowerShell: %v\r\n", r)
			code = 1
		}
	}()
	if b.process != nil && w.in != nil {
		// Standard input feeds the process block line by line.
		d := *c
		d.stmts(b.begin)
		lines := &lineScanner{r: w.in}
		for {
			l, ok := lines.next()
			if !ok {
				break
			}
			c.check()
			d.vars.set("_", l)
			d.input = []any{l}
			d.stmts(b.process)
		}
		d.stmts(b.end)
	} else {
		c.topLevel(b, args)
	}
	if asFile || run.ok {
		return 0
	}
	return 1
}

// topLevel runs a script's statements; an error that nobody catches ends its statement only.
func (c *psCtx) topLevel(b *psBlock, args []any) {
	for i, p := range b.params {
		var v any
		if i < len(args) {
			v = args[i]
		} else if p.def != nil {
			v = p.def(c)
		}
		c.vars.set(p.name, v)
	}
	c.vars.set("args", args)
	all := append(append(slices.Clone(b.begin), b.process...), b.end...)
	for _, s := range all {
		c.check()
		func() {
			defer func() {
				r := recover()
				t, ok := r.(psThrow)
				if r == nil {
					return
				}
				if !ok || c.stopping() || t.err.props.get("thrown") == true {
					panic(r)
				}
				c.run.ok = false
				c.run.errors = append([]any{t.err}, c.run.errors...)
				c.run.printError(t.err)
			}()
			s(c)
		}()
	}
}

// lineScanner reads lines of any length.
type lineScanner struct {
	r   io.Reader
	buf []byte
	eof bool
}

func (l *lineScanner) next() (string, bool) {
	for {
		if i := bytes.IndexByte(l.buf, '\n'); i >= 0 {
			s := strings.TrimSuffix(string(l.buf[:i]), "\r")
			l.buf = l.buf[i+1:]
			return s, true
		}
		if l.eof {
			if len(l.buf) > 0 {
				s := string(l.buf)
				l.buf = nil
				return strings.TrimSuffix(s, "\r"), true
			}
			return "", false
		}
		chunk := make([]byte, 128<<10)
		n, err := l.r.Read(chunk)
		l.buf = append(l.buf, chunk[:n]...)
		if err != nil || len(l.buf) > 64<<20 {
			l.eof = true
		}
	}
}
