package provider

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/zclconf/go-cty/cty"
)

// row is one answer of a data source: values by attribute.
type row map[string]cty.Value

func str(s string) cty.Value { return cty.StringVal(s) }
func num[N int32 | int64](n N) cty.Value {
	return cty.NumberIntVal(int64(n))
}

// strOr is a text that is null where the API sends none.
func strOr(s string) cty.Value {
	if s == "" {
		return cty.NullVal(cty.String)
	}
	return cty.StringVal(s)
}

// gigabytes is a size as the product data sources write it.
func gigabytes(bytes int64) cty.Value { return cty.StringVal(fmt.Sprintf("%dGB", bytes/gigabyte)) }

// filtered is the rows that pass all filters of the configuration. A filter passes a row when one of its values is the
// row's attribute, or, with regex, matches it.
func filtered(o *object, rows []row) ([]row, error) {
	for _, f := range o.list("filter") {
		name, values, regex := textOf(f.GetAttr("name")), textsOf(f.GetAttr("values")), f.GetAttr("regex")
		var patterns []*regexp.Regexp
		if !regex.IsNull() && regex.True() {
			for _, v := range values {
				p, err := regexp.Compile(v)
				if err != nil {
					return nil, fmt.Errorf("filter %s: %q is not a regular expression: %w", name, v, err)
				}
				patterns = append(patterns, p)
			}
		}
		var out []row
		for _, r := range rows {
			if v, ok := r[name]; ok && passes(v, values, patterns) {
				out = append(out, r)
			}
		}
		rows = out
	}
	return rows, nil
}

func passes(v cty.Value, values []string, patterns []*regexp.Regexp) bool {
	if !v.IsKnown() || v.IsNull() {
		return false
	}
	if t := v.Type(); t.IsCollectionType() {
		for _, e := range v.AsValueSlice() {
			if passes(e, values, patterns) {
				return true
			}
		}
		return false
	}
	text := plain(v)
	for _, p := range patterns {
		if p.MatchString(text) {
			return true
		}
	}
	if patterns == nil {
		for _, want := range values {
			if want == text {
				return true
			}
		}
	}
	return false
}

// plain is a primitive value as a filter writes it.
func plain(v cty.Value) string {
	switch v.Type() {
	case cty.String:
		return v.AsString()
	case cty.Number:
		return v.AsBigFloat().Text('f', -1)
	case cty.Bool:
		return strconv.FormatBool(v.True())
	}
	return ""
}

var errNoResult = errors.New("no results. please change search criteria and try again")

// one fills o with the single row that passes the filters.
func one(o *object, rows []row) error {
	if o.schema.blocks["filter"] != nil {
		var err error
		if rows, err = filtered(o, rows); err != nil {
			return err
		}
	}
	if len(rows) == 0 {
		return errNoResult
	}
	if len(rows) > 1 {
		var ids []string
		for _, r := range rows[:min(len(rows), 10)] {
			if id, ok := r["id"]; ok {
				ids = append(ids, plain(id))
			}
		}
		return fmt.Errorf("more than one found results(%d). please change search criteria and try again: %s", len(rows), strings.Join(ids, ", "))
	}
	for name, v := range rows[0] {
		o.set(name, v)
	}
	return nil
}

// many is the rows that pass the filters, at least one.
func many(o *object, rows []row) ([]row, error) {
	if o.schema.blocks["filter"] != nil {
		var err error
		if rows, err = filtered(o, rows); err != nil {
			return nil, err
		}
	}
	if len(rows) == 0 {
		return nil, errNoResult
	}
	return rows, nil
}

func ids(rows []row) []string {
	var out []string
	for _, r := range rows {
		out = append(out, plain(r["id"]))
	}
	return out
}

// hashID is the id of a list of results: the hash the official provider computes, so that state does not change between the two.
func hashID(ids []string) string {
	var b strings.Builder
	for _, id := range ids {
		b.WriteString(id + "-")
	}
	return strconv.FormatInt(int64(crc32.ChecksumIEEE([]byte(b.String()))), 10)
}

// table makes a list of objects of the attribute's type from rows. A column that a row lacks is empty, as the older SDK has it.
func table(t cty.Type, rows []row) cty.Value {
	columns := t.ElementType().AttributeTypes()
	var out []cty.Value
	for _, r := range rows {
		values := map[string]cty.Value{}
		for name, ct := range columns {
			if v, ok := r[name]; ok {
				values[name] = v
			} else {
				values[name] = empty(ct)
			}
		}
		out = append(out, cty.ObjectVal(values))
	}
	return collection(t, out)
}

func empty(t cty.Type) cty.Value {
	switch t {
	case cty.String:
		return cty.StringVal("")
	case cty.Number:
		return cty.NumberIntVal(0)
	case cty.Bool:
		return cty.False
	}
	return cty.NullVal(t)
}

// output writes what a data source found to its output_file, if it names one.
func (s *session) output(o *object, v cty.Value) error {
	path := o.text("output_file")
	if path == "" {
		return nil
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(s.options.Dir, path)
	}
	b, err := json.MarshalIndent(plainJSON(v), "", "\t")
	if err == nil {
		err = os.WriteFile(path, b, 0o666) // results are no secret; the user's umask decides
	}
	if err != nil {
		return fmt.Errorf("write output_file %s: %w", path, err)
	}
	return nil
}

func plainJSON(v cty.Value) any {
	t := v.Type()
	switch {
	case v.IsNull() || !v.IsKnown():
		switch t {
		case cty.String:
			return ""
		case cty.Number:
			return 0
		case cty.Bool:
			return false
		}
		return nil
	case t == cty.String:
		return v.AsString()
	case t == cty.Bool:
		return v.True()
	case t == cty.Number:
		return json.Number(v.AsBigFloat().Text('f', -1))
	case t.IsObjectType():
		m := map[string]any{}
		for name, f := range v.AsValueMap() {
			m[name] = plainJSON(f)
		}
		return m
	default:
		list := []any{}
		for _, e := range v.AsValueSlice() {
			list = append(list, plainJSON(e))
		}
		return list
	}
}
