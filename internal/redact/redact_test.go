package redact

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf16"
)

const secret = `p@ss "w'rd/$HOME\<&%한글`

const pem = "-----BEGIN RSA PRIVATE KEY-----\n" +
	"MIIEpAIBAAKCAQEAtfbakeonlyatestkeyline1tfbakeonlyatestkeyline1ab\n" +
	"cdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/xy\n" +
	"c2hvcnQ=\n" +
	"-----END RSA PRIVATE KEY-----\n"

func TestString(t *testing.T) {
	r := New()
	r.Add(secret, pem, "abc", "")
	jsonSecret, _ := json.Marshal(map[string]string{"password": secret})
	tests := []struct{ name, in, want string }{
		{"raw", "x" + secret + "y", "x" + Mask + "y"},
		{"twice", secret + secret, Mask + Mask},
		{"too short", "abc", "abc"},
		{"go json", string(jsonSecret), `{"password":"` + Mask + `"}`},
		{"json of json", fmt.Sprintf("%q", `"p@ss \"w'rd/$HOME\\<&%한글"`), `"\"` + Mask + `\""`},
		{"python json", `"p@ss \"w'rd/$HOME\\<&%\ud55c\uae00"`, `"` + Mask + `"`},
		{"php json", `"p@ss \"w'rd\/$HOME\\<&%한글"`, `"` + Mask + `"`},
		{"shell single quotes", `'p@ss "w'"'"'rd/$HOME\<&%한글'`, `'` + Mask + `'`},
		{"shell single quotes, other way", `'p@ss "w'\''rd/$HOME\<&%한글'`, `'` + Mask + `'`},
		{"shell double quotes", `"p@ss \"w'rd/\$HOME\\<&%한글"`, `"` + Mask + `"`},
		{"printf %q", `p@ss\ \"w\'rd/\$HOME\\\<\&%한글`, Mask},
		{"powershell double", "\"p@ss `\"w`'rd/`$HOME\\<&%한글\"", `"` + Mask + `"`},
		{"powershell single", `'p@ss "w''rd/$HOME\<&%한글'`, `'` + Mask + `'`},
		{"xml", `<S>p@ss "w'rd/$HOME\&lt;&amp;%한글</S>`, `<S>` + Mask + `</S>`},
		{"query", "?p=" + url.QueryEscape(secret), "?p=" + Mask},
		{"query, lower case", "?p=" + lowerHex(url.QueryEscape(secret)), "?p=" + Mask},
		{"userinfo", url.UserPassword("u", secret).String(), "u:" + Mask},
		{"key", "key: " + pem, "key: " + Mask},
		{"line of a key", "  " + strings.Split(pem, "\n")[2] + " ", "  " + Mask + " "},
		{"last line of a key", "c2hvcnQ=", Mask},
		{"frame of a key", "-----BEGIN RSA PRIVATE KEY-----", "-----BEGIN RSA PRIVATE KEY-----"},
		{"key in json", jsonString(pem, true), Mask},
		{"key with CRLF", strings.ReplaceAll(pem, "\n", "\r\n"), Mask},
		{"key in base64, wrapped", wrap(base64.StdEncoding.EncodeToString([]byte(pem)), 76), ""},
	}
	for _, tt := range tests {
		got := r.String(tt.in)
		if tt.name == "key in base64, wrapped" {
			got = strings.NewReplacer(Mask, "", "\n", "", "=", "").Replace(got)
		}
		if got != tt.want {
			t.Errorf("%s: %s\n gives %s\n want  %s", tt.name, tt.in, got, tt.want)
		}
	}
}

func wrap(s string, n int) string {
	var b strings.Builder
	for len(s) > n {
		b.WriteString(s[:n] + "\n")
		s = s[n:]
	}
	return b.String() + s
}

