package sourceip

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestAsk(t *testing.T) {
	for _, c := range []struct{ answer, want, fault string }{
		{"203.0.113.7\n", "203.0.113.7/32", ""},
		{"2001:db8::1\n", "", "source_cidrs"},
		{"<html>login first</html>", "", "source_cidrs"},
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
	if _, err := Ask(context.Background(), srv.URL); err == nil || !strings.Contains(err.Error(), "source_cidrs") {
		t.Errorf("error %v; want one that names source_cidrs", err)
	}
}
