package ncloud

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"reflect"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unicode"

	"github.com/NaverCloudPlatform/ncloud-sdk-go-v2/ncloud"
	"github.com/NaverCloudPlatform/ncloud-sdk-go-v2/services/server"
	vpcsdk "github.com/NaverCloudPlatform/ncloud-sdk-go-v2/services/vpc"
	"github.com/NaverCloudPlatform/ncloud-sdk-go-v2/services/vserver"
)

// get performs a read, repeated while that may help.
func get[S, Req, Resp any](ctx context.Context, c *Client, method func(*S, *Req) (*Resp, error), req Req, subject string) (*Resp, error) {
	bound := func(ctx context.Context) (context.Context, context.CancelFunc) {
		return context.WithTimeout(ctx, c.o.ReadTimeout)
	}
	return repeat(ctx, c, bound, method, req, subject, func(e *APIError) bool { return e.Transient })
}

// put performs a write, repeated only while it certainly did not happen. Callers that can look wrap it in Once. A write
// that is on its way when ctx ends is given time for its answer: the API does not take it back, and what it made would
// be known to nobody.
func put[S, Req, Resp any](ctx context.Context, c *Client, method func(*S, *Req) (*Resp, error), req Req, subject string) (*Resp, error) {
	bound := func(ctx context.Context) (context.Context, context.CancelFunc) {
		if ctx.Err() != nil {
			return context.WithCancel(ctx) // not sent at all
		}
		lasting, end := outlive(ctx, c.o.Settle)
		limited, cancel := context.WithTimeout(lasting, c.o.WriteTimeout)
		return limited, func() { cancel(); end() }
	}
	return repeat(ctx, c, bound, method, req, subject, func(e *APIError) bool { return e.Transient && !e.Uncertain })
}

// list performs a list action and follows its pages: without page parameters the API may send only part of many rows.
func list[S, Req, Resp, Item, T any](ctx context.Context, c *Client, method func(*S, *Req) (*Resp, error), req Req, subject string,
	items func(*Resp) []*Item, convert func(*Item) T) ([]T, error) {
	r, err := get(ctx, c, method, req, subject)
	if err != nil {
		return nil, err
	}
	out := each(items(r), convert)
	total := totalRows(r)
	if len(out) >= total || !setPage(&req, 1) {
		return out, nil
	}
	out = nil
	for page := int32(1); len(out) < total; page++ {
		setPage(&req, page)
		if r, err = get(ctx, c, method, req, subject); err != nil {
			return nil, err
		}
		rows := each(items(r), convert)
		if len(rows) == 0 {
			break
		}
		out = append(out, rows...)
	}
	return out, nil
}

// detail performs a list or detail action for one object.
func detail[S, Req, Resp, Item, T any](ctx context.Context, c *Client, method func(*S, *Req) (*Resp, error), req Req, subject string,
	items func(*Resp) []*Item, convert func(*Item) T) (T, error) {
	var zero T
	r, err := get(ctx, c, method, req, subject)
	if err != nil {
		return zero, err
	}
	rows := each(items(r), convert)
	if len(rows) == 0 {
		return zero, &NotFoundError{subject}
	}
	return rows[0], nil
}

// bounds makes the context of one attempt out of the caller's.
type bounds func(context.Context) (context.Context, context.CancelFunc)

// outlive makes a context that ends a while after ctx does, for the same reason.
func outlive(ctx context.Context, grace time.Duration) (context.Context, context.CancelFunc) {
	lasting, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(grace, func() { cancel(context.Cause(ctx)) }) })
	return lasting, func() { stop(); cancel(nil) }
}

