package guest

import (
	"bufio"
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	iofs "io/fs"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	awk "github.com/benhoyt/goawk/interp"
	awkparser "github.com/benhoyt/goawk/parser"
)

func init() {
	register(cmdHead, "head")
	register(cmdTail, "tail")
	register(cmdWc, "wc")
	register(cmdSort, "sort")
	register(cmdUniq, "uniq")
	register(cmdCut, "cut")
	register(cmdTr, "tr")
	register(cmdTee, "tee")
	register(cmdGrep, "grep", "egrep", "fgrep", "zgrep")
	register(cmdAwk, "awk", "gawk", "mawk")
	register(cmdXargs, "xargs")
	register(cmdBase64, "base64")
	register(cmdSum, "sha256sum", "sha1sum", "md5sum", "sha512sum", "sha384sum", "sha224sum", "cksum")
	register(cmdSeq, "seq")
	register(cmdYes, "yes")
	register(cmdDiff, "diff")
	register(cmdCmp, "cmp")
	register(cmdComm, "comm")
	register(cmdPaste, "paste")
	register(cmdNl, "nl")
	register(cmdRev, "rev", "tac")
	register(cmdFold, "fold", "fmt", "column", "expand", "unexpand")
	register(cmdExpr, "expr")
	register(cmdPrintf, "printf")
	register(cmdOd, "od", "xxd", "hexdump")
	register(cmdStrings, "strings")
	register(cmdEnvsubst, "envsubst")
	register(cmdIconv, "iconv", "dos2unix")
}

var regexps sync.Map

func cachedRegexp(expr string) (*regexp.Regexp, error) {
	if re, ok := regexps.Load(expr); ok {
		return re.(*regexp.Regexp), nil
	}
	re, err := regexp.Compile(expr)
	if err == nil {
		regexps.Store(expr, re)
	}
	return re, err
}

