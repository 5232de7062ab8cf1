package config

import (
	"fmt"
	"math/big"
	"net/netip"
	"os"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/agext/levenshtein"
	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// object is a block of a template after evaluation, whatever language it was written in: keys in order of appearance.
type object struct {
	items []item
	rng   hcl.Range // what to point at when a key is missing: the block's header or type
}

type item struct {
	key string
	rng hcl.Range // of the key
	val value
}

// value is an evaluated value and where it was written. It may be unknown while what it depends on is: the result of a
// step that has not run.
type value struct {
	v      cty.Value
	rng    hcl.Range
	elems  []value // of a list, when their places are known
	fields []item  // of an object, likewise
	stand  *value  // what an unknown value may look like, for checks; nil: that cannot be told
}

func (o object) get(key string) (item, bool) {
	for _, it := range o.items {
		if it.key == key {
			return it, true
		}
	}
	return item{}, false
}

// without returns the object less some keys.
func (o object) without(keys ...string) object {
	out := object{rng: o.rng}
	for _, it := range o.items {
		if !contains(keys, it.key) {
			out.items = append(out.items, it)
		}
	}
	return out
}

// merge returns the object with the keys of over replacing its own.
func (o object) merge(over object) object {
	out := object{rng: o.rng}
	for _, it := range o.items {
		if _, replaced := over.get(it.key); !replaced {
			out.items = append(out.items, it)
		}
	}
	out.items = append(out.items, over.items...)
	return out
}

// list is the value's elements with the best ranges known.
func (v value) list() []value {
	if v.elems != nil {
		return v.elems
	}
	if !v.v.IsKnown() {
		return nil
	}
	var out []value
	for it := v.v.ElementIterator(); it.Next(); {
		_, e := it.Element()
		out = append(out, value{v: e, rng: v.rng})
	}
	return out
}

// entries is the value's keys and values with the best ranges known; in order of appearance, or else of the keys.
func (v value) entries() []item {
	if v.fields != nil {
		return v.fields
	}
	var out []item
	for it := v.v.ElementIterator(); it.Next(); {
		k, e := it.Element()
		out = append(out, item{key: k.AsString(), rng: v.rng, val: value{v: e, rng: v.rng}})
	}
	return out
}

func (v value) unknown() bool { return !v.v.IsWhollyKnown() }

// standIn is the value with stand-ins for what is not known yet, as far as there are any.
func (v value) standIn() value {
	if v.stand != nil {
		return *v.stand
	}
	if v.v.IsKnown() && !v.v.IsNull() && isList(v.v) {
		elems, vals := []value{}, []cty.Value{}
		for _, e := range v.list() {
			e = e.standIn()
			elems, vals = append(elems, e), append(vals, e.v)
		}
		v.elems, v.v = elems, cty.TupleVal(vals)
	}
	return v
}

// standBy gives the unknown parts of v the same parts of w as their stand-ins.
func (v *value) standBy(w value) {
	switch {
	case !v.v.IsKnown():
		v.stand = &w
	case v.v.IsWhollyKnown() || v.v.IsNull() || !w.v.IsKnown() || w.v.IsNull() || !v.v.CanIterateElements() || !w.v.CanIterateElements():
	case isList(v.v) && isList(w.v):
		elems, others := append([]value(nil), v.list()...), w.list()
		for i := range elems {
			if i < len(others) {
				elems[i].standBy(others[i])
			}
		}
		v.elems = elems
	case !isList(v.v) && !isList(w.v):
		fields, others := append([]item(nil), v.entries()...), map[string]value{}
		for _, o := range w.entries() {
			others[o.key] = o.val
		}
		for i, f := range fields {
			if o, ok := others[f.key]; ok {
				fields[i].val.standBy(o)
			}
		}
		v.fields = fields
	}
}

// field describes one key of a block: one row is all that decoding, checking, "did you mean" and the reference know.
type field[T any] struct {
	name    string
	aliases []alias
	def     string // default, in the words a template would use; "" none
	doc     string
	since   string // "original": the builder documentation of Packer 1.x; "plugin": packer-plugin-ncloud; "tfbake": new; "": Packer
	raw     bool   // a template that is rendered later, with values only the step has: not interpolated while loading
	secret  bool
	need    bool
	off     bool         // a duration that may be negative, which switches off what it is about
	ptr     func(*T) any // the struct's field; its type says what the key takes
	check   func(d *decoder, key string, v value)
}

// alias is an older spelling of a key. Those that Packer's plugin no longer takes get a warning naming today's.
type alias struct {
	name string
	warn bool
}

func old(names ...string) []alias {
	var out []alias
	for _, n := range names {
		out = append(out, alias{name: n})
	}
	return out
}

// schema is all keys of one kind of block.
type schema[T any] struct {
	what   string // "the ncloud builder", "the shell provisioner": for messages
	fields []field[T]
	hints  map[string]string // keys we know from elsewhere and do not take: what to do instead
	nops   map[string]string // keys that are taken and have no effect: why
	finish func(d *decoder, t *T)
}

// decoder turns one object into one struct and gathers what is wrong with it.
type decoder struct {
	files   FS
	cwd     string
	onDisk  bool // look whether named files exist
	diags   hcl.Diagnostics
	obj     object
	keys    map[string]item // today's name -> where it was set
	pending map[string]bool // keys whose value is not known yet
	also    []string        // keys that belong to the block and are read elsewhere: for suggestions
	json    bool            // read as Packer reads the JSON of a plugin: keys in any case, lists as one text with commas
}

func (d *decoder) add(sev hcl.DiagnosticSeverity, r hcl.Range, summary, format string, args ...any) {
	detail := format
	if len(args) > 0 {
		detail = fmt.Sprintf(format, args...)
	}
	d.diags = append(d.diags, &hcl.Diagnostic{Severity: sev, Summary: summary, Detail: detail, Subject: r.Ptr()})
}

func (d *decoder) errorf(r hcl.Range, summary, format string, args ...any) {
	d.add(hcl.DiagError, r, summary, format, args...)
}

func (d *decoder) warnf(r hcl.Range, summary, format string, args ...any) {
	d.add(hcl.DiagWarning, r, summary, format, args...)
}

// has tells whether the key was set, known yet or not.
func (d *decoder) has(key string) bool { _, ok := d.keys[key]; return ok }

// known tells whether the key was set to a value that can be judged now.
func (d *decoder) known(key string) bool { return d.has(key) && !d.pending[key] }

// str is the key's value as a string, "" where it is not set, not known or something else.
func (d *decoder) str(key string) string {
	if !d.known(key) {
		return ""
	}
	s, _ := asString(d.keys[key].val.v)
	return s
}

// at is the place to point at for a key: its value, or the block where it is not set.
func (d *decoder) at(key string) hcl.Range {
	if it, ok := d.keys[key]; ok {
		return it.val.rng
	}
	return d.obj.rng
}

// keyAt is where the key itself was written.
func (d *decoder) keyAt(key string) hcl.Range {
	if it, ok := d.keys[key]; ok {
		return it.rng
	}
	return d.obj.rng
}

// spelled is the key as the template spells it.
func (d *decoder) spelled(key string) string {
	if it, ok := d.keys[key]; ok {
		return it.key
	}
	return key
}

// decode fills a T from the object: defaults first, then every key, then the rules between keys.
func decode[T any](d *decoder, s *schema[T], o object) T {
	var t T
	d.obj, d.keys, d.pending = o, map[string]item{}, map[string]bool{}
	byName := map[string]*field[T]{}
	aliases := map[string]alias{}
	for i := range s.fields {
		f := &s.fields[i]
		byName[f.name] = f
		for _, a := range f.aliases {
			byName[a.name], aliases[a.name] = f, a
		}
		if f.def != "" {
			// A default goes the way a template's value goes, so that the reference cannot disagree with the code.
			if err := assign(f.ptr(&t), cty.StringVal(f.def)); err != nil {
				panic(fmt.Sprintf("default of %s: %v", f.name, err))
			}
		}
	}
	for _, it := range o.items {
		f, ok := byName[it.key]
		if d.json && !ok {
			if lower := strings.ToLower(it.key); byName[lower] != nil {
				it.key = lower
				f, ok = byName[lower], true
			} else if strings.HasPrefix(it.key, "packer_") {
				d.warnf(it.rng, fmt.Sprintf("%s has no effect", it.key), "Packer sets it for its plugins. Remove it.")
				continue
			}
		}
		if why, nop := s.nops[it.key]; nop {
			d.warnf(it.rng, fmt.Sprintf("%s has no effect", it.key), "%s", why)
			continue
		}
		if !ok {
			if meant := byName[d.unknownKey(it, s.what, s.hints, s.names())]; meant != nil && !d.has(meant.name) {
				// Rules between keys must not complain that it is missing as well.
				d.keys[meant.name], d.pending[meant.name] = it, true
			}
			continue
		}
		if before, twice := d.keys[f.name]; twice && (before.key == f.name || byName[before.key] == f) {
			d.errorf(it.rng, fmt.Sprintf("%s is set twice", f.name), "%q and %q mean the same. Remove one of them (the other is on line %d).",
				before.key, it.key, before.rng.Start.Line)
			continue
		}
		if it.val.v.IsNull() {
			continue // null is the same as leaving the key out
		}
		d.keys[f.name] = it
		if aliases[it.key].warn {
			d.warnf(it.rng, fmt.Sprintf("%s is an old name", it.key), "It is taken as %q. Packer's own plugin would refuse it; write %q, or let tfbake fix do so.", f.name, f.name)
		}
		if it.val.unknown() {
			d.pending[f.name] = true
			if f.check != nil {
				f.check(d, f.name, it.val.standIn())
			}
			continue
		}
		d.set(f.name, f.ptr(&t), it.val)
		if p, ok := f.ptr(&t).(*time.Duration); ok && *p < 0 && !f.off {
			d.errorf(it.val.rng, fmt.Sprintf("%s cannot be negative", it.key), "Write a duration such as \"90s\", or leave the key out.")
			*p = 0
		}
		if f.check != nil {
			f.check(d, f.name, it.val)
		}
	}
	for _, f := range s.fields {
		if f.need && !d.has(f.name) {
			d.errorf(o.rng, fmt.Sprintf("%s is missing", f.name), "%s needs it: %s", upperFirst(s.what), f.doc)
		}
	}
	if s.finish != nil {
		s.finish(d, &t)
	}
	return t
}

func (s *schema[T]) names() []string {
	var out []string
	for _, f := range s.fields {
		out = append(out, f.name)
		for _, a := range f.aliases {
			out = append(out, a.name)
		}
	}
	return out
}

// rawKeys are the keys that hold templates for later.
func (s *schema[T]) rawKeys() map[string]bool {
	out := map[string]bool{}
	for _, f := range s.fields {
		if f.raw {
			out[f.name] = true
		}
	}
	return out
}

// unknownKey complains about a key and returns the one that was probably meant.
func (d *decoder) unknownKey(it item, what string, hints map[string]string, names []string) string {
	summary := fmt.Sprintf("Unknown key %q", it.key)
	if hint, ok := hints[it.key]; ok {
		d.errorf(it.rng, summary, "%s", hint)
		return ""
	}
	if strings.HasPrefix(it.key, "_") {
		d.errorf(it.rng, summary, "Comments (keys that begin with \"_\") stand at the root of the template only, as in Packer. Move it there.")
		return ""
	}
	if s := suggest(it.key, append(names, d.also...)); s != "" && s != it.key {
		d.errorf(it.rng, summary, "%s has no such key. Did you mean %q?", upperFirst(what), s)
		return s
	}
	d.errorf(it.rng, summary, "%s has no such key. Remove it.", upperFirst(what))
	return ""
}

// set converts a value into the Go field behind p, complaining at the exact element that does not fit.
func (d *decoder) set(key string, p any, v value) {
	bad := func(v value, want string) {
		d.errorf(v.rng, fmt.Sprintf("%s takes %s", d.spelled(key), want), "This is %s.", describe(v.v))
	}
	switch p := p.(type) {
	case *[]string:
		*p = []string{}
		if d.json && !isList(v.v) && v.v.Type() == cty.String && strings.Contains(v.v.AsString(), ",") {
			*p = strings.Split(v.v.AsString(), ",")
			d.warnf(v.rng, fmt.Sprintf("%s takes a list", key), "This is one string. It is split at its commas, into %d, as in Packer. Write a list: [\"…\"].", len(*p))
			return
		}
		if !isList(v.v) {
			s, err := asString(v.v) // one value where a list is wanted is a list of one, as in Packer
			if err != nil {
				bad(v, "a list of strings")
				return
			}
			if s != "" || v.v.Type() != cty.String {
				*p = append(*p, s)
			}
			return
		}
		for _, e := range v.list() {
			s, err := asString(e.v)
			if err != nil {
				bad(e, "a list of strings")
				continue
			}
			*p = append(*p, s)
		}
	case *[]int:
		*p = []int{}
		list := []value{v}
		if isList(v.v) {
			list = v.list()
		} else if s, err := asString(v.v); d.json && err == nil {
			list = nil
			for _, part := range strings.Split(s, ",") {
				list = append(list, value{v: cty.StringVal(part), rng: v.rng})
			}
		}
		for _, e := range list {
			n, err := asInt(e.v)
			if err != nil {
				bad(e, "a list of whole numbers")
				continue
			}
			*p = append(*p, n)
		}
	case *map[string]string:
		if !v.v.CanIterateElements() || !(v.v.Type().IsObjectType() || v.v.Type().IsMapType()) {
			bad(v, "an object with string values")
			return
		}
		*p = map[string]string{}
		for _, it := range v.entries() {
			s, err := asString(it.val.v)
			if err != nil {
				bad(it.val, "an object with string values")
				continue
			}
			(*p)[it.key] = s
		}
	default:
		if err := assign(p, v.v); err != nil {
			_, isDuration := p.(*time.Duration)
			n, notNumber := asInt(v.v)
			why, isWant := err.(wantError)
			switch {
			case isDuration && notNumber == nil && n > 0:
				d.errorf(v.rng, fmt.Sprintf("%s takes %s", d.spelled(key), string(why)), "Did you mean \"%ds\" or \"%dm\"?", n, n)
			case isWant:
				bad(v, string(why))
			default:
				d.errorf(v.rng, fmt.Sprintf("%s cannot be read", d.spelled(key)), "%s", upperFirst(err.Error())+".")
			}
		}
	}
}

// wantError says what kind of value a key takes; the reader of it says what was found.
type wantError string

func (e wantError) Error() string { return "it takes " + string(e) }

// assign converts a single value with Packer's leniency: numbers and booleans may be strings and the other way round.
func assign(p any, v cty.Value) (err error) {
	switch p := p.(type) {
	case *string:
		*p, err = asString(v)
	case *int:
		*p, err = asInt(v)
	case *bool:
		*p, err = asBool(v)
	case **bool:
		var b bool
		if b, err = asBool(v); err == nil {
			*p = &b
		}
	case *time.Duration:
		*p, err = asDuration(v)
	case *[]string:
		*p = strings.Split(v.AsString(), ",") // defaults only
	case *[]int:
		*p = []int{}
		for _, s := range strings.Split(v.AsString(), ",") { // defaults only
			n, err := strconv.Atoi(s)
			if err != nil {
				return err
			}
			*p = append(*p, n)
		}
	default:
		panic(fmt.Sprintf("no conversion to %T", p))
	}
	return err
}

func asString(v cty.Value) (string, error) {
	if !v.IsKnown() {
		return "", wantError("a string")
	}
	if v.IsNull() {
		return "", nil
	}
	switch v.Type() {
	case cty.String:
		return v.AsString(), nil
	case cty.Number:
		return v.AsBigFloat().Text('f', -1), nil
	case cty.Bool:
		return strconv.FormatBool(v.True()), nil
	}
	return "", wantError("a string")
}

func asInt(v cty.Value) (int, error) {
	if !v.IsKnown() {
		return 0, wantError("a whole number")
	}
	if v.IsNull() {
		return 0, nil
	}
	f := new(big.Float)
	switch v.Type() {
	case cty.Number:
		f = v.AsBigFloat()
	case cty.String:
		s := strings.TrimSpace(v.AsString())
		if s == "" {
			return 0, nil
		}
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return 0, wantError("a whole number")
		}
		f.SetInt64(n)
	default:
		return 0, wantError("a whole number")
	}
	n, acc := f.Int64()
	if acc != big.Exact || int64(int(n)) != n {
		return 0, wantError("a whole number")
	}
	return int(n), nil
}