// repeat calls until it succeeds, again() forbids it, or patience, attempts or context end.
func repeat[S, Req, Resp any](ctx context.Context, c *Client, bound bounds, method func(*S, *Req) (*Resp, error), req Req, subject string,
	again func(*APIError) bool) (*Resp, error) {
	start := time.Now()
	corrections := 2 // the clock may jump again in between
	for attempt := 1; ; attempt++ {
		resp, e := invoke(ctx, c, bound, method, req, subject)
		if e == nil {
			return resp, nil
		}
		if e.stale() && corrections > 0 && ctx.Err() == nil {
			if corrections--; c.clock.correct() {
				c.log(Event{Action: e.Action, Subject: e.Subject, Attempt: attempt, Err: &clockError{c.Ahead()}})
			}
			continue
		}
		enough := attempt >= c.o.Retry.Attempts
		switch {
		case e.Throttled || e.Busy:
			enough = time.Since(start) >= c.o.Retry.Patience
		case e.unsent && c.reached.Load(): // the network is away for a while
			enough = time.Since(start) >= c.o.Retry.Patience
		case e.unsent: // a wrong endpoint should not keep anyone waiting
			enough = attempt >= min(4, c.o.Retry.Attempts)
		}
		if ctx.Err() != nil || !again(e) || enough {
			return nil, e
		}
		wait := c.pause(attempt, e.retryAfter)
		if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < wait {
			return nil, e // the reason is worth more than "deadline exceeded"
		}
		c.log(Event{Action: e.Action, Subject: subject, Attempt: attempt, Wait: wait, Err: e})
		if sleep(ctx, wait) != nil {
			return nil, e
		}
	}
}

// invoke makes one attempt: one SDK client, one copy of the request, one deadline.
func invoke[S, Req, Resp any](ctx context.Context, c *Client, bound bounds, method func(*S, *Req) (*Resp, error), req Req, subject string) (resp *Resp, e *APIError) {
	action := actionName[Req]()
	ctx, cancel := bound(ctx)
	defer cancel()
	keys := c.keys.get(ctx, c.Now())
	trip := &trip{ctx: ctx, base: c.o.Transport, keys: keys, clock: c.clock}
	defer func() {
		if p := recover(); p != nil {
			e = &APIError{HTTPStatus: trip.status, Err: fmt.Errorf("the SDK failed on it: %v", p), Transient: true, Uncertain: true}
		}
		if e == nil || !e.unsent {
			c.reached.Store(true)
		}
		if e != nil {
			resp, e.Action, e.Subject = nil, action, subject
			if strings.HasPrefix(action, "get") {
				e.Uncertain = false // there is no effect to be uncertain about
			}
			if e.IsAuth() {
				e.KeySource = keys.Source
			}
		}
	}()
	copied := fresh(c, req)
	resp, err := method(sdk[S](c, keys, trip), &copied)
	if err == nil {
		return resp, nil
	}
	if e, ok := errors.AsType[*APIError](err); ok {
		return nil, e
	}
	return nil, &APIError{HTTPStatus: trip.status, Err: err, Transient: true, Uncertain: true}
}

// sdk makes an SDK client for one call. The SDK's own constructor is not used: it reads NCLOUD_API_GW and credentials
// from places that are not ours to choose here.
func sdk[S any](c *Client, keys Credentials, t http.RoundTripper) *S {
	cfg := &ncloud.Configuration{
		DefaultHeader: map[string]string{},
		UserAgent:     c.o.UserAgent,
		APIKey:        &ncloud.APIKey{AccessKey: keys.AccessKey, SecretKey: keys.SecretKey},
		HTTPClient: &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse // a signed request goes where it was signed for
		}},
	}
	var s any
	switch any((*S)(nil)).(type) {
	case *vserver.V2ApiService:
		cfg.BasePath = c.o.Endpoint + "/vserver/v2"
		s = vserver.NewAPIClient(cfg).V2Api
	case *vpcsdk.V2ApiService:
		cfg.BasePath = c.o.Endpoint + "/vpc/v2"
		s = vpcsdk.NewAPIClient(cfg).V2Api
	case *server.V2ApiService:
		cfg.BasePath = c.o.Endpoint + "/server/v2"
		s = server.NewAPIClient(cfg).V2Api
	}
	return s.(*S)
}

// actionName derives the API's action from the request's type: GetZoneListRequest -> getZoneList.
func actionName[Req any]() string {
	name := []rune(strings.TrimSuffix(reflect.TypeFor[Req]().Name(), "Request"))
	name[0] = unicode.ToLower(name[0])
	return string(name)
}

