package sourceip

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

func TestAsk(t *testing.T) {
	for _, c := range []struct{ answer, want, fault string }{
		{"203.0.113.7\n", "203.0.113.7/32", ""},
		{"2001:db8::1\n", "", "IPv4"},
		{"<html>login first</html>", "", "IPv4"},
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, c.answer) }))
		got, err := Ask(context.Background(), srv.URL)
		srv.Close()
		if got != c.want || (err == nil) != (c.fault == "") {
			t.Errorf("answer %q: %q, %v", c.answer, got, err)
		}
		if err != nil && !strings.Contains(err.Error(), c.fault) {
			t.Errorf("answer %q: error %q does not say %q", c.answer, err, c.fault)
		}
	}
}

func TestAskNobodyThere(t *testing.T) {
	srv := httptest.NewServer(nil)
	srv.Close()
	if _, err := Ask(context.Background(), srv.URL); err == nil || !strings.Contains(err.Error(), "public address") {
		t.Errorf("error %v; want one that says what was asked", err)
	}
}

func TestParse(t *testing.T) {
	got, err := Parse("203.0.113.7, 198.51.100.0/24,0.0.0.0/0")
	if err != nil || !slices.Equal(got, []string{"203.0.113.7/32", "198.51.100.0/24", "0.0.0.0/0"}) {
		t.Errorf("%v, %v", got, err)
	}
	for list, want := range map[string]string{"garbage": "not an IPv4 network", "::1/128": "not an IPv4 network", "10.0.0.1/8": `did you mean "10.0.0.0/8"`} {
		if _, err := Parse(list); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", list, err)
		}
	}
}
