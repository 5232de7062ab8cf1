package localcloud

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// maxBody bounds a request; init scripts may have 1 MB and grow when URL-encoded.
const maxBody = 8 << 20

// serve answers everything: the API, the control plane under /_local/, and a page that says what this is.
func (c *Cloud) serve(w http.ResponseWriter, r *http.Request) {
	switch {
	case strings.HasPrefix(r.URL.Path, "/_local/"):
		c.control(w, r)
	case r.URL.Path == "/":
		c.index(w)
	default:
		c.api(w, r)
	}
}

// api answers one API call, from the log entry to the last byte.
func (c *Cloud) api(w http.ResponseWriter, r *http.Request) {
	service, name := splitPath(r.URL.Path)
	params, paramErr := readParams(r)
	act, known := actions[service+"/"+name]
	call := c.calls.begin(Call{Service: service, Action: name, Mutating: known && act.mutating, Params: masked(params), UserAgent: r.UserAgent()})
	format := formatOf(params)

	c.mu.Lock()
	lag := c.latency.PerRequest
	c.mu.Unlock()
	if lag > 0 && !sleep(r.Context(), lag) {
		c.calls.end(call, result{})
		panic(http.ErrAbortHandler)
	}

	res := result{}
	switch {
	case paramErr != nil:
		res.err = paramErr
	case c.authenticate(r) != nil:
		res.err = c.authenticate(r)
	case !known:
		res.err = gateway(http.StatusNotFound, "300", "Not Found Exception", "URL not found.")
	default:
		res = c.process(r.Context(), call, act, params)
	}
	c.calls.end(call, res)
	if res.dropped {
		panic(http.ErrAbortHandler) // net/http closes the connection without an answer
	}
	w.Header().Set("Date", c.now().UTC().Format(http.TimeFormat))
	write(w, name, format, res)
}

// result is how a call ends.
type result struct {
	reply     reply
	err       *apiError
	dropped   bool
	truncated bool
	processed bool
	faults    []string
}

// process runs a call's handler with everything around it that tests can order: hooks and faults before and after.
func (c *Cloud) process(ctx context.Context, call Call, act action, params url.Values) (res result) {
	hits := c.faults.hits(call)
	for _, f := range hits {
		res.faults = append(res.faults, f.ID+" "+string(f.Kind))
	}
	if hook := c.opts.OnCall; hook != nil {
		hook(call, Before)
	}
	if res.err, res.dropped = c.interrupted(ctx, hits, Before); res.err != nil || res.dropped {
		return res
	}

	if c.handle(act, params, hits, &res); res.dropped {
		return res
	}

	if hook := c.opts.OnCall; hook != nil {
		hook(call, After)
	}
	err, dropped := c.interrupted(ctx, hits, After)
	if err != nil {
		res.err = err
	}
	res.dropped = dropped
	res.truncated = slices.ContainsFunc(hits, func(f Fault) bool { return f.Kind == Truncate })
	return res
}

// handle runs the handler itself, with the lock held.
func (c *Cloud) handle(act action, params url.Values, hits []Fault, res *result) {
	req := &request{Cloud: c, service: act.service, action: act.name, platform: serviceOf[act.service]}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		res.dropped = true
		return
	}
	c.settle()
	if req.platform == vpc {
		res.err = req.resolveRegion(params.Get("regionCode"))
	}
	if res.err == nil {
		res.reply, res.err = act.run(req, params)
	}
	if res.err == nil {
		res.processed = true
		c.afterwards(hits, req.touched)
	}
	c.dirty = c.dirty || act.mutating
	c.settle()
}

func (c *Cloud) interrupted(ctx context.Context, hits []Fault, when When) (*apiError, bool) {
	e, err := c.interrupt(ctx, hits, when)
	return e, err != nil
}

// resolveRegion sets the region of a VPC call; a call that names none goes to the default region.
func (r *request) resolveRegion(code string) *apiError {
	if code == "" {
		code = DefaultRegion
	}
	if _, ok := r.cat.vpcRegion(code); !ok {
		return errInvalid("regionCode [%s] is not valid", code)
	}
	r.region = code
	return nil
}

func splitPath(p string) (service, action string) {
	parts := strings.Split(strings.Trim(p, "/"), "/")
	if len(parts) == 3 && parts[1] == "v2" && serviceOf[parts[0]] != "" {
		return parts[0], parts[2]
	}
	return "", strings.Trim(p, "/")
}

// readParams reads the parameters of a GET (query) or POST (form; a query counts too).
func readParams(r *http.Request) (url.Values, *apiError) {
	bad := func(why string) *apiError {
		return gateway(http.StatusBadRequest, "100", "Bad Request Exception", why)
	}
	params, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, bad("query: " + err.Error())
	}
	switch r.Method {
	case http.MethodGet:
		return params, nil
	case http.MethodPost:
	default:
		return params, bad("method " + r.Method)
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		return params, bad("body: " + err.Error())
	}
	if len(body) > maxBody {
		return params, gateway(http.StatusRequestEntityTooLarge, "430", "Request Entity Too Large", "")
	}
	// The content type is not looked at: for some actions the SDK says JSON and sends a form.
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return params, bad("body: " + err.Error())
	}
	for k, v := range form {
		params[k] = append(params[k], v...)
	}
	return params, nil
}

