package preflight

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"

	"github.com/tfbake/tfbake/internal/ncloud"
)

func failure(at hcl.Range, summary, detail string) *hcl.Diagnostic {
	return &hcl.Diagnostic{Severity: hcl.DiagError, Summary: summary, Detail: strings.TrimSpace(detail), Subject: at.Ptr()}
}

func warning(at hcl.Range, summary, detail string) *hcl.Diagnostic {
	d := failure(at, summary, detail)
	d.Severity = hcl.DiagWarning
	return d
}

// row is a valid value and what it stands for.
type row struct{ value, name string }

func rows[T any](list []T, of func(T) (string, string)) []row {
	var out []row
	for _, v := range list {
		value, name := of(v)
		out = append(out, row{value, strings.TrimSpace(name)})
	}
	return out
}

// maxRows is how many valid values a finding shows.
const maxRows = 12

// choices shows valid values as a table, those that resemble the wrong one first, and says what was probably meant.
func choices(title, wrong string, valid []row) string {
	if len(valid) == 0 {
		return "There are none."
	}
	var values, names []string
	for _, r := range valid {
		values, names = append(values, r.value), append(names, r.name)
	}
	nearest := []string{}
	if wrong != "" {
		nearest = ncloud.Nearest(wrong, values, 3)
		for _, name := range ncloud.Nearest(wrong, names, 3) { // people write names where numbers are wanted
			if v := valid[slices.Index(names, name)].value; !slices.Contains(nearest, v) {
				nearest = append(nearest, v)
			}
		}
	}
	rank := func(r row) int {
		if i := slices.Index(nearest, r.value); i >= 0 {
			return i
		}
		return len(nearest)
	}
	sorted := slices.Clone(valid)
	slices.SortStableFunc(sorted, func(a, b row) int { return rank(a) - rank(b) })
	shown := sorted[:min(len(sorted), maxRows)]
	width := 0
	for _, r := range shown {
		width = max(width, utf8.RuneCountInString(r.value))
	}
	var b strings.Builder
	if len(nearest) > 0 {
		b.WriteString("Did you mean " + orList(nearest[:min(2, len(nearest))]) + "? ")
	}
	b.WriteString(title + ":")
	for _, r := range shown {
		b.WriteString(strings.TrimRight(fmt.Sprintf("\n  %-*s  %s", width, r.value, r.name), " "))
	}
	if n := len(sorted) - len(shown); n > 0 {
		fmt.Fprintf(&b, "\n  … and %d more", n)
	}
	return b.String()
}

func orList(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

func upperFirst(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(r)) + s[n:]
}