// convertRegexp turns a POSIX basic (or extended) regular expression into Go's syntax.
func convertRegexp(s string, extended bool) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '[':
			j := i + 1
			if j < len(s) && s[j] == '^' {
				j++
			}
			if j < len(s) && s[j] == ']' {
				j++
			}
			for j < len(s) && s[j] != ']' {
				if s[j] == '[' && j+1 < len(s) && strings.IndexByte(":.=", s[j+1]) >= 0 {
					if k := strings.Index(s[j+2:], string(s[j+1])+"]"); k >= 0 {
						j += k + 4
						continue
					}
				}
				j++
			}
			if j >= len(s) {
				b.WriteString(`\[`)
				continue
			}
			set := s[i+1 : j]
			neg := strings.HasPrefix(set, "^")
			set = strings.TrimPrefix(set, "^")
			b.WriteByte('[')
			if neg {
				b.WriteByte('^')
			}
			for k := 0; k < len(set); k++ {
				switch {
				case set[k] == '\\':
					b.WriteString(`\\`)
				case set[k] == ']':
					b.WriteString(`\]`)
				case set[k] == '[' && k+1 < len(set) && set[k+1] == ':':
					e := strings.Index(set[k:], ":]")
					if e < 0 {
						b.WriteString(`\[`)
						continue
					}
					b.WriteString(set[k : k+e+2])
					k += e + 1
				case set[k] == '[':
					b.WriteString(`\[`)
				default:
					b.WriteByte(set[k])
				}
			}
			b.WriteByte(']')
			i = j
		case c == '\\' && i+1 < len(s):
			i++
			switch n := s[i]; {
			case !extended && strings.IndexByte("(){}|+?", n) >= 0:
				b.WriteByte(n)
			case n == '<' || n == '>':
				b.WriteString(`\b`)
			case n == '`':
				b.WriteString(`\A`)
			case n == '\'':
				b.WriteString(`\z`)
			case strings.IndexByte("wWsSbBdDntrfv", n) >= 0:
				b.WriteByte('\\')
				b.WriteByte(n)
			case n >= '1' && n <= '9':
				b.WriteString(`\` + string(n)) // back-references are refused by the compiler
			default:
				b.WriteString(regexp.QuoteMeta(string(n)))
			}
		case !extended && strings.IndexByte("(){}|+?", c) >= 0:
			b.WriteByte('\\')
			b.WriteByte(c)
		case !extended && c == '*' && (b.Len() == 0 || strings.HasSuffix(b.String(), "(") || b.String() == "^"):
			b.WriteString(`\*`)
		case !extended && c == '^' && i > 0 && !strings.HasSuffix(s[:i], `\(`) && !strings.HasSuffix(s[:i], `\|`):
			b.WriteString(`\^`)
		case !extended && c == '$' && i+1 < len(s) && !strings.HasPrefix(s[i+1:], `\)`) && !strings.HasPrefix(s[i+1:], `\|`):
			b.WriteString(`\$`)
		case extended && c == '{' && (i+1 >= len(s) || s[i+1] < '0' || s[i+1] > '9') && (i+1 >= len(s) || s[i+1] != ','):
			b.WriteString(`\{`)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// inputs calls fn for every named file, or standard input; it returns 1 if one could not be read.
func (p *proc) inputs(names []string, fn func(name string, r io.Reader)) int {
	if len(names) == 0 {
		names = []string{"-"}
	}
	code := 0
	for _, n := range names {
		f, err := p.open(n)
		if err != nil {
			fmt.Fprintf(p.err, "%s: %s: %s\n", p.name, n, why(err))
			code = 1
			continue
		}
		fn(n, &limited{p.ctx, f, 1 << 40})
		f.Close()
	}
	return code
}

// lines calls fn with every line without its newline until fn says stop.
func lines(r io.Reader, fn func(line string) bool) error {
	br := bufio.NewReaderSize(r, 64<<10)
	for {
		l, err := br.ReadString('\n')
		if l != "" {
			if !fn(strings.TrimSuffix(l, "\n")) {
				return nil
			}
		}
		if err != nil {
			if err == io.EOF {
				return nil
			}
			return err
		}
	}
}

// writer buffers output; a broken pipe ends the command.
func (p *proc) buffered() *bufio.Writer { return bufio.NewWriterSize(p.out, 32<<10) }

func lineCount(args []string) []string {
	// head -5 means head -n 5.
	out := slices.Clone(args)
	for i, a := range out {
		if len(a) > 1 && a[0] == '-' && a[1] >= '0' && a[1] <= '9' {
			out[i] = "-n" + a[1:]
		}
	}
	return out
}

func cmdHead(p *proc) int {
	p.args = lineCount(p.args)
	o, ok := p.parse("n:c:qvz", "lines:=n bytes:=c quiet=q silent=q verbose=v", false)
	if !ok {
		return 1
	}
	n := int64(10)
	if o.has("n") || o.has("c") {
		var err error
		if n, err = parseSize(o.value["n"] + o.value["c"]); err != nil {
			return p.fail("invalid number of lines: '%s'", o.value["n"]+o.value["c"])
		}
	}
	first := true
	return p.inputs(o.rest, func(name string, r io.Reader) {
		if len(o.rest) > 1 && !o.has("q") || o.has("v") {
			p.printf("%s==> %s <==\n", map[bool]string{false: "\n"}[first], name)
		}
		first = false
		if o.has("c") {
			if n < 0 {
				data, _ := io.ReadAll(r)
				p.out.Write(data[:max(0, int64(len(data))+n)])
				return
			}
			io.CopyN(p.out, r, n)
			return
		}
		if n < 0 {
			var all []string
			lines(r, func(l string) bool { all = append(all, l); return true })
			for _, l := range all[:max(0, len(all)+int(n))] {
				p.printf("%s\n", l)
			}
			return
		}
		if n == 0 {
			return
		}
		left := n
		// Standard input may be shared: take no more than needed where it can be avoided.
		w := p.buffered()
		lines(r, func(l string) bool {
			left--
			_, err := fmt.Fprintln(w, l)
			return left > 0 && err == nil
		})
		w.Flush()
	})
}

func cmdTail(p *proc) int {
	p.args = lineCount(p.args)
	o, ok := p.parse("n:c:fFqvs:", "lines:=n bytes:=c follow?=f quiet=q silent=q verbose=v retry pid: sleep-interval:=s", false)
	if !ok {
		return 1
	}
	spec := o.value["n"] + o.value["c"]
	if spec == "" {
		spec = "10"
	}
	from := strings.HasPrefix(spec, "+")
	n, err := parseSize(strings.TrimLeft(spec, "+-"))
	if err != nil {
		return p.fail("invalid number: '%s'", spec)
	}
	first := true
	code := p.inputs(o.rest, func(name string, r io.Reader) {
		if len(o.rest) > 1 && !o.has("q") || o.has("v") {
			p.printf("%s==> %s <==\n", map[bool]string{false: "\n"}[first], name)
		}
		first = false
		if o.has("c") {
			data, _ := io.ReadAll(&limited{p.ctx, r, 512 << 20})
			if from {
				data = data[min(int64(len(data)), max(0, n-1)):]
			} else {
				data = data[max(0, int64(len(data))-n):]
			}
			p.out.Write(data)
			return
		}
		w := p.buffered()
		defer w.Flush()
		i := int64(0)
		var ring []string
		lines(r, func(l string) bool {
			i++
			if from {
				if i >= n {
					fmt.Fprintln(w, l)
				}
				return true
			}
			if ring = append(ring, l); int64(len(ring)) > n {
				ring = ring[1:]
			}
			return true
		})
		for _, l := range ring {
			fmt.Fprintln(w, l)
		}
	})
	if o.has("f", "F") && len(o.rest) > 0 {
		name := p.abs(o.rest[0])
		at := int64(0)
		if fi, err := p.v.Stat(name); err == nil {
			at = fi.Size()
		}
		for p.sleep(100 * time.Millisecond) {
			fi, err := p.v.Stat(name)
			if err != nil || fi.Size() == at {
				continue
			}
			if fi.Size() < at {
				at = 0
			}
			f, err := p.v.OpenFile(name, os.O_RDONLY, 0)
			if err != nil {
				continue
			}
			f.Seek(at, io.SeekStart)
			m, werr := io.Copy(p.out, f)
			f.Close()
			if at += m; werr != nil {
				return 1
			}
		}
	}
	return code
}

func cmdWc(p *proc) int {
	o, ok := p.parse("lwcmL", "lines=l words=w bytes=c chars=m max-line-length=L", false)
	if !ok {
		return 1
	}
	type counts struct{ l, w, c, m, max int }
	var total counts
	width := 7
	if len(o.rest) <= 1 && o.count["l"]+o.count["w"]+o.count["c"]+o.count["m"]+o.count["L"] == 1 {
		width = 1
	}
	show := func(c counts, name string) {
		all := !o.has("l", "w", "c", "m", "L")
		var f []string
		add := func(n int) { f = append(f, fmt.Sprintf("%*d", width, n)) }
		if all || o.has("l") {
			add(c.l)
		}
		if all || o.has("w") {
			add(c.w)
		}
		if o.has("m") {
			add(c.m)
		}
		if all || o.has("c") {
			add(c.c)
		}
		if o.has("L") {
			add(c.max)
		}
		out := strings.Join(f, " ")
		if name != "-" {
			out += " " + name
		}
		p.printf("%s\n", out)
	}
	names := o.rest
	code := p.inputs(names, func(name string, r io.Reader) {
		var c counts
		buf := make([]byte, 64<<10)
		in, col := false, 0
		for {
			n, err := r.Read(buf)
			for _, b := range buf[:n] {
				c.c++
				if b&0xc0 != 0x80 {
					c.m++
				}
				if b == '\n' {
					c.l++
					c.max = max(c.max, col)
					col = -1
				}
				col++
				space := b == ' ' || b >= 9 && b <= 13
				if !space && !in {
					c.w++
				}
				in = !space
			}
			if err != nil {
				break
			}
		}
		c.max = max(c.max, col)
		show(c, name)
		total = counts{total.l + c.l, total.w + c.w, total.c + c.c, total.m + c.m, max(total.max, c.max)}
	})
	if len(names) > 1 {
		show(total, "total")
	}
	return code
}

func cmdSort(p *proc) int {
	o, ok := p.parse("nrufbhVk:t:o:cCdMsgiRT:S:mz", "numeric-sort=n reverse=r unique=u ignore-case=f human-numeric-sort=h version-sort=V key:=k field-separator:=t output:=o check=c stable=s general-numeric-sort=g zero-terminated=z parallel: random-sort=R", false)
	if !ok {
		return 2
	}
	var all []string
	code := p.inputs(o.rest, func(_ string, r io.Reader) {
		lines(&limited{p.ctx, r, 256 << 20}, func(l string) bool { all = append(all, l); return true })
	})
	type key struct {
		f1, c1, f2, c2 int
		opts           string
	}
	var keys []key
	for _, spec := range o.all["k"] {
		var k key
		a, b, _ := strings.Cut(spec, ",")
		parse := func(s string) (f, c int, opts string) {
			i := strings.IndexFunc(s, func(r rune) bool { return r != '.' && (r < '0' || r > '9') })
			if i >= 0 {
				s, opts = s[:i], s[i:]
			}
			fs, cs, _ := strings.Cut(s, ".")
			f, _ = strconv.Atoi(fs)
			c, _ = strconv.Atoi(cs)
			return
		}
		var o1, o2 string
		k.f1, k.c1, o1 = parse(a)
		if b != "" {
			k.f2, k.c2, o2 = parse(b)
		}
		k.opts = o1 + o2
		keys = append(keys, k)
	}
	sep := o.value["t"]
	if sep == `\t` || sep == `\0` {
		sep = map[string]string{`\t`: "\t", `\0`: "\x00"}[sep]
	}
	extract := func(l string, k key) string {
		var starts []int
		var ends []int
		if sep != "" {
			at := 0
			for _, f := range strings.Split(l, sep) {
				starts, ends = append(starts, at), append(ends, at+len(f))
				at += len(f) + len(sep)
			}
		} else {
			i := 0
			for i < len(l) {
				s := i
				for i < len(l) && (l[i] == ' ' || l[i] == '\t') {
					i++
				}
				for i < len(l) && l[i] != ' ' && l[i] != '\t' {
					i++
				}
				starts, ends = append(starts, s), append(ends, i)
			}
		}
		if k.f1 < 1 || k.f1 > len(starts) {
			return ""
		}
		from, to := starts[k.f1-1], len(l)
		if k.c1 > 1 {
			from = min(from+k.c1-1, len(l))
		}
		if k.f2 > 0 && k.f2 <= len(ends) {
			to = ends[k.f2-1]
			if k.c2 > 0 {
				to = min(starts[k.f2-1]+k.c2, to)
			}
		}
		return l[from:max(from, to)]
	}
	compare := func(a, b, opts string) int {
		flag := func(c string) bool {
			return strings.Contains(opts, c) || strings.Trim(opts, "b") == "" && o.has(c)
		}
		a, b = strings.TrimLeft(a, map[bool]string{true: " \t"}[flag("b") || flag("n")]), strings.TrimLeft(b, map[bool]string{true: " \t"}[flag("b") || flag("n")])
		c := 0
		switch {
		case flag("n"), flag("g"), flag("h"):
			x, y := leadingNumber(a, flag("h")), leadingNumber(b, flag("h"))
			if x < y {
				c = -1
			} else if x > y {
				c = 1
			}
		case flag("V"):
			c = versionCompare(a, b)
		case flag("f"):
			c = strings.Compare(strings.ToLower(a), strings.ToLower(b))
		default:
			c = strings.Compare(a, b)
		}
		if flag("r") {
			c = -c
		}
		return c
	}
	cmp := func(a, b string) int {
		for _, k := range keys {
			if c := compare(extract(a, k), extract(b, k), k.opts); c != 0 {
				return c
			}
		}
		if len(keys) == 0 {
			return compare(a, b, "")
		}
		return 0
	}
	full := func(a, b string) int {
		c := cmp(a, b)
		if c == 0 && !o.has("s", "u") {
			if c = strings.Compare(a, b); o.has("r") {
				c = -c
			}
		}
		return c
	}
	if o.has("c", "C") {
		for i := 1; i < len(all); i++ {
			if full(all[i-1], all[i]) > 0 {
				return p.fail("-:%d: disorder: %s", i+1, all[i])
			}
		}
		return 0
	}
	slices.SortStableFunc(all, full)
	if o.has("u") {
		all = slices.CompactFunc(all, func(a, b string) bool { return cmp(a, b) == 0 })
	}
	text := strings.Join(all, "\n")
	if len(all) > 0 {
		text += "\n"
	}
	if out := o.value["o"]; out != "" {
		if err := p.v.WriteFile(p.abs(out), []byte(text), 0o666); err != nil {
			return p.failCode(2, "open failed: %s: %s", out, why(err))
		}
		return code
	}
	io.WriteString(p.out, text)
	return code
}

func leadingNumber(s string, human bool) float64 {
	i := 0
	for i < len(s) && (s[i] >= '0' && s[i] <= '9' || s[i] == '.' || i == 0 && (s[i] == '-' || s[i] == '+')) {
		i++
	}
	n, _ := strconv.ParseFloat(s[:i], 64)
	if human && i < len(s) {
		n *= map[byte]float64{'K': 1 << 10, 'k': 1 << 10, 'M': 1 << 20, 'G': 1 << 30, 'T': 1 << 40, 0: 1}[s[i]]
	}
	return n
}

func versionCompare(a, b string) int {
	for a != "" && b != "" {
		num := func(s string) (string, string) {
			i := 0
			for i < len(s) && s[i] >= '0' && s[i] <= '9' {
				i++
			}
			return s[:i], s[i:]
		}
		x, ra := num(a)
		y, rb := num(b)
		if x != "" && y != "" {
			m, _ := strconv.Atoi(x)
			n, _ := strconv.Atoi(y)
			if m != n {
				return min(1, max(-1, m-n))
			}
			a, b = ra, rb
			continue
		}
		if a[0] != b[0] {
			return int(a[0]) - int(b[0])
		}
		a, b = a[1:], b[1:]
	}
	return len(a) - len(b)
}

func cmdUniq(p *proc) int {
	o, ok := p.parse("cduif:s:w:", "count=c repeated=d unique=u ignore-case=i skip-fields:=f", false)
	if !ok {
		return 1
	}
	skip, _ := strconv.Atoi(o.value["f"])
	in := o.rest
	var out io.Writer = p.out
	if len(in) > 1 {
		f, err := p.create(in[1], os.O_WRONLY|os.O_TRUNC, 0o666)
		if err != nil {
			return p.fail("%s: %s", in[1], why(err))
		}
		defer f.Close()
		out, in = f, in[:1]
	}
	norm := func(s string) string {
		if skip > 0 {
			if f := strings.Fields(s); len(f) > skip {
				s = strings.Join(f[skip:], " ")
			} else {
				s = ""
			}
		}
		if o.has("i") {
			s = strings.ToLower(s)
		}
		return s
	}
	w := bufio.NewWriter(out)
	defer w.Flush()
	prev, n := "", 0
	flush := func() {
		if n == 0 || o.has("d") && n < 2 || o.has("u") && n > 1 {
			return
		}
		if o.has("c") {
			fmt.Fprintf(w, "%7d ", n)
		}
		fmt.Fprintln(w, prev)
	}
	code := p.inputs(in, func(_ string, r io.Reader) {
		lines(r, func(l string) bool {
			if n > 0 && norm(l) == norm(prev) {
				n++
				return true
			}
			flush()
			prev, n = l, 1
			return true
		})
	})
	flush()
	return code
}

func cmdCut(p *proc) int {
	o, ok := p.parse("d:f:c:b:sz", "delimiter:=d fields:=f characters:=c bytes:=b only-delimited=s output-delimiter: complement", false)
	if !ok {
		return 1
	}
	spec := o.value["f"] + o.value["c"] + o.value["b"]
	if spec == "" {
		return p.fail("you must specify a list of bytes, characters, or fields")
	}
	type span struct{ a, b int }
	var spans []span
	for _, s := range strings.Split(spec, ",") {
		a, b, r := strings.Cut(s, "-")
		sp := span{1, 1 << 30}
		var err error
		if a != "" {
			sp.a, err = strconv.Atoi(a)
		}
		if err == nil && !r {
			sp.b = sp.a
		} else if err == nil && b != "" {
			sp.b, err = strconv.Atoi(b)
		}
		if err != nil || sp.a < 1 {
			return p.fail("invalid field range '%s'", s)
		}
		spans = append(spans, sp)
	}
	want := func(i int) bool {
		in := slices.ContainsFunc(spans, func(s span) bool { return i >= s.a && i <= s.b })
		return in != o.has("complement")
	}
	delim := "\t"
	if o.has("d") {
		delim = o.value["d"]
	}
	od := delim
	if o.has("output-delimiter") {
		od = o.value["output-delimiter"]
	}
	w := p.buffered()
	defer w.Flush()
	return p.inputs(o.rest, func(_ string, r io.Reader) {
		lines(r, func(l string) bool {
			if o.has("f") {
				if !strings.Contains(l, delim) {
					if !o.has("s") {
						fmt.Fprintln(w, l)
					}
					return true
				}
				var keep []string
				for i, f := range strings.Split(l, delim) {
					if want(i + 1) {
						keep = append(keep, f)
					}
				}
				fmt.Fprintln(w, strings.Join(keep, od))
				return true
			}
			var b strings.Builder
			i := 0
			for _, c := range l {
				if i++; want(i) {
					b.WriteRune(c)
				}
			}
			fmt.Fprintln(w, b.String())
			return true
		})
	})
}

// trSet expands a-z, [:class:], \n and the like.
func trSet(s string) []rune {
	s = unescape(s)
	classes := map[string]string{"alpha": "a-zA-Z", "digit": "0-9", "alnum": "a-zA-Z0-9", "upper": "A-Z", "lower": "a-z", "space": " \t\n\r\v\f",
		"blank": " \t", "punct": "!-/:-@[-`{-~", "xdigit": "0-9A-Fa-f", "cntrl": "\x00-\x1f\x7f", "print": " -~", "graph": "!-~"}
	var out []rune
	rs := []rune(s)
	for i := 0; i < len(rs); i++ {
		if rs[i] == '[' && i+1 < len(rs) && rs[i+1] == ':' {
			if e := strings.Index(string(rs[i:]), ":]"); e > 0 {
				if c, ok := classes[string(rs[i:])[2:e]]; ok {
					out = append(out, trSet(c)...)
					i += len([]rune(string(rs[i:])[:e+2])) - 1
					continue
				}
			}
		}
		if i+2 < len(rs) && rs[i+1] == '-' && rs[i+2] >= rs[i] && rs[i+2]-rs[i] < 0x10000 {
			for c := rs[i]; c <= rs[i+2]; c++ {
				out = append(out, c)
			}
			i += 2
			continue
		}
		out = append(out, rs[i])
	}
	return out
}

func cmdTr(p *proc) int {
	o, ok := p.parse("cCdst", "complement=c delete=d squeeze-repeats=s truncate-set1=t", true)
	if !ok || len(o.rest) == 0 {
		return p.fail("missing operand")
	}
	set1 := trSet(o.rest[0])
	var set2 []rune
	if len(o.rest) > 1 {
		set2 = trSet(o.rest[1])
	}
	in := map[rune]int{}
	for i, c := range set1 {
		if _, ok := in[c]; !ok || !o.has("d") {
			in[c] = i
		}
	}
	squeeze := map[rune]bool{}
	if o.has("s") {
		last := set1
		if len(o.rest) > 1 {
			last = set2
		}
		for _, c := range last {
			squeeze[c] = true
		}
	}
	comp := o.has("c", "C")
	r := bufio.NewReader(p.stdin())
	w := p.buffered()
	defer w.Flush()
	prev := rune(-1)
	for {
		c, size, err := r.ReadRune()
		if err != nil {
			return 0
		}
		raw := c == 0xfffd && size == 1
		i, hit := in[c]
		if comp {
			hit, i = !hit, 1<<30
		}
		if hit {
			if o.has("d") {
				continue
			}
			if len(set2) > 0 {
				c = set2[min(i, len(set2)-1)]
				raw = false
			}
		}
		if o.has("s") && c == prev && (squeeze[c] || comp && len(o.rest) == 1 && hit) {
			continue
		}
		prev = c
		if raw {
			r.UnreadRune()
			b, _ := r.ReadByte()
			w.WriteByte(b)
			continue
		}
		if _, err := w.WriteRune(c); err != nil {
			return 1
		}
	}
}

func cmdTee(p *proc) int {
	o, ok := p.parse("aip", "append=a ignore-interrupts=i", false)
	if !ok {
		return 1
	}
	outs := []io.Writer{p.out}
	code := 0
	for _, n := range o.rest {
		flag := os.O_WRONLY | os.O_TRUNC
		if o.has("a") {
			flag = os.O_WRONLY | os.O_APPEND
		}
		f, err := p.create(n, flag, 0o666)
		if err != nil {
			code = p.fail("%s: %s", n, why(err))
			continue
		}
		defer f.Close()
		outs = append(outs, f)
	}
	buf := make([]byte, 32<<10)
	for {
		n, err := p.stdin().Read(buf)
		for _, w := range outs {
			if n > 0 {
				if _, werr := w.Write(buf[:n]); werr != nil {
					code = p.fail("%s", why(werr))
				}
			}
		}
		if err != nil || p.ctx.Err() != nil {
			return code
		}
	}
}

func cmdGrep(p *proc) int {
	o, ok := p.parse("EFGPivnclLqsowxhHrRe:f:m:A:B:C:abUzI", "extended-regexp=E fixed-strings=F perl-regexp=P ignore-case=i invert-match=v line-number=n count=c files-with-matches=l files-without-match=L quiet=q silent=q no-messages=s only-matching=o word-regexp=w line-regexp=x no-filename=h with-filename=H recursive=r regexp:=e file:=f max-count:=m after-context:=A before-context:=B context:=C text=a color? colour? include: exclude: exclude-dir: line-buffered binary-files: null=z basic-regexp=G", false)
	if !ok {
		return 2
	}
	rest := o.rest
	pats := o.all["e"]
	for _, f := range o.all["f"] {
		data, err := p.readAll(f)
		if err != nil {
			return p.failCode(2, "%s: %s", f, why(err))
		}
		pats = append(pats, strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")...)
	}
	if len(pats) == 0 && !o.has("e", "f") {
		if len(rest) == 0 {
			return p.failCode(2, "missing pattern")
		}
		pats, rest = strings.Split(rest[0], "\n"), rest[1:]
	}
	var exprs []string
	for _, s := range pats {
		switch {
		case o.has("F") || p.name == "fgrep":
			s = regexp.QuoteMeta(s)
		case o.has("P"):
		default:
			s = convertRegexp(s, o.has("E") || p.name == "egrep")
		}
		exprs = append(exprs, "(?:"+s+")")
	}
	expr := strings.Join(exprs, "|")
	if o.has("w") {
		expr = `(?:^|\b)(?:` + expr + `)(?:\b|$)`
	}
	if o.has("x") {
		expr = "^(?:" + expr + ")$"
	}
	if o.has("i") {
		expr = "(?i)" + expr
	}
	re, err := cachedRegexp(expr)
	if err != nil {
		return p.failCode(2, "%v (the simulated grep knows no back-references)", err)
	}
	limit := -1
	if o.has("m") {
		limit, _ = strconv.Atoi(o.value["m"])
	}
	after, before := 0, 0
	for k, dst := range map[string][]*int{"C": {&after, &before}, "A": {&after}, "B": {&before}} {
		if o.has(k) {
			n, _ := strconv.Atoi(o.value[k])
			for _, d := range dst {
				*d = n
			}
		}
	}
	recursive := o.has("r", "R")
	names := rest
	if recursive {
		if len(names) == 0 {
			names = []string{"."}
		}
		var files []string
		for _, n := range names {
			p.v.walk(n2abs(p, n), func(full string, fi *fileInfo, err error) error {
				if err != nil {
					if !o.has("s") {
						p.warn("%s: %s", n, why(err))
					}
					return nil
				}
				if p.ctx.Err() != nil {
					return p.ctx.Err()
				}
				base := fi.name
				match := func(pats []string) bool {
					return slices.ContainsFunc(pats, func(s string) bool { return globMatch(s, base, false) })
				}
				if fi.IsDir() && match(o.all["exclude-dir"]) {
					return iofs.SkipDir
				}
				if fi.mode.IsRegular() && !match(o.all["exclude"]) && (!o.has("include") || match(o.all["include"])) {
					files = append(files, n+strings.TrimPrefix(full, p.abs(n)))
				}
				return nil
			})
		}
		if names = files; len(names) == 0 {
			return 1
		}
	}
	prefix := (len(names) > 1 || recursive || o.has("H")) && !o.has("h")
	found, failed := false, false
	w := p.buffered()
	defer w.Flush()
	if len(names) == 0 {
		names = []string{"-"}
	}
	for _, name := range names {
		f, err := p.open(name)
		if err != nil {
			if !o.has("s") {
				p.warn("%s: %s", name, why(err))
			}
			failed = true
			continue
		}
		label := name
		if name == "-" {
			label = "(standard input)"
		}
		count, lineNo, pending, lastShown := 0, 0, 0, 0
		var back []string
		stop := false
		show := func(n int, l string, sep string) {
			if prefix {
				fmt.Fprintf(w, "%s%s", label, sep)
			}
			if o.has("n") {
				fmt.Fprintf(w, "%d%s", n, sep)
			}
			fmt.Fprintln(w, l)
			lastShown = n
		}
		err = lines(&limited{p.ctx, f, 1 << 40}, func(l string) bool {
			lineNo++
			hit := re.MatchString(l) != o.has("v")
			if !hit {
				if pending > 0 {
					show(lineNo, l, "-")
					pending--
				} else if before > 0 {
					if back = append(back, l); len(back) > before {
						back = back[1:]
					}
				}
				return true
			}
			count++
			found = true
			switch {
			case o.has("q"):
				stop = true
				return false
			case o.has("l", "L"):
				return false
			case o.has("c"):
			case o.has("o") && !o.has("v"):
				for _, m := range re.FindAllString(l, -1) {
					if m != "" {
						show(lineNo, m, ":")
					}
				}
			default:
				if (before > 0 || after > 0) && lastShown > 0 && lineNo-len(back) > lastShown+1 {
					fmt.Fprintln(w, "--")
				}
				for i, b := range back {
					show(lineNo-len(back)+i, b, "-")
				}
				back = nil
				show(lineNo, l, ":")
				pending = after
			}
			return limit < 0 || count < limit
		})
		f.Close()
		if err != nil && p.ctx.Err() == nil {
			failed = true
			if !o.has("s") {
				p.warn("%s: %s", name, why(err))
			}
		}
		switch {
		case o.has("l") && count > 0, o.has("L") && count == 0:
			fmt.Fprintln(w, label)
		case o.has("c") && !o.has("q"):
			if prefix {
				fmt.Fprintf(w, "%s:", label)
			}
			fmt.Fprintln(w, count)
		}
		if stop {
			return 0
		}
	}
	switch {
	case failed:
		return 2
	case found:
		return 0
	}
	return 1
}

func cmdAwk(p *proc) int {
	args := p.args
	fs, src, haveSrc := "", "", false
	var vars []string
	for len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' && args[0] != "--" {
		a := args[0]
		args = args[1:]
		val := func() string {
			if len(a) > 2 {
				return a[2:]
			}
			if len(args) == 0 {
				return ""
			}
			v := args[0]
			args = args[1:]
			return v
		}
		switch {
		case strings.HasPrefix(a, "-F"):
			fs = val()
		case strings.HasPrefix(a, "-v"):
			k, v, _ := strings.Cut(val(), "=")
			vars = append(vars, k, unescape(v))
		case strings.HasPrefix(a, "-f"):
			name := val()
			data, err := p.readAll(name)
			if err != nil {
				return p.failCode(2, "can't open file %s", name)
			}
			src, haveSrc = src+string(data)+"\n", true
		case a == "--version", a == "-W":
			p.printf("awk (simulated by tfbake with GoAWK)\n")
			return 0
		default:
			return p.failCode(2, "unknown option %s", a)
		}
	}
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if !haveSrc {
		if len(args) == 0 {
			return p.failCode(2, "no program given")
		}
		src, args = args[0], args[1:]
	}
	prog, err := awkparser.ParseProgram([]byte(src), nil)
	if err != nil {
		return p.failCode(2, "%v", err)
	}
	// Files are opened here and given as one input: the interpreter itself may open nothing and run nothing.
	var readers []io.Reader
	code := 0
	for _, a := range args {
		if k, v, ok := strings.Cut(a, "="); ok && isName(k) {
			vars = append(vars, k, unescape(v))
			continue
		}
		f, err := p.open(a)
		if err != nil {
			fmt.Fprintf(p.err, "awk: cannot open \"%s\" (%s)\n", a, why(err))
			code = 2
			continue
		}
		defer f.Close()
		readers = append(readers, f, strings.NewReader(""))
	}
	var in io.Reader = &limited{p.ctx, p.stdin(), 1 << 40}
	if len(readers) > 0 {
		in = &limited{p.ctx, io.MultiReader(readers...), 1 << 40}
	} else if code != 0 {
		return code
	}
	if fs != "" {
		if fs == "t" {
			fs = "\t"
		}
		vars = append(vars, "FS", unescape(fs))
	}
	env := []string{}
	for k, v := range p.env {
		env = append(env, k, v)
	}
	w := p.buffered()
	status, err := awk.ExecProgram(prog, &awk.Config{Stdin: in, Output: ctxWriter{p, w}, Error: p.err, Argv0: "awk", NoArgVars: true, Vars: vars,
		NoExec: true, NoFileWrites: true, NoFileReads: true, Environ: env})
	w.Flush()
	if err != nil && p.ctx.Err() == nil {
		return p.failCode(2, "%v (the simulated awk opens no files and runs no commands of its own)", err)
	}
	if status != 0 {
		return status
	}
	return code
}

// ctxWriter ends a program that only writes when its process ends.
type ctxWriter struct {
	p *proc
	w io.Writer
}

func (c ctxWriter) Write(b []byte) (int, error) {
	if c.p.ctx.Err() != nil {
		return 0, c.p.ctx.Err()
	}
	return c.w.Write(b)
}

func isName(s string) bool {
	for i, c := range s {
		if !(c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || i > 0 && c >= '0' && c <= '9') {
			return false
		}
	}
	return s != ""
}

func cmdXargs(p *proc) int {
	o, ok := p.parse("0n:I:rtL:P:d:a:i:xE:s:", "null=0 max-args:=n replace?=I no-run-if-empty=r verbose=t max-lines:=L max-procs:=P delimiter:=d arg-file:=a", true)
	if !ok {
		return 1
	}
	var in io.Reader = p.stdin()
	if f := o.value["a"]; f != "" {
		r, err := p.open(f)
		if err != nil {
			return p.fail("%s: %s", f, why(err))
		}
		defer r.Close()
		in = r
	}
	data, err := io.ReadAll(&limited{p.ctx, in, 256 << 20})
	if err != nil {
		return 1
	}
	var items []string
	switch {
	case o.has("0"):
		items = strings.Split(strings.TrimSuffix(string(data), "\x00"), "\x00")
	case o.has("d"):
		d := unescape(o.value["d"])
		items = strings.Split(strings.TrimSuffix(string(data), d), d)
	case o.has("I", "L", "i"):
		for _, l := range strings.Split(string(data), "\n") {
			if l = strings.TrimSpace(l); l != "" {
				items = append(items, l)
			}
		}
	default:
		items = shellWords(string(data))
	}
	if len(items) == 1 && items[0] == "" && (o.has("0") || o.has("d")) {
		items = nil
	}
	argv := o.rest
	if len(argv) == 0 {
		argv = []string{"echo"}
	}
	code := 0
	run := func(call []string) bool {
		if o.has("t") {
			fmt.Fprintln(p.err, strings.Join(call, " "))
		}
		q := p.with(func(q *proc) { q.in = nil })
		switch c := q.exec(call); {
		case p.ctx.Err() != nil:
			return false
		case c == 255:
			code = 124
			return false
		case c == 126 || c == 127:
			code = c
			return false
		case c != 0:
			code = 123
		}
		return true
	}
	if mark, ok := o.value["I"], o.has("I", "i"); ok {
		if mark == "" {
			mark = "{}"
		}
		for _, it := range items {
			call := make([]string, len(argv))
			for i, a := range argv {
				call[i] = strings.ReplaceAll(a, mark, it)
			}
			if !run(call) {
				break
			}
		}
		return code
	}
	n := 5000
	if o.has("n") {
		n, _ = strconv.Atoi(o.value["n"])
	}
	if o.has("L") {
		n, _ = strconv.Atoi(o.value["L"])
	}
	if n < 1 {
		return p.fail("value for -n should be >= 1")
	}
	if len(items) == 0 {
		if !o.has("r") {
			run(argv)
		}
		return code
	}
	for len(items) > 0 {
		k := min(n, len(items))
		if !run(append(slices.Clone(argv), items[:k]...)) {
			break
		}
		items = items[k:]
	}
	return code
}

// shellWords splits at blanks, minding quotes and backslashes.
func shellWords(s string) []string {
	var out []string
	var cur strings.Builder
	in, quote := false, byte(0)
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case quote != 0:
			if c == quote {
				quote = 0
			} else {
				cur.WriteByte(c)
			}
		case c == '\'' || c == '"':
			quote, in = c, true
		case c == '\\' && i+1 < len(s):
			i++
			cur.WriteByte(s[i])
			in = true
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			if in {
				out = append(out, cur.String())
				cur.Reset()
			}
			in = false
		default:
			cur.WriteByte(c)
			in = true
		}
	}
	if in {
		out = append(out, cur.String())
	}
	return out
}

func cmdBase64(p *proc) int {
	o, ok := p.parse("diw:D", "decode=d ignore-garbage=i wrap:=w", false)
	if !ok {
		return 1
	}
	code := 0
	c := p.inputs(o.rest, func(_ string, r io.Reader) {
		data, _ := io.ReadAll(&limited{p.ctx, r, 512 << 20})
		if o.has("d", "D") {
			clean := bytes.Map(func(r rune) rune {
				if r == '\n' || r == '\r' || r == ' ' || r == '\t' {
					return -1
				}
				return r
			}, data)
			out, err := base64.StdEncoding.DecodeString(string(clean))
			p.out.Write(out)
			if err != nil {
				code = p.fail("invalid input")
			}
			return
		}
		width := 76
		if o.has("w") {
			width, _ = strconv.Atoi(o.value["w"])
		}
		text := base64.StdEncoding.EncodeToString(data)
		if width <= 0 {
			io.WriteString(p.out, text)
			return
		}
		for len(text) > 0 {
			n := min(width, len(text))
			p.printf("%s\n", text[:n])
			text = text[n:]
		}
	})
	return max(c, code)
}

func cmdSum(p *proc) int {
	o, ok := p.parse("cbtwza:", "check=c binary=b text=t quiet status warn=w strict ignore-missing tag", false)
	if !ok {
		return 1
	}
	kinds := map[string]func() hash.Hash{"sha256sum": sha256.New, "sha1sum": sha1.New, "md5sum": md5.New, "sha512sum": sha512.New, "sha384sum": sha512.New384,
		"sha224sum": sha256.New224}
	if p.name == "cksum" {
		return p.inputs(o.rest, func(name string, r io.Reader) {
			h := crc32.NewIEEE()
			n, _ := io.Copy(h, r)
			p.printf("%d %d %s\n", h.Sum32(), n, name)
		})
	}
	sum := func(r io.Reader) string {
		h := kinds[p.name]()
		io.Copy(h, r)
		return hex.EncodeToString(h.Sum(nil))
	}
	if !o.has("c") {
		return p.inputs(o.rest, func(name string, r io.Reader) { p.printf("%s  %s\n", sum(r), name) })
	}
	code, bad, missing := 0, 0, 0
	c := p.inputs(o.rest, func(_ string, r io.Reader) {
		lines(r, func(l string) bool {
			want, name, ok := strings.Cut(l, " ")
			if name = strings.TrimLeft(name, " *"); !ok || name == "" {
				return true
			}
			f, err := p.open(name)
			if err != nil {
				if !o.has("ignore-missing") {
					p.warn("%s: %s", name, why(err))
					p.printf("%s: FAILED open or read\n", name)
					missing++
					code = 1
				}
				return true
			}
			defer f.Close()
			if strings.EqualFold(sum(f), want) {
				if !o.has("quiet", "status") {
					p.printf("%s: OK\n", name)
				}
				return true
			}
			if !o.has("status") {
				p.printf("%s: FAILED\n", name)
			}
			bad++
			code = 1
			return true
		})
	})
	if bad > 0 && !o.has("status") {
		p.warn("WARNING: %d computed checksum did NOT match", bad)
	}
	if missing > 0 && !o.has("status") {
		p.warn("WARNING: %d listed file could not be read", missing)
	}
	return max(c, code)
}

func cmdSeq(p *proc) int {
	args, sep, format, equal := p.args, "\n", "", false
	for len(args) > 0 {
		switch a := args[0]; {
		case a == "-w":
			equal, args = true, args[1:]
			continue
		case a == "-s" && len(args) > 1:
			sep, args = unescape(args[1]), args[2:]
			continue
		case a == "-f" && len(args) > 1:
			format, args = args[1], args[2:]
			continue
		case strings.HasPrefix(a, "-s"):
			sep, args = unescape(a[2:]), args[1:]
			continue
		}
		break
	}
	first, inc, last := 1.0, 1.0, 0.0
	prec := 0
	var nums []float64
	for _, a := range args {
		n, err := strconv.ParseFloat(a, 64)
		if err != nil {
			return p.fail("invalid floating point argument: '%s'", a)
		}
		if _, f, ok := strings.Cut(a, "."); ok {
			prec = max(prec, len(f))
		}
		nums = append(nums, n)
	}
	switch len(nums) {
	case 1:
		last = nums[0]
	case 2:
		first, last = nums[0], nums[1]
	case 3:
		first, inc, last = nums[0], nums[1], nums[2]
	default:
		return p.fail("missing operand")
	}
	if inc == 0 {
		return p.fail("invalid Zero increment value: '0'")
	}
	width := 0
	if equal {
		width = max(len(strconv.FormatFloat(first, 'f', prec, 64)), len(strconv.FormatFloat(last, 'f', prec, 64)))
	}
	w := p.buffered()
	defer w.Flush()
	n := 0
	for x := first; inc > 0 && x <= last+1e-9 || inc < 0 && x >= last-1e-9; x = first + inc*float64(n) {
		if n > 0 {
			io.WriteString(w, sep)
		}
		switch {
		case format != "":
			fmt.Fprintf(w, strings.Replace(format, "%g", "%v", 1), x)
		default:
			fmt.Fprintf(w, "%0*s", width, strconv.FormatFloat(x, 'f', prec, 64))
		}
		if n++; p.ctx.Err() != nil || n > 10_000_000 {
			return 130
		}
	}
	if n > 0 {
		io.WriteString(w, "\n")
	}
	return 0
}

func cmdYes(p *proc) int {
	text := "y"
	if len(p.args) > 0 {
		text = strings.Join(p.args, " ")
	}
	block := []byte(strings.Repeat(text+"\n", 1+4096/(len(text)+1)))
	for p.ctx.Err() == nil {
		if _, err := p.out.Write(block); err != nil {
			return 141
		}
	}
	return 130
}

func cmdCmp(p *proc) int {
	o, ok := p.parse("sln:bi:", "silent=s quiet=s verbose=l", false)
	if !ok {
		return 2
	}
	if len(o.rest) < 1 {
		return p.failCode(2, "missing operand")
	}
	names := append(o.rest, "-")[:2]
	var data [2][]byte
	for i, n := range names {
		d, err := p.readAll(n)
		if err != nil {
			return p.failCode(2, "%s: %s", n, why(err))
		}
		data[i] = d
	}
	line := 1
	for i := 0; i < min(len(data[0]), len(data[1])); i++ {
		if data[0][i] != data[1][i] {
			if !o.has("s") {
				p.printf("%s %s differ: byte %d, line %d\n", names[0], names[1], i+1, line)
			}
			return 1
		}
		if data[0][i] == '\n' {
			line++
		}
	}
	if len(data[0]) != len(data[1]) {
		if !o.has("s") {
			short := names[0]
			if len(data[1]) < len(data[0]) {
				short = names[1]
			}
			p.warn("EOF on %s", short)
		}
		return 1
	}
	return 0
}

func cmdComm(p *proc) int {
	o, ok := p.parse("123", "nocheck-order", false)
	if !ok || len(o.rest) != 2 {
		return p.fail("missing operand")
	}
	var all [2][]string
	for i, n := range o.rest {
		d, err := p.readAll(n)
		if err != nil {
			return p.fail("%s: %s", n, why(err))
		}
		all[i] = splitLines(string(d))
	}
	tab := func(cols ...string) string {
		out := ""
		for _, c := range cols {
			if !o.has(c) {
				out += "\t"
			}
		}
		return out
	}
	a, b := all[0], all[1]
	for len(a) > 0 || len(b) > 0 {
		switch {
		case len(b) == 0 || len(a) > 0 && a[0] < b[0]:
			if !o.has("1") {
				p.printf("%s\n", a[0])
			}
			a = a[1:]
		case len(a) == 0 || b[0] < a[0]:
			if !o.has("2") {
				p.printf("%s%s\n", tab("1"), b[0])
			}
			b = b[1:]
		default:
			if !o.has("3") {
				p.printf("%s%s\n", tab("1", "2"), a[0])
			}
			a, b = a[1:], b[1:]
		}
	}
	return 0
}

func splitLines(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(s, "\n"), "\n")
}