// fresh copies a request so that the SDK can spoil it (it encodes UserData in place), and names the region wherever the
// action takes one.
func fresh[Req any](c *Client, req Req) Req {
	v := reflect.ValueOf(&req).Elem()
	for name, value := range map[string]string{"RegionCode": c.o.RegionCode, "RegionNo": c.o.RegionNo} {
		if f := v.FieldByName(name); f.IsValid() && f.IsNil() && value != "" {
			f.Set(reflect.ValueOf(&value))
		}
	}
	if f := v.FieldByName("UserData"); f.IsValid() && !f.IsNil() {
		text := f.Elem().String()
		f.Set(reflect.ValueOf(&text))
	}
	return req
}

// pageSize is rows per page when there are more than the API sends unasked (1 to 1000 are allowed).
const pageSize int32 = 100

// setPage asks for a page, when the action has pages.
func setPage[Req any](req *Req, page int32) bool {
	v := reflect.ValueOf(req).Elem()
	no, size := v.FieldByName("PageNo"), v.FieldByName("PageSize")
	if !no.IsValid() || !size.IsValid() {
		return false
	}
	n := pageSize
	no.Set(reflect.ValueOf(&page))
	size.Set(reflect.ValueOf(&n))
	return true
}

func totalRows[Resp any](r *Resp) int {
	if f := reflect.ValueOf(r).Elem().FieldByName("TotalRows"); f.IsValid() && !f.IsNil() {
		return int(f.Elem().Int())
	}
	return 0
}

func each[Item, T any](items []*Item, convert func(*Item) T) []T {
	out := make([]T, 0, len(items))
	for _, i := range items {
		if i != nil {
			out = append(out, convert(i))
		}
	}
	return out
}

// trip is the transport of one call. It binds the request to the call's context, reads and checks the answer, and
// turns everything but a sound success into an *APIError.
type trip struct {
	ctx    context.Context
	base   http.RoundTripper
	keys   Credentials
	clock  *cloudClock
	signed time.Time // what the call was signed with
	status int
}

const maxAnswer = 64 << 20

func (t *trip) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := t.sign(r); err != nil {
		return nil, &APIError{Err: err, unsent: true}
	}
	var connected atomic.Bool
	ctx := httptrace.WithClientTrace(t.ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected.Store(true) }})
	resp, err := t.base.RoundTrip(r.WithContext(ctx))
	if err != nil {
		return nil, transportError(t.ctx, err, connected.Load())
	}
	defer resp.Body.Close()
	t.status = resp.StatusCode
	t.clock.heard(resp.Header)
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err == nil && len(body) > maxAnswer {
		err = fmt.Errorf("longer than %d bytes", maxAnswer)
	}
	if err != nil {
		e := transportError(t.ctx, fmt.Errorf("the answer broke off: %w", err), true)
		e.HTTPStatus = resp.StatusCode
		return nil, e
	}
	framed, e := reframe(resp.StatusCode, body)
	if e != nil {
		e.retryAfter = retryAfter(resp.Header)
		e.Skew = skew(resp.Header, t.signed)
		return nil, e
	}
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(framed)), int64(len(framed))
	return resp, nil
}

// transportError describes a call without (whole) answer.
func transportError(ctx context.Context, err error, connected bool) *APIError {
	e := &APIError{Err: err, Transient: true, Uncertain: connected, unsent: !connected}
	if ctx.Err() != nil { // the attempt's deadline, or the caller's end
		e.Err = context.Cause(ctx)
		e.ended = errors.Is(ctx.Err(), context.Canceled)
	}
	var unknown x509.UnknownAuthorityError
	var verification *tls.CertificateVerificationError
	var dns *net.DNSError
	if errors.As(err, &unknown) || errors.As(err, &verification) || errors.As(err, &dns) && dns.IsNotFound {
		e.Transient = false
	}
	return e
}

