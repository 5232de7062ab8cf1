// Package s3test is an object storage for a test: what Terraform's s3 backend asks of one, over TLS on loopback. It is as
// strict as those that are merely compatible with S3: signatures and the hashes of bodies are checked, and bodies in
// chunks with a checksum at the end, which AWS alone is sure to know, are refused. It is imported by tests only.
package s3test

import (
	"cmp"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Server is a running object storage with one bucket; it ends with the test.
type Server struct {
	URL                  string
	Bucket               string
	AccessKey, SecretKey string // new each time
	CAFile               string // for AWS_CA_BUNDLE

	// NoConditions: If-None-Match of a PUT is ignored, as by storages that do not know it.
	NoConditions bool

	mu      sync.Mutex
	objects map[string][]byte
}

// Start starts an object storage with an empty bucket.
func Start(t testing.TB) *Server {
	t.Helper()
	s := &Server{Bucket: "tfbake-states", AccessKey: "AK" + rand.Text()[:18], SecretKey: "sk/" + rand.Text() + "+=", objects: map[string][]byte{}}
	server := httptest.NewTLSServer(s)
	t.Cleanup(server.Close)
	server.Config.ErrorLog = nil
	s.URL, s.CAFile = server.URL, filepath.Join(t.TempDir(), "ca.pem")
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(s.CAFile, ca, 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}

// Environ is what terraform's s3 backend needs of the environment.
func (s *Server) Environ() []string {
	return []string{"AWS_ACCESS_KEY_ID=" + s.AccessKey, "AWS_SECRET_ACCESS_KEY=" + s.SecretKey, "AWS_CA_BUNDLE=" + s.CAFile}
}

// Keys lists the objects there are.
func (s *Server) Keys() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.objects))
}

// Object returns an object; nil when there is none.
func (s *Server) Object(key string) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.objects[key]
}

// Set makes an object, or with nil deletes it.
func (s *Server) Set(key string, body []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.objects[key] = body; body == nil {
		delete(s.objects, key)
	}
}

// failure is what S3 answers instead of success.
type failure struct {
	XMLName xml.Name `xml:"Error"`
	Code    string
	Message string
	status  int
}

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the caller is gone
	}
	f := s.refused(r, body)
	if f == nil {
		f = s.serve(w, r, body)
	}
	if f == nil {
		return
	}
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(f.status)
	if r.Method != http.MethodHead {
		xml.NewEncoder(w).Encode(f)
	}
}

// refused checks signature (Version 4) and body.
func (s *Server) refused(r *http.Request, body []byte) *failure {
	no := func(code, format string, args ...any) *failure {
		return &failure{Code: code, Message: fmt.Sprintf(format, args...), status: http.StatusForbidden}
	}
	auth, ok := strings.CutPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 ")
	if !ok {
		return no("AccessDenied", "Access Denied.")
	}
	parts := map[string]string{}
	for p := range strings.SplitSeq(auth, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(p), "=")
		parts[name] = value
	}
	key, scope, _ := strings.Cut(parts["Credential"], "/")
	if key != s.AccessKey {
		return no("InvalidAccessKeyId", "The access key does not exist.")
	}
	stamp := r.Header.Get("X-Amz-Date")
	if at, err := time.Parse("20060102T150405Z", stamp); err != nil || time.Since(at).Abs() > 15*time.Minute {
		return no("RequestTimeTooSkewed", "The time of the request is off.")
	}
	path, _, _ := strings.Cut(r.RequestURI, "?")
	canonical := r.Method + "\n" + path + "\n" + strings.ReplaceAll(r.URL.Query().Encode(), "+", "%20") + "\n"
	for name := range strings.SplitSeq(parts["SignedHeaders"], ";") {
		value := strings.Join(r.Header.Values(name), ",")
		switch name {
		case "host":
			value = r.Host
		case "content-length":
			value = fmt.Sprint(r.ContentLength)
		}
		canonical += name + ":" + strings.TrimSpace(value) + "\n"
	}
	hash := r.Header.Get("X-Amz-Content-Sha256")
	canonical += "\n" + parts["SignedHeaders"] + "\n" + hash
	sum := []byte("AWS4" + s.SecretKey)
	for p := range strings.SplitSeq(scope, "/") {
		sum = mac(sum, p)
	}
	sum = mac(sum, "AWS4-HMAC-SHA256\n"+stamp+"\n"+scope+"\n"+sha(canonical))
	if hex.EncodeToString(sum) != parts["Signature"] {
		return no("SignatureDoesNotMatch", "The signature is not that of the secret key.")
	}
	if hash != "UNSIGNED-PAYLOAD" && hash != sha(string(body)) {
		return &failure{Code: "XAmzContentSHA256Mismatch", Message: "x-amz-content-sha256 " + hash + " is not the body's", status: http.StatusBadRequest}
	}
	return nil
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