func cmdPaste(p *proc) int {
	o, ok := p.parse("d:s", "delimiters:=d serial=s", false)
	if !ok {
		return 1
	}
	d := "\t"
	if o.has("d") {
		d = unescape(o.value["d"])
	}
	var cols [][]string
	code := p.inputs(o.rest, func(_ string, r io.Reader) {
		var c []string
		lines(r, func(l string) bool { c = append(c, l); return true })
		cols = append(cols, c)
	})
	delim := func(i int) string {
		if d == "" {
			return ""
		}
		return string(d[i%len(d)])
	}
	if o.has("s") {
		for _, c := range cols {
			for i, l := range c {
				if i > 0 {
					p.printf("%s", delim(i-1))
				}
				p.printf("%s", l)
			}
			p.printf("\n")
		}
		return code
	}
	rows := 0
	for _, c := range cols {
		rows = max(rows, len(c))
	}
	for i := range rows {
		for j, c := range cols {
			if j > 0 {
				p.printf("%s", delim(j-1))
			}
			if i < len(c) {
				p.printf("%s", c[i])
			}
		}
		p.printf("\n")
	}
	return code
}

func cmdNl(p *proc) int {
	o, ok := p.parse("b:w:s:v:n:", "", false)
	if !ok {
		return 1
	}
	n := 0
	return p.inputs(o.rest, func(_ string, r io.Reader) {
		lines(r, func(l string) bool {
			if l == "" && o.value["b"] != "a" {
				p.printf("       \n")
				return true
			}
			n++
			p.printf("%6d\t%s\n", n, l)
			return true
		})
	})
}

