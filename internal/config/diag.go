package config

import (
	"bytes"
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/mitchellh/go-wordwrap"
	"golang.org/x/text/width"
)

// WriteDiagnostics prints diagnostics for people: what is wrong, file:line:column, the source line with carets under
// the spot, and what to do. Lines are kept within columns (0: no limit). hcl's own writer marks the spot with
// colour only, which a log does not keep. hide takes secrets out of a text (nil: there are none); it sees lines before they
// are cut or wrapped, for a part of a secret would not be known as one.
func WriteDiagnostics(w io.Writer, files map[string]*hcl.File, diags hcl.Diagnostics, columns uint, color bool, hide func(string) string) error {
	if hide == nil {
		hide = func(s string) string { return s }
	}
	var b bytes.Buffer
	for i, d := range diags {
		if i > 0 {
			b.WriteByte('\n')
		}
		writeDiagnostic(&b, files, d, int(columns), color, hide)
	}
	_, err := w.Write(b.Bytes())
	return err
}

var likelySecret = regexp.MustCompile(`(?i)[\w-]*(?:secret|passw)[\w-]*"?\s*[:=]\s*"((?:[^"\\\n]|\\.)+)`)

// LikelySecrets looks in the text of templates for what may be secret. Where a key is misspelt, or a template cannot be
// read at all, no value is known, yet the messages quote its lines.
func LikelySecrets(files map[string]*hcl.File) (out []string) {
	for _, f := range files {
		for _, m := range likelySecret.FindAllSubmatch(f.Bytes, -1) {
			if s := string(m[1]); !strings.Contains(s, "{{") && !strings.Contains(s, "${") {
				out = append(out, s)
			}
		}
	}
	return out
}

func writeDiagnostic(b *bytes.Buffer, files map[string]*hcl.File, d *hcl.Diagnostic, columns int, color bool, hide func(string) string) {
	word, mark, bold, reset := "Error", "\x1b[31m", "\x1b[1m", "\x1b[0m"
	if d.Severity == hcl.DiagWarning {
		word, mark = "Warning", "\x1b[33m"
	}
	if !color {
		mark, bold, reset = "", "", ""
	}
	fmt.Fprintf(b, "%s%s:%s %s%s%s\n", mark, word, reset, bold, hide(d.Summary), reset)
	if r := d.Subject; r != nil {
		fmt.Fprintf(b, "  on %s:%d:%d\n", r.Filename, r.Start.Line, r.Start.Column)
		if f := files[r.Filename]; f != nil {
			writeSnippet(b, f.Bytes, *r, columns, mark, reset, hide)
		}
	}
	if d.Detail != "" {
		detail := hide(d.Detail)
		if columns > 20 {
			detail = wordwrap.WrapString(detail, uint(columns-2))
		}
		for _, line := range strings.Split(detail, "\n") {
			fmt.Fprintf(b, "  %s\n", line)
		}
	}
}

// writeSnippet prints the first line of the range and carets under it.
func writeSnippet(b *bytes.Buffer, src []byte, r hcl.Range, columns int, mark, reset string, hide func(string) string) {
	start, end := r.Start.Byte, r.End.Byte
	if start < 0 || start > len(src) {
		return
	}
	from := bytes.LastIndexByte(src[:start], '\n') + 1
	to := len(src)
	if i := bytes.IndexByte(src[start:], '\n'); i >= 0 {
		to = start + i
	}
	line := bytes.TrimSuffix(src[from:to], []byte("\r"))
	start = min(start-from, len(line))
	end = max(min(end-from, len(line)), start)

	number := fmt.Sprintf("%5d | ", r.Start.Line)
	before, under, after := hidden(string(line), start, end, hide)
	before, under, after = showable(before), showable(under), showable(after)
	if room := columns - len(number); columns > 0 && room > 10 {
		// A minified template is one long line: keep the spot in view.
		if cells(under) > room*2/3 {
			under, after = cutRight(under, room*2/3-1)+"…", ""
		}
		if cells(before)+cells(under) > room-1 {
			keep := max(room-2-cells(under), 2)
			before = "…" + cutLeft(before, keep/2+1)
		}
		if cells(before)+cells(under)+cells(after) > room {
			after = cutRight(after, max(room-1-cells(before)-cells(under), 0)) + "…"
		}
	}
	fmt.Fprintf(b, "%s%s%s%s\n", number, before, under, after)
	fmt.Fprintf(b, "%s%s%s%s%s\n", strings.Repeat(" ", len(number)-2)+"| ", strings.Repeat(" ", cells(before)), mark, strings.Repeat("^", max(cells(under), 1)), reset)
}

// hidden splits a line at two places and takes the secrets out. A place inside a secret moves to its edge: neither half
// would be known.
func hidden(line string, start, end int, hide func(string) string) (before, under, after string) {
	whole := hide(line)
	for start > 0 && hide(line[:start])+hide(line[start:]) != whole {
		start--
	}
	for end < len(line) && hide(line[:end])+hide(line[end:]) != whole {
		end++
	}
	return hide(line[:start]), hide(line[start:end]), hide(line[end:])
}

// showable makes text take the room it seems to: tabs become spaces, control characters dots.
func showable(line string) string {
	var b strings.Builder
	for _, r := range line {
		switch {
		case r == '\t':
			b.WriteString("    ")
		case r < ' ' || r == 0x7f || r == utf8.RuneError:
			b.WriteByte('.')
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// cells counts the columns a text takes on a terminal: Korean letters take two.
func cells(s string) int {
	n := 0
	for _, r := range s {
		n += runeCells(r)
	}
	return n
}

func runeCells(r rune) int {
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}

func cutRight(s string, n int) string {
	for i, r := range s {
		if n -= runeCells(r); n < 0 {
			return s[:i]
		}
	}
	return s
}

func cutLeft(s string, n int) string {
	for i := len(s); i > 0; {
		r, size := utf8.DecodeLastRuneInString(s[:i])
		if n -= runeCells(r); n < 0 {
			return s[i:]
		}
		i -= size
	}
	return s
}