func sha(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request, body []byte) *failure {
	s.mu.Lock()
	defer s.mu.Unlock()
	bucket, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if bucket != s.Bucket {
		return &failure{Code: "NoSuchBucket", Message: "The bucket does not exist", status: http.StatusNotFound}
	}
	if key == "" {
		if r.Method != http.MethodGet {
			return &failure{Code: "NotImplemented", Message: r.Method, status: http.StatusNotImplemented}
		}
		return s.list(w, r.URL.Query())
	}
	object, there := s.objects[key]
	switch r.Method {
	case http.MethodPut:
		if r.Header.Get("If-None-Match") == "*" && there && !s.NoConditions {
			return &failure{Code: "PreconditionFailed", Message: "At least one of the preconditions did not hold.", status: http.StatusPreconditionFailed}
		}
		s.objects[key] = body
		w.Header().Set("ETag", tag(body))
	case http.MethodGet, http.MethodHead:
		if !there {
			return &failure{Code: "NoSuchKey", Message: "The key does not exist.", status: http.StatusNotFound}
		}
		w.Header().Set("ETag", tag(object))
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(string(object)))
	case http.MethodDelete:
		delete(s.objects, key)
		w.WriteHeader(http.StatusNoContent)
	default:
		return &failure{Code: "NotImplemented", Message: r.Method, status: http.StatusNotImplemented}
	}
	return nil
}

func tag(body []byte) string { return `"` + sha(string(body))[:32] + `"` }

// list answers with the keys that begin with a prefix, in versions 1 and 2.
func (s *Server) list(w http.ResponseWriter, q url.Values) *failure {
	type content struct {
		Key, ETag string
		Size      int
	}
	var out struct {
		XMLName               xml.Name `xml:"ListBucketResult"`
		Name, Prefix          string
		KeyCount, MaxKeys     int
		IsTruncated           bool
		NextMarker            string `xml:",omitempty"`
		NextContinuationToken string `xml:",omitempty"`
		Contents              []content
	}
	out.Name, out.Prefix, out.MaxKeys = s.Bucket, q.Get("prefix"), 1000
	fmt.Sscan(q.Get("max-keys"), &out.MaxKeys)
	after := cmp.Or(q.Get("continuation-token"), q.Get("marker"))
	for _, key := range slices.Sorted(maps.Keys(s.objects)) {
		if !strings.HasPrefix(key, out.Prefix) || key <= after {
			continue
		}
		if out.KeyCount == out.MaxKeys {
			last := out.Contents[out.KeyCount-1].Key
			out.IsTruncated, out.NextMarker, out.NextContinuationToken = true, last, last
			break
		}
		out.Contents = append(out.Contents, content{key, tag(s.objects[key]), len(s.objects[key])})
		out.KeyCount++
	}
	w.Header().Set("Content-Type", "application/xml")
	xml.NewEncoder(w).Encode(out)
	return nil
}