func cmdRev(p *proc) int {
	var all []string
	code := p.inputs(p.args, func(_ string, r io.Reader) {
		lines(r, func(l string) bool {
			if p.name == "tac" {
				all = append(all, l)
				return true
			}
			rs := []rune(l)
			slices.Reverse(rs)
			p.printf("%s\n", string(rs))
			return true
		})
	})
	for _, l := range slices.Backward(all) {
		p.printf("%s\n", l)
	}
	return code
}

func cmdFold(p *proc) int {
	o, ok := p.parse("w:sbts:x", "width:=w spaces=s", false)
	if !ok {
		return 1
	}
	width := 80
	if o.has("w") {
		width, _ = strconv.Atoi(o.value["w"])
	}
	return p.inputs(o.rest, func(_ string, r io.Reader) {
		lines(r, func(l string) bool {
			switch p.name {
			case "expand":
				l = strings.ReplaceAll(l, "\t", "        ")
			case "fold":
				for width > 0 && len(l) > width {
					p.printf("%s\n", l[:width])
					l = l[width:]
				}
			case "column":
				l = strings.Join(strings.Fields(l), "  ")
			}
			p.printf("%s\n", l)
			return true
		})
	})
}

func cmdStrings(p *proc) int {
	o, ok := p.parse("an:", "", false)
	if !ok {
		return 1
	}
	return p.inputs(o.rest, func(_ string, r io.Reader) {
		data, _ := io.ReadAll(&limited{p.ctx, r, 64 << 20})
		start := -1
		for i := 0; i <= len(data); i++ {
			if i < len(data) && data[i] >= ' ' && data[i] < 0x7f {
				if start < 0 {
					start = i
				}
				continue
			}
			if start >= 0 && i-start >= 4 {
				p.printf("%s\n", data[start:i])
			}
			start = -1
		}
	})
}