func TestBase64InEveryPlace(t *testing.T) {
	for _, secret := range []string{"four", "fives", "sixsix", "sevens7", "\xff\xfe\xfd\xfb?>"} {
		r := New()
		r.Add(secret)
		for before := range 6 {
			for after := range 4 {
				plain := strings.Repeat("b", before) + secret + strings.Repeat("a", after)
				for name, enc := range map[string]*base64.Encoding{"std": base64.StdEncoding, "url": base64.RawURLEncoding} {
					in := enc.EncodeToString([]byte(plain))
					if got := r.String(in); !strings.Contains(got, Mask) {
						t.Errorf("%q (%s of %q) is not hidden", in, name, plain)
					}
				}
			}
		}
	}
	r := New()
	r.Add(secret)
	var wide []byte
	for _, u := range utf16.Encode([]rune("$p = '" + secret + "'")) {
		wide = append(wide, byte(u), byte(u>>8))
	}
	if got := r.String(base64.StdEncoding.EncodeToString(wide)); !strings.Contains(got, Mask) {
		t.Errorf("an encoded PowerShell command is not hidden: %s", got)
	}
}

// What a real shell prints must be known, not only what we think it prints.
func TestShellsOwnQuoting(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("no bash here")
	}
	r := New()
	for _, s := range []string{`plain-Secret1`, `it's "me" $x`, `a!b#c~d{e}`, "two\nlines '1'"} {
		r.Add(s)
		for _, script := range []string{`printf '%q' "$S"`, `set -x; : "$S"`, `export S; export -p | grep -A1 ' S='`, `v=$S; declare -p v`} {
			cmd := exec.Command(bash, "-c", script)
			cmd.Env = []string{"S=" + s, "LC_ALL=C.UTF-8", "PATH=/usr/bin:/bin"}
			out, _ := cmd.CombinedOutput()
			if got := r.String(string(out)); !strings.Contains(got, Mask) {
				t.Errorf("%s with %q: prints %s", script, s, got)
			}
		}
	}
}

func TestOverlap(t *testing.T) {
	r := New()
	r.Add("abcdef", "defghi", "abcdefgh1234", "cdef")
	for in, want := range map[string]string{
		"xabcdefghiy":    "x" + Mask + "y",
		"abcdefgh1234":   Mask,
		"abcdefgh123":    Mask + "gh123",
		"cdefcdef":       Mask + Mask,
		"abcdef defghi.": Mask + " " + Mask + ".",
	} {
		if got := r.String(in); got != want {
			t.Errorf("%q gives %q, want %q", in, got, want)
		}
	}
}

func TestNil(t *testing.T) {
	var r *Redactor
	r.Add("secret")
	if got := r.String("secret"); got != "secret" {
		t.Error(got)
	}
	var b bytes.Buffer
	w := r.Writer(&b)
	fmt.Fprint(w, "secret")
	w.Close()
	if b.String() != "secret" {
		t.Error(b.String())
	}
}