// reframe checks an answer and writes it as the SDK wants it: {"xResponse": {…}} with a space before the inner brace and
// nothing after the outer one.
func reframe(status int, body []byte) ([]byte, *APIError) {
	body = bytes.TrimSpace(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")))
	var outer map[string]json.RawMessage
	parseErr := json.Unmarshal(body, &outer)
	if e := refusal(status, outer, body); e != nil {
		return nil, e
	}
	garbled := func(err error) *APIError {
		return &APIError{HTTPStatus: status, Err: err, Transient: true, Uncertain: true}
	}
	if parseErr != nil {
		return nil, garbled(parseErr)
	}
	if len(outer) != 1 {
		return nil, garbled(fmt.Errorf("%d keys where one is expected", len(outer)))
	}
	for root, inner := range outer {
		var head struct {
			ReturnCode    any    `json:"returnCode"`
			ReturnMessage string `json:"returnMessage"`
		}
		if len(inner) == 0 || inner[0] != '{' {
			return nil, garbled(fmt.Errorf("%s holds no object", root))
		}
		if err := json.Unmarshal(inner, &head); err != nil {
			return nil, garbled(err)
		}
		if code := text(head.ReturnCode); code != "" && code != "0" {
			return nil, apiError(status, code, head.ReturnMessage, false)
		}
		body = fmt.Appendf(nil, "{%q: %s}", root, inner)
	}
	return body, nil
}

// refusal reads an error answer of either shape, as JSON or XML, whatever its status; nil when it is none.
func refusal(status int, outer map[string]json.RawMessage, body []byte) *APIError {
	if raw, ok := outer["error"]; ok {
		var g struct {
			ErrorCode        any
			Message, Details string
		}
		if err := json.Unmarshal(raw, &g); err != nil {
			g.Message = string(raw)
		}
		message := strings.TrimSpace(g.Message)
		if d := strings.TrimSpace(g.Details); d != "" && d != message {
			message = strings.TrimSuffix(message, ".") + ": " + d
		}
		if status < 300 {
			status = gatewayStatus(text(g.ErrorCode))
		}
		return apiError(status, text(g.ErrorCode), message, true)
	}
	if raw, ok := outer["responseError"]; ok {
		var b struct{ ReturnCode, ReturnMessage, ResponseCode, ResponseMessage any }
		_ = json.Unmarshal(raw, &b) // an unexpected shape leaves the code empty, which is said
		return apiError(status, firstOf(text(b.ReturnCode), text(b.ResponseCode)), firstOf(text(b.ReturnMessage), text(b.ResponseMessage)), false)
	}
	var x struct {
		XMLName       xml.Name
		ReturnCode    string `xml:"returnCode"`
		ReturnMessage string `xml:"returnMessage"`
		ErrorCode     string `xml:"errorCode"`
		Message       string `xml:"message"`
	}
	if len(body) > 0 && body[0] == '<' && xml.Unmarshal(body, &x) == nil && (x.XMLName.Local == "responseError" || x.XMLName.Local == "error") {
		return apiError(status, firstOf(x.ReturnCode, x.ErrorCode), firstOf(x.ReturnMessage, x.Message), x.XMLName.Local == "error")
	}
	if status < 200 || status >= 300 {
		return apiError(status, "", clip(string(body)), true)
	}
	return nil
}

func apiError(status int, code, message string, gateway bool) *APIError {
	e := &APIError{HTTPStatus: status, Code: code, Message: strings.Join(strings.Fields(message), " "), Gateway: gateway}
	if e.Message == "" {
		e.Message = firstOf(http.StatusText(status), "refused without a reason")
	}
	e.classify()
	return e
}

// gatewayStatus gives a gateway error that came under HTTP 200 the status it is documented with.
func gatewayStatus(code string) int {
	switch code {
	case "100":
		return 400
	case "200", "210":
		return 401
	case "230":
		return 403
	case "300":
		return 404
	case "400", "410", "420":
		return 429
	case "430":
		return 413
	case "500":
		return 503
	case "510":
		return 504
	}
	return 500
}

// text renders a code that may come as a string or a number.
func text(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return strings.TrimSpace(v)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return fmt.Sprint(v)
}

// clip shortens a foreign answer (a proxy's page) to a line.
func clip(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > 200 {
		s = string(r[:200]) + "…"
	}
	return s
}

func retryAfter(h http.Header) time.Duration {
	if n, err := strconv.Atoi(h.Get("Retry-After")); err == nil && n > 0 && n < 600 {
		return time.Duration(n) * time.Second
	}
	return 0
}