func cmdEnvsubst(p *proc) int {
	data, err := p.readAll("-")
	if err != nil {
		return 1
	}
	only := map[string]bool{}
	re := regexp.MustCompile(`\$(?:\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*))`)
	for _, a := range p.args {
		for _, m := range re.FindAllStringSubmatch(a, -1) {
			only[m[1]+m[2]] = true
		}
	}
	p.out.Write(re.ReplaceAllFunc(data, func(b []byte) []byte {
		m := re.FindSubmatch(b)
		name := string(m[1]) + string(m[2])
		if len(only) > 0 && !only[name] {
			return b
		}
		return []byte(p.env[name])
	}))
	return 0
}

func cmdIconv(p *proc) int {
	if p.name == "dos2unix" {
		for _, n := range p.args {
			if strings.HasPrefix(n, "-") {
				continue
			}
			data, err := p.readAll(n)
			if err == nil {
				var mode os.FileMode = 0o644
				if fi, serr := p.v.Stat(p.abs(n)); serr == nil {
					mode = fi.mode.Perm()
				}
				err = p.v.WriteFile(p.abs(n), bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n")), mode)
			}
			if err != nil {
				return p.fail("%s: %s", n, why(err))
			}
		}
		return 0
	}
	o, ok := p.parse("f:t:co:s", "from-code:=f to-code:=t", false)
	if !ok {
		return 1
	}
	return p.inputs(o.rest, func(_ string, r io.Reader) { copyCtx(p.ctx, p.out, r) })
}

func cmdOd(p *proc) int {
	var names []string
	plain, chars, hexed := false, false, p.name != "od"
	limit := -1
	args := p.args
	for i := 0; i < len(args); i++ {
		switch a := args[i]; {
		case a == "-p" || a == "-ps":
			plain = true
		case a == "-c":
			chars = true
		case a == "-An" || a == "-A" || a == "-v" || a == "-C":
			if a == "-A" {
				i++
			}
			plain = plain || a == "-An"
		case strings.HasPrefix(a, "-t"):
			if a == "-t" {
				i++
				a += args[min(i, len(args)-1)]
			}
			hexed = hexed || strings.HasPrefix(a, "-tx")
		case strings.HasPrefix(a, "-N") || strings.HasPrefix(a, "-n") || strings.HasPrefix(a, "-l"):
			v := a[2:]
			if v == "" && i+1 < len(args) {
				i++
				v = args[i]
			}
			limit, _ = strconv.Atoi(v)
		case strings.HasPrefix(a, "-"):
		default:
			names = append(names, a)
		}
	}
	return p.inputs(names, func(_ string, r io.Reader) {
		if limit >= 0 {
			r = io.LimitReader(r, int64(limit))
		}
		data, _ := io.ReadAll(&limited{p.ctx, r, 16 << 20})
		if p.name == "xxd" && plain {
			p.printf("%x\n", data)
			return
		}
		for i := 0; i < len(data); i += 16 {
			row := data[i:min(i+16, len(data))]
			if !plain {
				p.printf("%07x", i)
			}
			for _, b := range row {
				switch {
				case chars:
					p.printf(" %3s", strings.Trim(strconv.QuoteToASCII(string(rune(b))), `"`))
				case hexed:
					p.printf(" %02x", b)
				default:
					p.printf(" %03o", b)
				}
			}
			p.printf("\n")
		}
	})
}

// unescape resolves \n, \t, \\, \0nn, \xhh.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		switch c := s[i]; c {
		case 'n':
			b.WriteByte('\n')
		case 't':
			b.WriteByte('\t')
		case 'r':
			b.WriteByte('\r')
		case 'a':
			b.WriteByte(7)
		case 'b':
			b.WriteByte(8)
		case 'e':
			b.WriteByte(27)
		case 'f':
			b.WriteByte(12)
		case 'v':
			b.WriteByte(11)
		case '\\':
			b.WriteByte('\\')
		case 'x':
			j := i + 1
			for j < len(s) && j < i+3 && strings.IndexByte("0123456789abcdefABCDEF", s[j]) >= 0 {
				j++
			}
			n, _ := strconv.ParseUint(s[i+1:j], 16, 8)
			b.WriteByte(byte(n))
			i = j - 1
		case '0', '1', '2', '3', '4', '5', '6', '7':
			j := i
			for j < len(s) && j < i+4 && s[j] >= '0' && s[j] <= '7' {
				j++
			}
			n, _ := strconv.ParseUint(s[i:j], 8, 16)
			b.WriteByte(byte(n))
			i = j - 1
		default:
			b.WriteByte('\\')
			b.WriteByte(c)
		}
	}
	return b.String()
}