func TestWriterByteByByte(t *testing.T) {
	r := New()
	r.Add("hunter22-secret", pem)
	in := "hunter22-secret\nxhunter22-secrethunter22-\nhunter22-secre\n" + pem + "end hunter22-secre"
	want := Mask + "\nx" + Mask + "hunter22-\nhunter22-secre\n-----BEGIN RSA PRIVATE KEY-----\n" +
		Mask + "\n" + Mask + "\n" + Mask + "\n-----END RSA PRIVATE KEY-----\nend " + Mask
	var b bytes.Buffer
	w := r.Writer(&b).(*writer)
	for i := range len(in) {
		if _, err := w.Write([]byte{in[i]}); err != nil {
			t.Fatal(err)
		}
		w.flush() // as if the timer fired after every byte
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if b.String() != want {
		t.Errorf("got  %q\nwant %q", b.String(), want)
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func TestWriterShowsSoon(t *testing.T) {
	r := New()
	r.Add("hunter22")
	var b lockedBuffer
	w := r.Writer(&b)
	defer w.Close()
	fmt.Fprint(w, "a line\nand a prompt: hunt")
	if got := b.String(); got != "a line\n" {
		t.Errorf("at once: %q", got)
	}
	deadline := time.Now().Add(5 * time.Second)
	for b.String() != "a line\nand a prompt: " {
		if time.Now().After(deadline) {
			t.Fatalf("after a while: %q", b.String())
		}
		time.Sleep(5 * time.Millisecond)
	}
	fmt.Fprint(w, "er22\n")
	if got := b.String(); got != "a line\nand a prompt: "+Mask+"\n" {
		t.Errorf("in the end: %q", got)
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("broken") }

func TestWriterReturnsErrors(t *testing.T) {
	r := New()
	r.Add("hunter22")
	w := r.Writer(brokenWriter{})
	if _, err := fmt.Fprintln(w, "x"); err == nil {
		t.Error("no error")
	}
	if err := w.Close(); err == nil {
		t.Error("no error from Close")
	}
}

func TestConcurrent(t *testing.T) {
	r := New()
	var wg sync.WaitGroup
	var b lockedBuffer
	w := r.Writer(&b)
	for i := range 8 {
		wg.Go(func() {
			for j := range 10 {
				s := fmt.Sprintf("secret-%d-%d", i, j)
				r.Add(s)
				if got := r.String("<" + s + ">"); got != "<"+Mask+">" {
					t.Errorf("%s: %s", s, got)
				}
				fmt.Fprintln(w, s)
			}
		})
	}
	wg.Wait()
	w.Close()
	if strings.Contains(b.String(), "secret-") {
		t.Error("a secret came through the writer")
	}
}

func FuzzRedact(f *testing.F) {
	f.Add("hunter22", "er22xx", "say hunter22xx and hunt", uint64(7))
	f.Add("a\nb", "\xff\xfe\xfd\xfc", "x\xff\xfe\xfd\xfcy", uint64(99))
	f.Add("aaaa", "aaaaa", "aaaaaaaaa", uint64(3))
	f.Add(secret, pem, pem+secret, uint64(12345))
	f.Fuzz(func(t *testing.T, one, two, text string, cuts uint64) {
		r := New()
		r.Add(one, two)
		for _, s := range []string{one, two} {
			if len(s) < minLen || strings.Contains(Mask, s) || overlapsMask(s) {
				continue // a secret that may arise anew beside a mask
			}
			if got := r.String(text + s + text); strings.Contains(got, s) {
				t.Fatalf("%q shows in %q", s, got)
			}
		}
		if strings.Contains(one+two, "\n") {
			return // shown line by line, so not the same as at one go
		}
		text += "\n"
		var b bytes.Buffer
		w := r.Writer(&b).(*writer)
		for rest := text; rest != ""; {
			n := min(len(rest), 1+int(cuts&7))
			cuts = cuts>>3 | cuts<<61
			w.Write([]byte(rest[:n]))
			if cuts&1 == 0 {
				w.flush()
			}
			rest = rest[n:]
		}
		w.Close()
		if want := r.String(text); b.String() != want {
			t.Fatalf("in pieces %q\nat once   %q", b.String(), want)
		}
	})
}

// overlapsMask tells secrets that begin with an end of the mask or end with a beginning of it.
func overlapsMask(s string) bool {
	for i := 1; i <= len(Mask); i++ {
		if strings.HasPrefix(s, Mask[len(Mask)-i:]) || strings.HasSuffix(s, Mask[:i]) {
			return true
		}
	}
	return strings.Contains(s, Mask)
}

func BenchmarkString(b *testing.B) {
	r := New()
	r.Add(secret, pem, "ncp_iam_ABCDEFGHIJ", strings.Repeat("k9", 20))
	line := strings.Repeat("Get:1 http://archive.ubuntu.com/ubuntu jammy InRelease [270 kB]\n", 100)
	b.SetBytes(int64(len(line)))
	for b.Loop() {
		r.String(line)
	}
}