func asBool(v cty.Value) (bool, error) {
	if !v.IsKnown() {
		return false, wantError("true or false")
	}
	if v.IsNull() {
		return false, nil
	}
	switch v.Type() {
	case cty.Bool:
		return v.True(), nil
	case cty.String:
		if v.AsString() == "" {
			return false, nil
		}
		if b, err := strconv.ParseBool(v.AsString()); err == nil {
			return b, nil
		}
	case cty.Number:
		return v.AsBigFloat().Sign() != 0, nil
	}
	return false, wantError("true or false")
}

func asDuration(v cty.Value) (time.Duration, error) {
	const want = wantError(`a duration with its unit, such as "90s", "5m" or "1h30m"`)
	if v.IsNull() {
		return 0, nil
	}
	s, err := asString(v)
	if err != nil {
		return 0, want
	}
	if s = strings.TrimSpace(s); s == "" {
		return 0, nil
	}
	t, err := time.ParseDuration(s)
	if err != nil {
		return 0, want
	}
	return t, nil
}

func isList(v cty.Value) bool {
	t := v.Type()
	return t.IsTupleType() || t.IsListType() || t.IsSetType()
}

// describe names a value for a message. Strings that may be secrets are not shown here; the snippet shows the source.
func describe(v cty.Value) string {
	switch t := v.Type(); {
	case v.IsNull():
		return "null"
	case !v.IsKnown():
		return "not known yet"
	case t == cty.String:
		return "a string"
	case t == cty.Number:
		return "the number " + v.AsBigFloat().Text('g', 10)
	case t == cty.Bool:
		return strconv.FormatBool(v.True())
	case isList(v):
		return "a list"
	default:
		return "an object"
	}
}