func cmdPrintf(p *proc) int {
	args := p.args
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		return p.failCode(2, "usage: printf [-v var] format [arguments]")
	}
	format, args := args[0], args[1:]
	var out strings.Builder
	code := 0
	used := false
	next := func() string {
		if len(args) == 0 {
			return ""
		}
		a := args[0]
		args, used = args[1:], true
		return a
	}
	integer := func(s string) int64 {
		if s == "" {
			return 0
		}
		if s[0] == '\'' || s[0] == '"' {
			if r := []rune(s[1:]); len(r) > 0 {
				return int64(r[0])
			}
			return 0
		}
		n, err := strconv.ParseInt(s, 0, 64)
		if err != nil {
			if f, ferr := strconv.ParseFloat(s, 64); ferr == nil {
				return int64(f)
			}
			code = 1
			fmt.Fprintf(p.err, "printf: %s: invalid number\n", s)
		}
		return n
	}
	for {
		used = false
		had := len(args)
		for i := 0; i < len(format); i++ {
			c := format[i]
			if c == '\\' {
				j := i + 2
				for j < len(format) && j < i+4 && (format[i+1] >= '0' && format[i+1] <= '7' && format[j] >= '0' && format[j] <= '7' || format[i+1] == 'x') {
					j++
				}
				j = min(j, len(format))
				if format[i:j] == `\c` {
					io.WriteString(p.out, out.String())
					return code
				}
				if j-i >= 2 && format[i+1] == '"' {
					out.WriteByte('"')
				} else {
					out.WriteString(unescape(format[i:j]))
				}
				i = j - 1
				continue
			}
			if c != '%' {
				out.WriteByte(c)
				continue
			}
			j := i + 1
			spec := "%"
			for j < len(format) && strings.IndexByte("-+ #0123456789.*'", format[j]) >= 0 {
				if format[j] == '*' {
					spec += strconv.FormatInt(integer(next()), 10)
				} else {
					spec += string(format[j])
				}
				j++
			}
			for j < len(format) && strings.IndexByte("hlLqjzt", format[j]) >= 0 && format[j] != 'q' {
				j++
			}
			if j >= len(format) {
				out.WriteByte('%')
				break
			}
			switch verb := format[j]; verb {
			case '%':
				out.WriteByte('%')
			case 'd', 'i':
				fmt.Fprintf(&out, spec+"d", integer(next()))
			case 'u':
				fmt.Fprintf(&out, spec+"d", uint64(integer(next())))
			case 'x', 'X', 'o':
				fmt.Fprintf(&out, spec+string(verb), integer(next()))
			case 'c':
				a := next()
				if a != "" {
					a = a[:1]
				}
				fmt.Fprintf(&out, spec+"s", a)
			case 's':
				fmt.Fprintf(&out, spec+"s", next())
			case 'b':
				a := next()
				if k := strings.Index(a, `\c`); k >= 0 {
					out.WriteString(unescape(a[:k]))
					io.WriteString(p.out, out.String())
					return code
				}
				fmt.Fprintf(&out, spec+"s", unescape(a))
			case 'q':
				fmt.Fprintf(&out, spec+"s", shellQuote(next()))
			case 'e', 'E', 'f', 'F', 'g', 'G':
				a := next()
				f, err := strconv.ParseFloat(a, 64)
				if err != nil && a != "" {
					code = 1
					fmt.Fprintf(p.err, "printf: %s: invalid number\n", a)
				}
				fmt.Fprintf(&out, spec+string(verb), f)
			case '(':
				if k := strings.Index(format[j:], ")T"); k > 0 {
					t := time.Now()
					if n := integer(next()); n > 0 {
						t = time.Unix(n, 0)
					}
					out.WriteString(strftime(format[j+1:j+k], t.UTC()))
					j += k + 1
				}
			default:
				fmt.Fprintf(p.err, "printf: `%c': invalid format character\n", verb)
				io.WriteString(p.out, out.String())
				return 1
			}
			i = j
		}
		if !used || len(args) == 0 || len(args) == had || out.Len() > 64<<20 || p.ctx.Err() != nil {
			break
		}
	}
	if _, err := io.WriteString(p.out, out.String()); err != nil {
		return 1
	}
	return code
}

