package localcloud

import (
	"fmt"
	"net/netip"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// decodeParams fills the struct that p points to from a request's parameters.
//
// A field's tag `p:"name,rules…"` names the parameter; rules are
//
//	required        missing or empty is error 900
//	name            3 to 30 characters of the VPC name pattern
//	len=3-30        length in characters
//	bytes=1000      at most so many bytes
//	range=10-2000   number within bounds
//	oneof=A|B       one of these values
//
// Types: string, *int64, *bool, []string (name.1, name.2, …), []struct (name.1.field, …). An empty value counts as
// absent: clients send "initScriptNo=" for "none". Unknown parameters are ignored, as the real API does.
func decodeParams(v url.Values, p any) *apiError {
	return decodeStruct(v, "", reflect.ValueOf(p).Elem())
}

func decodeStruct(v url.Values, prefix string, s reflect.Value) *apiError {
	for i := range s.NumField() {
		f := s.Type().Field(i)
		if f.Anonymous {
			if err := decodeStruct(v, prefix, s.Field(i)); err != nil {
				return err
			}
			continue
		}
		tag := f.Tag.Get("p")
		if tag == "" {
			continue
		}
		parts := strings.Split(tag, ",")
		name, rules := prefix+parts[0], parts[1:]
		if err := decodeField(v, name, rules, s.Field(i)); err != nil {
			return err
		}
		if slices.Contains(rules, "required") && isEmpty(s.Field(i)) {
			return errMissing(name)
		}
	}
	return nil
}

func isEmpty(f reflect.Value) bool { return f.IsZero() || f.Kind() == reflect.Slice && f.Len() == 0 }

func decodeField(v url.Values, name string, rules []string, f reflect.Value) *apiError {
	switch {
	case f.Kind() == reflect.Slice && f.Type().Elem().Kind() == reflect.Struct:
		for _, n := range indexes(v, name) {
			item := reflect.New(f.Type().Elem()).Elem()
			if err := decodeStruct(v, fmt.Sprintf("%s.%d.", name, n), item); err != nil {
				return err
			}
			f.Set(reflect.Append(f, item))
		}
		return nil
	case f.Kind() == reflect.Slice:
		for _, n := range indexes(v, name) {
			if s := v.Get(fmt.Sprintf("%s.%d", name, n)); s != "" {
				if err := checkRules(fmt.Sprintf("%s.%d", name, n), s, rules); err != nil {
					return err
				}
				f.Set(reflect.Append(f, reflect.ValueOf(s)))
			}
		}
		return nil
	}

	s := v.Get(name)
	if s == "" {
		return nil
	}
	if err := checkRules(name, s, rules); err != nil {
		return err
	}
	switch f.Interface().(type) {
	case string:
		f.SetString(s)
	case *int64:
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return errInvalid("%s: %q is not a number", name, s)
		}
		f.Set(reflect.ValueOf(&n))
	case *bool:
		b, err := strconv.ParseBool(strings.ToLower(s))
		if err != nil {
			return errInvalid("%s: %q is not true or false", name, s)
		}
		f.Set(reflect.ValueOf(&b))
	default:
		panic("localcloud: parameter " + name + " has type " + f.Type().String())
	}
	return nil
}

// indexes lists the numbers N for which name.N or name.N.x was sent, ascending.
func indexes(v url.Values, name string) []int {
	var out []int
	for k := range v {
		rest, ok := strings.CutPrefix(k, name+".")
		if !ok {
			continue
		}
		digits, _, _ := strings.Cut(rest, ".")
		if n, err := strconv.Atoi(digits); err == nil && n > 0 && !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return out
}

// vpcName is the rule for names of VPC objects: lower case, digits, '-'; starts with a letter, ends with letter or digit.
var vpcName = regexp.MustCompile(`^[a-z][a-z0-9-]*[a-z0-9]$`)

// imageName is the wider rule of createServerImage.
var imageName = regexp.MustCompile(`^[a-z][A-Za-z0-9_-]*[a-z0-9]$`)

func checkRules(name, s string, rules []string) *apiError {
	for _, r := range rules {
		rule, arg, _ := strings.Cut(r, "=")
		switch rule {
		case "required":
		case "name", "imagename":
			re := vpcName
			if rule == "imagename" {
				re = imageName
			}
			if len(s) < 3 || len(s) > 30 || !re.MatchString(s) {
				return errInvalid("%s: %q must have 3 to 30 characters: lower-case letters, digits and '-', beginning with a letter and ending with a letter or digit", name, s)
			}
		case "len":
			lo, hi := bounds(arg)
			if n := int64(len([]rune(s))); n < lo || n > hi {
				return errInvalid("%s: length %d is not within %d to %d", name, n, lo, hi)
			}
		case "bytes":
			if hi, _ := strconv.Atoi(arg); len(s) > hi {
				return errInvalid("%s: longer than %d bytes", name, hi)
			}
		case "range":
			lo, hi := bounds(arg)
			if n, err := strconv.ParseInt(s, 10, 64); err != nil || n < lo || n > hi {
				return errInvalid("%s: %q is not within %d to %d", name, s, lo, hi)
			}
		case "oneof":
			if !slices.Contains(strings.Split(arg, "|"), s) {
				return errInvalid("%s: %q is not one of %s", name, s, strings.ReplaceAll(arg, "|", ", "))
			}
		default:
			panic("localcloud: unknown parameter rule " + r)
		}
	}
	return nil
}

func bounds(arg string) (lo, hi int64) {
	a, b, _ := strings.Cut(arg, "-")
	lo, _ = strconv.ParseInt(a, 10, 64)
	hi, _ = strconv.ParseInt(b, 10, 64)
	return lo, hi
}

// portRange parses "22" or "1-65535".
func portRange(s string) (from, to int, ok bool) {
	a, b, found := strings.Cut(s, "-")
	if !found {
		b = a
	}
	from, err1 := strconv.Atoi(a)
	to, err2 := strconv.Atoi(b)
	return from, to, err1 == nil && err2 == nil && from >= 1 && to <= 65535 && from <= to
}

func validCIDR(s string) bool {
	p, err := netip.ParsePrefix(s)
	return err == nil && p.Addr().Is4()
}