// suggest finds the name nearest to a mistyped one; "" when none is near.
func suggest(given string, names []string) string {
	best, bestDistance := "", 4
	sorted := append([]string(nil), names...)
	sort.Strings(sorted)
	norm := func(s string) string { return strings.ReplaceAll(strings.ToLower(s), "-", "_") }
	for _, n := range sorted {
		d := levenshtein.Distance(norm(given), norm(n), nil)
		if d < bestDistance && d <= 1+len(n)/4 {
			best, bestDistance = n, d
		}
	}
	return best
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

func upperFirst(s string) string {
	if s == "" || s[0] < 'a' || s[0] > 'z' {
		return s
	}
	return string(s[0]-'a'+'A') + s[1:]
}

// The checks below are the ones more than one key needs.

func oneOf(words ...string) func(*decoder, string, value) {
	return func(d *decoder, key string, v value) {
		s, err := asString(v.v)
		if err != nil || contains(words, s) {
			return
		}
		detail := fmt.Sprintf("%s takes %s.", d.spelled(key), orList(words))
		if near := suggest(s, words); near != "" && near != s {
			detail += fmt.Sprintf(" Did you mean %q?", near)
		}
		d.errorf(v.rng, fmt.Sprintf("%q is not a value of %s", s, d.spelled(key)), "%s", detail)
	}
}

func orList(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = strconv.Quote(w)
	}
	if len(quoted) < 2 {
		return strings.Join(quoted, "")
	}
	return strings.Join(quoted[:len(quoted)-1], ", ") + " or " + quoted[len(quoted)-1]
}