func cmdExpr(p *proc) int {
	e := &exprParser{args: p.args}
	v, err := e.or()
	if err == nil && len(e.args) > 0 {
		err = errors.New("syntax error: unexpected argument '" + e.args[0] + "'")
	}
	if err != nil {
		return p.failCode(2, "%s", err)
	}
	p.printf("%s\n", v)
	if v == "" || v == "0" {
		return 1
	}
	return 0
}

type exprParser struct {
	args  []string
	depth int
}

func (e *exprParser) peek() string {
	if len(e.args) == 0 {
		return ""
	}
	return e.args[0]
}

func (e *exprParser) level(ops []string, sub func() (string, error), apply func(op, a, b string) (string, error)) (string, error) {
	a, err := sub()
	for err == nil && len(e.args) > 0 && slices.Contains(ops, e.peek()) {
		op := e.args[0]
		e.args = e.args[1:]
		var b string
		if b, err = sub(); err == nil {
			a, err = apply(op, a, b)
		}
	}
	return a, err
}

func null(s string) bool { return s == "" || s == "0" }

func (e *exprParser) or() (string, error) {
	return e.level([]string{"|"}, e.and, func(_, a, b string) (string, error) {
		if !null(a) {
			return a, nil
		}
		return b, nil
	})
}

func (e *exprParser) and() (string, error) {
	return e.level([]string{"&"}, e.compare, func(_, a, b string) (string, error) {
		if null(a) || null(b) {
			return "0", nil
		}
		return a, nil
	})
}

func (e *exprParser) compare() (string, error) {
	return e.level([]string{"=", "==", "!=", "<", "<=", ">", ">="}, e.sum, func(op, a, b string) (string, error) {
		c := strings.Compare(a, b)
		x, ex := strconv.ParseInt(a, 10, 64)
		y, ey := strconv.ParseInt(b, 10, 64)
		if ex == nil && ey == nil {
			c = 0
			if x < y {
				c = -1
			} else if x > y {
				c = 1
			}
		}
		ok := map[string]bool{"=": c == 0, "==": c == 0, "!=": c != 0, "<": c < 0, "<=": c <= 0, ">": c > 0, ">=": c >= 0}[op]
		return map[bool]string{true: "1", false: "0"}[ok], nil
	})
}

func (e *exprParser) arithmetic(op, a, b string) (string, error) {
	x, ex := strconv.ParseInt(a, 10, 64)
	y, ey := strconv.ParseInt(b, 10, 64)
	if ex != nil || ey != nil {
		return "", errors.New("non-integer argument")
	}
	switch op {
	case "+":
		x += y
	case "-":
		x -= y
	case "*":
		x *= y
	default:
		if y == 0 {
			return "", errors.New("division by zero")
		}
		if op == "/" {
			x /= y
		} else {
			x %= y
		}
	}
	return strconv.FormatInt(x, 10), nil
}

func (e *exprParser) sum() (string, error) {
	return e.level([]string{"+", "-"}, e.product, e.arithmetic)
}
func (e *exprParser) product() (string, error) {
	return e.level([]string{"*", "/", "%"}, e.match, e.arithmetic)
}

func (e *exprParser) match() (string, error) {
	return e.level([]string{":"}, e.primary, func(_, a, b string) (string, error) {
		re, err := cachedRegexp("^(?:" + convertRegexp(b, false) + ")")
		if err != nil {
			return "", err
		}
		m := re.FindStringSubmatch(a)
		if re.NumSubexp() > 0 {
			if m == nil {
				return "", nil
			}
			return m[1], nil
		}
		if m == nil {
			return "0", nil
		}
		return strconv.Itoa(len([]rune(m[0]))), nil
	})
}