func formatOf(params url.Values) string {
	if strings.EqualFold(params.Get("responseFormatType"), "json") {
		return "json"
	}
	return "xml"
}

// authenticate checks key, signature (v1 and v2 are the same HMAC-SHA256 of method, path with query, time and key) and
// that the time is within five minutes.
func (c *Cloud) authenticate(r *http.Request) *apiError {
	const prefix = "x-ncp-apigw-"
	stamp, key := r.Header.Get(prefix+"timestamp"), r.Header.Get("x-ncp-iam-access-key")
	sig := r.Header.Get(prefix + "signature-v2")
	if sig == "" {
		sig = r.Header.Get(prefix + "signature-v1")
	}
	if stamp == "" || key == "" || sig == "" {
		return unauthorised("Authentication information are missing.")
	}
	if key != c.opts.AccessKey {
		return unauthorised("Invalid authentication information.")
	}
	ms, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil || c.now().Sub(time.UnixMilli(ms)).Abs() > 5*time.Minute {
		return unauthorised("Expired timestamp")
	}
	mac := hmac.New(sha256.New, []byte(c.opts.SecretKey))
	fmt.Fprintf(mac, "%s %s\n%s\n%s", r.Method, r.RequestURI, stamp, key)
	want := base64.StdEncoding.EncodeToString(mac.Sum(nil))
	if !hmac.Equal([]byte(sig), []byte(want)) {
		return unauthorised("Invalid signature")
	}
	return nil
}

func write(w http.ResponseWriter, action, format string, res result) {
	id := requestID()
	n, status := (*node)(nil), http.StatusOK
	if res.err != nil {
		n, status = res.err.body(), res.err.HTTP
	} else {
		n = res.reply.envelope(action, id)
	}
	body, kind := n.asXML(), "application/xml;charset=UTF-8"
	if format == "json" {
		body, kind = n.asJSON(), "application/json;charset=UTF-8"
		// The SDK takes an answer for an error under 200 by these very bytes, as the real gateway writes them.
		if res.err != nil && res.err.Gateway {
			body = []byte(strings.Replace(string(body), "{\n  \"error\": {", "{\"error\": {", 1))
		}
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("x-ncp-trace-id", id)
	if res.truncated {
		// The length is that of the whole answer, so that the client sees the connection end too early.
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		w.WriteHeader(status)
		w.Write(body[:len(body)/2])
		if f, ok := w.(http.Flusher); ok {
			f.Flush()
		}
		panic(http.ErrAbortHandler)
	}
	w.WriteHeader(status)
	w.Write(body)
}

func requestID() string {
	return fmt.Sprintf("%08x-%04x-4%03x-%04x-%012x", rand.Uint32(), rand.Uint32()&0xffff, rand.Uint32()&0xfff, 0x8000|rand.Uint32()&0x3fff, rand.Uint64()&0xffffffffffff)
}

// masked copies the parameters for the log; keys and scripts, which may hold secrets, are named by length only.
func masked(v url.Values) map[string]string {
	out := map[string]string{}
	for k := range v {
		s := v.Get(k)
		switch {
		case k == "responseFormatType":
			continue
		case k == "privateKey" || k == "userData" || k == "initScriptContent":
			s = fmt.Sprintf("(%d characters)", len(s))
		}
		out[k] = s
	}
	return out
}

// callLog remembers the calls since start, the last keptCalls of them.
type callLog struct {
	mu       sync.Mutex
	list     []Call
	dropped  int // calls that are no longer in list
	mutating int
}

const keptCalls = 50000

func (l *callLog) begin(call Call) Call {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.list) >= keptCalls {
		half := len(l.list) / 2
		l.list, l.dropped = slices.Clone(l.list[half:]), l.dropped+half
	}
	call.Seq, call.Time = l.dropped+len(l.list)+1, time.Now()
	if call.Mutating {
		l.mutating++
		call.MutatingSeq = l.mutating
	}
	l.list = append(l.list, call)
	return call
}

func (l *callLog) end(call Call, res result) {
	call.Done, call.Processed = true, res.processed
	call.Millis = float64(time.Since(call.Time).Microseconds()) / 1000
	call.Fault = strings.Join(res.faults, ", ")
	switch {
	case res.dropped:
	case res.err != nil:
		call.Status, call.ReturnCode, call.Message = res.err.HTTP, res.err.Code, res.err.Message
	default:
		call.Status, call.ReturnCode = http.StatusOK, "0"
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if i := call.Seq - 1 - l.dropped; i >= 0 {
		l.list[i] = call
	}
}

// Calls returns the log of API calls since start (of a very long-running cloud, the newest).
func (c *Cloud) Calls() []Call {
	c.calls.mu.Lock()
	defer c.calls.mu.Unlock()
	return slices.Clone(c.calls.list)
}

// MutatingCalls counts the calls so far that change something, refused ones included.
func (c *Cloud) MutatingCalls() int {
	c.calls.mu.Lock()
	defer c.calls.mu.Unlock()
	return c.calls.mutating
}