func maxBytes(n int) func(*decoder, string, value) {
	return func(d *decoder, key string, v value) {
		if s, err := asString(v.v); err == nil && len(s) > n {
			d.errorf(v.rng, fmt.Sprintf("%s is too long", d.spelled(key)), "It has %d bytes; at most %d are allowed (a Korean letter counts 3).", len(s), n)
		}
	}
}

func portCheck(d *decoder, key string, v value) {
	if n, err := asInt(v.v); err == nil && (n < 0 || n > 65535) {
		d.errorf(v.rng, fmt.Sprintf("%s is not a port", d.spelled(key)), "A port is a number from 1 to 65535.")
	}
}

func notNegative(d *decoder, key string, v value) {
	if n, err := asInt(v.v); err == nil && n < 0 {
		d.errorf(v.rng, fmt.Sprintf("%s cannot be negative", d.spelled(key)), "Write 0 or more.")
	}
}

func cidrCheck(d *decoder, key string, v value) {
	if !isList(v.v) {
		v = value{v: cty.TupleVal([]cty.Value{v.v}), rng: v.rng, elems: []value{v}}
	}
	for _, e := range v.list() {
		s, err := asString(e.v)
		if err != nil {
			continue
		}
		p, err := netip.ParsePrefix(s)
		if err != nil {
			detail := "Write an address block such as 203.0.113.7/32 or 10.0.0.0/8."
			if a, err := netip.ParseAddr(s); err == nil {
				detail = fmt.Sprintf("A single address is written with /%d: %q.", a.BitLen(), fmt.Sprintf("%s/%d", a, a.BitLen()))
			}
			d.errorf(e.rng, fmt.Sprintf("%q is not an address block", s), "%s", detail)
			continue
		}
		if !p.Addr().Is4() {
			d.errorf(e.rng, fmt.Sprintf("%q is not IPv4", s), "An ACG of NAVER Cloud knows IPv4 addresses only. Write a block such as 203.0.113.7/32.")
			continue
		}
		if p != p.Masked() {
			d.errorf(e.rng, fmt.Sprintf("%q has bits set beyond its prefix", s), "Did you mean %q?", p.Masked().String())
		}
	}
}