func (e *exprParser) primary() (string, error) {
	if e.depth++; e.depth > 10_000 {
		return "", errors.New("expression too deep")
	}
	if len(e.args) == 0 {
		return "", errors.New("syntax error: missing argument")
	}
	a := e.args[0]
	e.args = e.args[1:]
	take := func(n int) ([]string, bool) {
		if len(e.args) < n {
			return nil, false
		}
		out := e.args[:n]
		e.args = e.args[n:]
		return out, true
	}
	switch a {
	case "(":
		v, err := e.or()
		if err == nil && e.peek() != ")" {
			err = errors.New("syntax error: expecting ')'")
		}
		if err == nil {
			e.args = e.args[1:]
		}
		return v, err
	case "length":
		if f, ok := take(1); ok {
			return strconv.Itoa(len([]rune(f[0]))), nil
		}
	case "substr":
		if f, ok := take(3); ok {
			pos, _ := strconv.Atoi(f[1])
			n, _ := strconv.Atoi(f[2])
			r := []rune(f[0])
			if pos < 1 || pos > len(r) || n < 1 {
				return "", nil
			}
			return string(r[pos-1 : min(len(r), pos-1+n)]), nil
		}
	case "index":
		if f, ok := take(2); ok {
			return strconv.Itoa(strings.IndexAny(f[0], f[1]) + 1), nil
		}
	}
	return a, nil
}

func cmdDiff(p *proc) int {
	o, ok := p.parse("uqrNbBwiaU:cys", "unified?=u brief=q recursive=r new-file=N ignore-all-space=w ignore-space-change=b ignore-case=i text=a context? color?", false)
	if !ok {
		return 2
	}
	if len(o.rest) != 2 {
		return p.failCode(2, "missing operand")
	}
	a, b := o.rest[0], o.rest[1]
	if p.v.isDir(p.abs(a)) && p.v.isDir(p.abs(b)) {
		return p.diffDirs(a, b, o)
	}
	if p.v.isDir(p.abs(a)) {
		a = into(a, b)
	} else if p.v.isDir(p.abs(b)) {
		b = into(b, a)
	}
	return p.diffFiles(a, b, o)
}

func (p *proc) diffDirs(a, b string, o *options) int {
	names := map[string]bool{}
	for _, d := range []string{a, b} {
		entries, err := p.v.ReadDir(p.abs(d))
		if err != nil {
			return p.failCode(2, "%s: %s", d, why(err))
		}
		for _, e := range entries {
			names[e.name] = true
		}
	}
	code := 0
	sorted := make([]string, 0, len(names))
	for n := range names {
		sorted = append(sorted, n)
	}
	slices.Sort(sorted)
	for _, n := range sorted {
		x, y := into(a, n), into(b, n)
		switch {
		case !p.v.exists(p.abs(x)) && !o.has("N"):
			p.printf("Only in %s: %s\n", b, n)
			code = max(code, 1)
		case !p.v.exists(p.abs(y)) && !o.has("N"):
			p.printf("Only in %s: %s\n", a, n)
			code = max(code, 1)
		case p.v.isDir(p.abs(x)):
			if o.has("r") {
				code = max(code, p.diffDirs(x, y, o))
			}
		default:
			code = max(code, p.diffFiles(x, y, o))
		}
	}
	return code
}

func (p *proc) diffFiles(a, b string, o *options) int {
	var text [2][]string
	var raw [2]string
	for i, n := range []string{a, b} {
		d, err := p.readAll(n)
		if err != nil {
			if o.has("N") {
				continue
			}
			return p.failCode(2, "%s: %s", n, why(err))
		}
		raw[i], text[i] = string(d), splitLines(string(d))
	}
	norm := func(s string) string {
		if o.has("w") {
			s = strings.Join(strings.Fields(s), "")
		} else if o.has("b") {
			s = strings.Join(strings.Fields(s), " ")
		}
		if o.has("i") {
			s = strings.ToLower(s)
		}
		return s
	}
	same := func(x, y string) bool { return norm(x) == norm(y) }
	if slices.EqualFunc(text[0], text[1], same) && (raw[0] == raw[1] || o.has("w", "b", "i")) {
		return 0
	}
	if o.has("q") {
		p.printf("Files %s and %s differ\n", a, b)
		return 1
	}
	ops := lineDiff(text[0], text[1], same)
	if o.has("u", "U") {
		ctx := 3
		if o.has("U") {
			ctx, _ = strconv.Atoi(o.value["U"])
		}
		p.printf("--- %s\n+++ %s\n", a, b)
		for i := 0; i < len(ops); {
			if ops[i].kind == ' ' {
				i++
				continue
			}
			from := max(0, i-ctx)
			to, quiet := i, 0
			for to < len(ops) && quiet <= 2*ctx {
				if ops[to].kind == ' ' {
					quiet++
				} else {
					quiet = 0
				}
				to++
			}
			to = max(i+1, to-max(0, quiet-ctx))
			to = min(to, len(ops))
			na, nb := 0, 0
			for _, op := range ops[from:to] {
				if op.kind != '+' {
					na++
				}
				if op.kind != '-' {
					nb++
				}
			}
			sa, sb := ops[from].a+1, ops[from].b+1
			if na == 0 {
				sa--
			}
			if nb == 0 {
				sb--
			}
			p.printf("@@ -%d,%d +%d,%d @@\n", sa, na, sb, nb)
			for _, op := range ops[from:to] {
				p.printf("%c%s\n", op.kind, op.text)
			}
			i = to
		}
		return 1
	}
	for i := 0; i < len(ops); {
		if ops[i].kind == ' ' {
			i++
			continue
		}
		j := i
		var del, add []string
		for j < len(ops) && ops[j].kind != ' ' {
			if ops[j].kind == '-' {
				del = append(del, ops[j].text)
			} else {
				add = append(add, ops[j].text)
			}
			j++
		}
		span := func(start, n int) string {
			if n <= 1 {
				return strconv.Itoa(start)
			}
			return fmt.Sprintf("%d,%d", start, start+n-1)
		}
		x, y := ops[i].a+1, ops[i].b+1
		switch {
		case len(add) == 0:
			p.printf("%sd%d\n", span(x, len(del)), y-1)
		case len(del) == 0:
			p.printf("%da%s\n", x-1, span(y, len(add)))
		default:
			p.printf("%sc%s\n", span(x, len(del)), span(y, len(add)))
		}
		for _, l := range del {
			p.printf("< %s\n", l)
		}
		if len(del) > 0 && len(add) > 0 {
			p.printf("---\n")
		}
		for _, l := range add {
			p.printf("> %s\n", l)
		}
		i = j
	}
	return 1
}

// diffOp is one line of a comparison; a and b are the indexes in the two files before it.
type diffOp struct {
	kind byte // ' ', '-', '+'
	text string
	a, b int
}

// lineDiff compares by longest common subsequence, after common ends are cut; very large middles are taken as replaced.
func lineDiff(x, y []string, same func(a, b string) bool) []diffOp {
	pre := 0
	for pre < len(x) && pre < len(y) && same(x[pre], y[pre]) {
		pre++
	}
	post := 0
	for post < len(x)-pre && post < len(y)-pre && same(x[len(x)-1-post], y[len(y)-1-post]) {
		post++
	}
	var ops []diffOp
	a, b := 0, 0
	keep := func(s string) { ops = append(ops, diffOp{' ', s, a, b}); a++; b++ }
	del := func(s string) { ops = append(ops, diffOp{'-', s, a, b}); a++ }
	add := func(s string) { ops = append(ops, diffOp{'+', s, a, b}); b++ }
	for _, l := range x[:pre] {
		keep(l)
	}
	mx, my := x[pre:len(x)-post], y[pre:len(y)-post]
	if len(mx)*len(my) > 16_000_000 {
		for _, l := range mx {
			del(l)
		}
		for _, l := range my {
			add(l)
		}
	} else {
		lcs := make([][]int32, len(mx)+1)
		for i := range lcs {
			lcs[i] = make([]int32, len(my)+1)
		}
		for i := len(mx) - 1; i >= 0; i-- {
			for j := len(my) - 1; j >= 0; j-- {
				if same(mx[i], my[j]) {
					lcs[i][j] = lcs[i+1][j+1] + 1
				} else {
					lcs[i][j] = max(lcs[i+1][j], lcs[i][j+1])
				}
			}
		}
		i, j := 0, 0
		for i < len(mx) || j < len(my) {
			switch {
			case i < len(mx) && j < len(my) && same(mx[i], my[j]):
				keep(mx[i])
				i, j = i+1, j+1
			case j >= len(my) || i < len(mx) && lcs[i+1][j] >= lcs[i][j+1]:
				del(mx[i])
				i++
			default:
				add(my[j])
				j++
			}
		}
	}
	for _, l := range x[len(x)-post:] {
		keep(l)
	}
	return ops
}
