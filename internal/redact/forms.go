package redact

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"net/url"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// forms returns the ways in which a secret may show up in output. Some are the same or too short to be looked for; the
// caller sorts that out.
func forms(secret string) []string {
	values := []string{secret}
	if t := strings.TrimSpace(secret); t != secret {
		values = append(values, t) // a file's content often has a newline too many
	}
	if strings.ContainsAny(secret, "\r\n") {
		// Output is shown line by line, so each line of a key must be known by itself.
		for _, line := range strings.FieldsFunc(secret, func(r rune) bool { return r == '\n' || r == '\r' }) {
			if !isFrame(line) {
				values = append(values, line, strings.TrimSpace(line))
			}
		}
	}
	var all []string
	for _, v := range values {
		if len(v) < minLen {
			continue
		}
		all = append(all, v, strings.ReplaceAll(v, "\n", "\r\n"))
		all = append(all, escaped(v)...)
		all = append(all, encoded(v)...)
	}
	return all
}

// isFrame tells lines of a secret that are no secret themselves ("-----BEGIN RSA PRIVATE KEY-----").
func isFrame(line string) bool {
	t := strings.TrimSpace(line)
	return strings.HasPrefix(t, "-----") && strings.HasSuffix(t, "-----")
}

func escaped(v string) []string {
	return []string{
		// JSON: Go escapes <, > and &, others do not; some escape the slash, or all that is not ASCII.
		jsonString(v, true), jsonString(v, false), strings.ReplaceAll(jsonString(v, false), "/", `\/`), jsonASCII(v),
		// JSON within JSON (a body quoted in an error).
		jsonString(jsonString(v, false), false),
		// POSIX shells: within '…', within "…", each character by itself (printf %q), and $'…' (bash -x, several lines).
		strings.ReplaceAll(v, `'`, `'"'"'`), strings.ReplaceAll(v, `'`, `'\''`),
		escapeBy(v, `\`, "\\\"$`"), escapeBy(v, `\`, "\\\"$`!"),
		escapeBy(v, `\`, " \t!\"#$&'()*,;<>?[\\]^`{|}~"), escapeBy(v, `\`, " \t!\"$&'()*,;<>?[\\]^`{|}"), ansiC(v),
		// PowerShell within "…" and '…', cmd.exe, XML (PowerShell's CLIXML).
		escapeBy(v, "`", "$\"`'"), escapeBy(v, "`", "$\"`"), strings.ReplaceAll(v, `'`, `''`), strings.ReplaceAll(v, `"`, `""`),
		escapeBy(v, "^", "^&<>|()%!\""),
		html.EscapeString(v), strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&apos;").Replace(v),
		strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(v),
		// URLs, and Go's %q.
		url.QueryEscape(v), url.PathEscape(v), lowerHex(url.QueryEscape(v)), lowerHex(url.PathEscape(v)),
		strings.ReplaceAll(url.QueryEscape(v), "+", "%20"), url.UserPassword("", v).String()[1:],
		strings.Trim(fmt.Sprintf("%q", v), `"`),
	}
}

func jsonString(v string, escapeHTML bool) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(escapeHTML)
	if e.Encode(v) != nil {
		return ""
	}
	s := strings.TrimSuffix(b.String(), "\n")
	return s[1 : len(s)-1]
}

func jsonASCII(v string) string {
	var b strings.Builder
	for _, r := range jsonString(v, false) {
		if r < utf8.RuneSelf {
			b.WriteRune(r)
			continue
		}
		for _, u := range utf16.AppendRune(nil, r) {
			fmt.Fprintf(&b, `\u%04x`, u)
		}
	}
	return b.String()
}

func escapeBy(v, with, chars string) string {
	var b strings.Builder
	for i := range len(v) {
		if strings.IndexByte(chars, v[i]) >= 0 {
			b.WriteString(with)
		}
		b.WriteByte(v[i])
	}
	return b.String()
}

func ansiC(v string) string {
	return strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\n", `\n`, "\r", `\r`, "\t", `\t`).Replace(v)
}

// lowerHex turns the digits of %XX into lower case.
func lowerHex(v string) string {
	b := []byte(v)
	for i := 0; i+2 < len(b); i++ {
		if b[i] == '%' {
			copy(b[i+1:i+3], bytes.ToLower(b[i+1:i+3]))
			i += 2
		}
	}
	return string(b)
}

// encoded returns v in base64, in both alphabets, as it looks at each of the three places it can have in a longer text
// that is encoded, and the same of its UTF-16 (what PowerShell's -EncodedCommand takes).
func encoded(v string) []string {
	var all []string
	var wide []byte
	for _, u := range utf16.Encode([]rune(v)) {
		wide = append(wide, byte(u), byte(u>>8))
	}
	for _, bytes := range [][]byte{[]byte(v), wide} {
		for place := range 3 {
			std := inBase64(bytes, place)
			url := strings.NewReplacer("+", "-", "/", "_").Replace(std)
			all = append(all, std, url)
			if place == 0 {
				// base64(1) and PEM break lines after 76 and 64 characters.
				all = append(all, chunks(std, 76)...)
				all = append(all, chunks(std, 64)...)
			}
		}
	}
	return all
}

// inBase64 returns the characters that bytes alone decide when skip bytes stand before them and anything after them.
func inBase64(bytes []byte, skip int) string {
	padded := append(make([]byte, skip), bytes...)
	s := base64.RawStdEncoding.EncodeToString(padded)
	if len(padded)%3 != 0 {
		s = s[:len(s)-1] // its low bits are the next byte's
	}
	return s[(skip*8+5)/6:]
}

func chunks(s string, n int) []string {
	if len(s) <= n {
		return nil
	}
	var all []string
	for len(s) > n {
		all = append(all, s[:n])
		s = s[n:]
	}
	return append(all, s)
}