// fileCheck reports files on this machine that a key names and that are not there.
func fileCheck(d *decoder, key string, v value) {
	if !d.onDisk {
		return
	}
	list := []value{v}
	if isList(v.v) {
		list = v.list()
	}
	for _, e := range list {
		if s, err := asString(e.v); err == nil && s != "" {
			d.fileExists(key, s, e.rng)
		}
	}
}

func (d *decoder) fileExists(key, name string, r hcl.Range) bool {
	path := absPath(d.cwd, expandHome(name))
	if _, err := d.files.Stat(path); err != nil {
		why := "cannot be read: " + errText(err)
		if os.IsNotExist(err) {
			why = "does not exist"
		}
		d.errorf(r, fmt.Sprintf("The file %s %s", name, why), "%s names a file on this machine. Relative paths begin at %s.", d.spelled(key), d.cwd)
		return false
	}
	return true
}

func envCheck(d *decoder, key string, v value) {
	if !isList(v.v) {
		v = value{v: cty.TupleVal([]cty.Value{v.v}), rng: v.rng, elems: []value{v}}
	}
	for _, e := range v.list() {
		s, err := asString(e.v)
		if name, _, ok := strings.Cut(s, "="); err == nil && (!ok || name == "") {
			d.errorf(e.rng, "Not an environment variable", "Write it as NAME=value.")
		}
	}
}
