package ncloud

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// punctual is an API that, as the real one, refuses calls signed more than 5 minutes from its own time, which is ahead of
// this machine's by offset.
type punctual struct {
	offset         atomic.Int64
	calls, refused atomic.Int64
	silent, wrong  bool // it sends no Date; it refuses everybody
}

func (p *punctual) set(d time.Duration) { p.offset.Store(int64(d)) }

func (p *punctual) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	now := time.Now().Add(time.Duration(p.offset.Load()))
	w.Header().Set("Date", now.UTC().Format(http.TimeFormat))
	if p.silent {
		w.Header()["Date"] = nil
	}
	p.calls.Add(1)
	ms, _ := strconv.ParseInt(r.Header.Get("x-ncp-apigw-timestamp"), 10, 64)
	if p.wrong || now.Sub(time.UnixMilli(ms)).Abs() > Tolerance {
		p.refused.Add(1)
		w.WriteHeader(http.StatusUnauthorized)
		io.WriteString(w, `{"error": {"errorCode": "200", "message": "Authentication Failed", "details": "Expired timestamp"}}`)
		return
	}
	io.WriteString(w, ok(r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:], ""))
}

func startPunctual(t *testing.T, p *punctual) (*Client, *events) {
	t.Helper()
	srv := httptest.NewServer(p)
	t.Cleanup(srv.Close)
	var told events
	c, _ := start(t, nil, func(o *Options) {
		o.Endpoint = srv.URL
		o.Log = func(e Event) { told.Lock(); defer told.Unlock(); told.list = append(told.list, e) }
	})
	return c, &told
}

// TestClockIsCorrected: a wrong clock, and one that jumps between the calls, is corrected by the API's Date, said once a jump;
// one within the tolerance is left alone.
func TestClockIsCorrected(t *testing.T) {
	t.Parallel()
	p := &punctual{}
	c, told := startPunctual(t, p)
	other := c.In(Region{Code: "KR", No: "1"}) // shares what is known
	for i, jump := range []struct {
		offset       time.Duration
		refused      int64
		said         string
		ahead, taken time.Duration
	}{
		{0, 0, "", 0, 0},
		{-4 * time.Minute, 0, "", 4 * time.Minute, 0},
		{-25 * time.Hour, 1, "25h0m", 25 * time.Hour, 25 * time.Hour},
		{10 * time.Minute, 1, "10m behind the cloud's", -10 * time.Minute, -10 * time.Minute},
		{0, 1, "right again", 0, 0},
		{25 * time.Hour, 1, "behind the cloud's", -25 * time.Hour, -25 * time.Hour},
	} {
		p.set(jump.offset)
		p.refused.Store(0)
		told.list = nil
		for range 2 {
			if _, err := c.VPC.GetRegionList(t.Context()); err != nil {
				t.Fatalf("%d: %v", i, err)
			}
			if err := other.VPC.DeleteInitScripts(t.Context(), "1"); err != nil {
				t.Fatalf("%d: a write: %v", i, err)
			}
		}
		near := func(got, want time.Duration) bool { return (got - want).Abs() < 30*time.Second }
		if p.refused.Load() != jump.refused || !near(c.Ahead(), jump.ahead) || !near(time.Duration(c.clock.taken.Load()), jump.taken) || !near(time.Until(c.Now()), -jump.ahead) {
			t.Errorf("%d: refused %d, ahead %s, taken %d", i, p.refused.Load(), c.Ahead(), c.clock.taken.Load())
		}
		if n := len(told.list); jump.said == "" && n > 0 || jump.said != "" && (n != 1 || told.list[0].Wait != 0 || !strings.Contains(told.list[0].Err.Error(), jump.said)) {
			t.Errorf("%d: told %v", i, told.list)
		}
	}
}

// TestClockOfManyCalls: calls side by side meet the jump together; each is done, once.
func TestClockOfManyCalls(t *testing.T) {
	t.Parallel()
	p := &punctual{}
	c, told := startPunctual(t, p)
	p.set(-25 * time.Hour)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if _, err := c.VPC.GetRegionList(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if len(told.list) != 1 || p.calls.Load()-p.refused.Load() != 20 {
		t.Errorf("told %v; %d calls, %d refused", told.list, p.calls.Load(), p.refused.Load())
	}
}

// TestClockIsNamed: where nothing can be corrected the error says what to look at, and nobody tries for ever.
func TestClockIsNamed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		api   *punctual
		calls int64
		says  string
	}{
		"no Date":               {&punctual{silent: true}, 1, "this machine's clock, which may be off by at most 5 minutes"},
		"wrong keys":            {&punctual{wrong: true}, 2, "check access key"},
		"wrong keys, right now": {&punctual{wrong: true, silent: true}, 1, "check access key"},
	} {
		c.api.set(-25 * time.Hour)
		client, _ := startPunctual(t, c.api)
		_, err := client.VPC.GetRegionList(t.Context())
		if !IsAuth(err) || c.api.calls.Load() != c.calls || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %d calls, %v", name, c.api.calls.Load(), err)
		}
	}
	if text := (&APIError{HTTPStatus: 401, Code: "200", Skew: -25 * time.Hour}).Hint(); !strings.Contains(text, "this machine's clock is 25h0m behind the cloud's") {
		t.Error(text)
	}
}

// TestCertificateAndClock: a clock that is off by years makes every certificate look invalid (the test server's ends in 2084).
func TestCertificateAndClock(t *testing.T) {
	t.Parallel()
	srv := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(srv.Close)
	transport := srv.Client().Transport.(*http.Transport)
	transport.TLSClientConfig.Time = func() time.Time { return time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC) }
	c, _ := start(t, nil, func(o *Options) { o.Endpoint, o.Transport = srv.URL, transport })
	_, err := c.VPC.GetRegionList(t.Context())
	if err == nil || IsTransient(err) || !strings.Contains(err.Error(), "not valid at this machine's time: check its clock") {
		t.Errorf("got %v", err)
	}
}
