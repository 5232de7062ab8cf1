// Package redact hides secrets in text that is about to be shown or written: as they are, and in the forms in which
// they tend to come back (line by line, base64, escaped for JSON, shells, PowerShell, XML, URLs).
package redact

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Mask stands where a secret was. Packer's users know this word.
const Mask = "<sensitive>"

// minLen is the shortest text that is hidden, in bytes: hiding shorter ones would hide half of every text.
const minLen = 4

// Redactor knows the secrets of a run. The zero value knows none, and so does a nil *Redactor, which cannot learn any.
// It is safe for concurrent use, and secrets may be added while it is in use.
type Redactor struct {
	mu      sync.Mutex          // held while adding
	known   map[string][]string // a secret's forms
	matcher atomic.Pointer[matcher]
}

// New returns a Redactor that knows no secrets yet.
func New() *Redactor { return &Redactor{} }

// Add makes secrets known, in all their forms. Values shorter than 4 bytes are ignored.
func (r *Redactor) Add(secrets ...string) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	before := len(r.known)
	for _, s := range secrets {
		if len(s) < minLen || r.known[s] != nil {
			continue
		}
		if r.known == nil {
			r.known = map[string][]string{}
		}
		r.known[s] = forms(s)
	}
	if len(r.known) != before {
		r.matcher.Store(newMatcher(r.known))
	}
}

// String returns s with every secret replaced by Mask. Overlapping secrets share one mask, so that no end of one
// shows beside another.
func (r *Redactor) String(s string) string {
	m := r.load()
	if m == nil {
		return s
	}
	spans := m.find(s)
	if len(spans) == 0 {
		return s
	}
	return mask(s, spans)
}

func (r *Redactor) load() *matcher {
	if r == nil {
		return nil
	}
	return r.matcher.Load()
}

func mask(s string, spans []span) string {
	var b strings.Builder
	at := 0
	for _, p := range spans {
		b.WriteString(s[at:p.start])
		b.WriteString(Mask)
		at = p.end
	}
	b.WriteString(s[at:])
	return b.String()
}

// matcher finds any of a set of strings of at least minLen bytes. It is never changed once made.
type matcher struct {
	byHead map[[minLen]byte][]string // by their first bytes, longest first
	first  [256]bool                 // bytes that begin a string: most positions are dismissed by this alone
	heads  map[string]bool           // the first 1 … minLen-1 bytes of every string without a newline
	max    int                       // length of the longest string
}

type span struct{ start, end int }

func newMatcher(secrets map[string][]string) *matcher {
	m := &matcher{byHead: map[[minLen]byte][]string{}, heads: map[string]bool{}}
	seen := map[string]bool{}
	for _, forms := range secrets {
		for _, f := range forms {
			if len(f) < minLen || seen[f] {
				continue
			}
			seen[f] = true
			h := [minLen]byte([]byte(f[:minLen]))
			m.byHead[h] = append(m.byHead[h], f)
			m.first[f[0]] = true
			m.max = max(m.max, len(f))
			if !strings.Contains(f, "\n") {
				for i := 1; i < minLen; i++ {
					m.heads[f[:i]] = true
				}
			}
		}
	}
	for _, l := range m.byHead {
		slices.SortFunc(l, func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) })
	}
	return m
}

// find returns the places of all secrets in s in order, overlapping ones joined.
func (m *matcher) find(s string) []span {
	var spans []span
	for i := 0; i+minLen <= len(s); i++ {
		if !m.first[s[i]] {
			continue
		}
		for _, f := range m.byHead[[minLen]byte([]byte(s[i:i+minLen]))] {
			if !strings.HasPrefix(s[i:], f) {
				continue
			}
			end := i + len(f)
			if n := len(spans); n > 0 && i < spans[n-1].end {
				spans[n-1].end = max(spans[n-1].end, end)
			} else {
				spans = append(spans, span{i, end})
			}
			break
		}
	}
	return spans
}

// pending returns where the part of s begins that may be the beginning of a secret without a newline; len(s) when
// there is none.
func (m *matcher) pending(s string) int {
	for i := max(0, len(s)-m.max+1); i < len(s); i++ {
		if !m.first[s[i]] {
			continue
		}
		rest := s[i:]
		if len(rest) < minLen {
			if m.heads[rest] {
				return i
			}
			continue
		}
		for _, f := range m.byHead[[minLen]byte([]byte(rest[:minLen]))] {
			if len(f) > len(rest) && strings.HasPrefix(f, rest) && !strings.Contains(f, "\n") {
				return i
			}
		}
	}
	return len(s)
}
