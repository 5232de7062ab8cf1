package ncloud

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/agext/levenshtein"
)

// sites are the API gateways of NAVER Cloud's three sites; each has accounts and keys of its own.
var sites = map[string]string{
	"public": "https://ncloud.apigw.ntruss.com",
	"gov":    "https://ncloud.apigw.gov-ntruss.com",
	"fin":    "https://fin-ncloud.apigw.fin-ntruss.com",
}

// Sites are the names Endpoint knows.
var Sites = []string{"public", "gov", "fin"}

// Endpoint returns the base URL of a site ("" is public). gateway, the value of NCLOUD_API_GW, overrides it when set.
func Endpoint(site, gateway string) (string, error) {
	if gateway != "" {
		return strings.TrimRight(gateway, "/"), nil
	}
	url, ok := sites[strings.ToLower(cmpOr(site, "public"))]
	if !ok {
		return "", fmt.Errorf("site %q does not exist; it is one of %s", site, strings.Join(Sites, ", "))
	}
	return url, nil
}

// Credentials are a pair of API keys. They print as their source.
type Credentials struct {
	AccessKey, SecretKey string
	Source               string    // "NCLOUD_ACCESS_KEY and NCLOUD_SECRET_KEY", "/home/u/.ncloud/configure", …
	Expires              time.Time // zero: never

	renew func(context.Context) (Credentials, error)
}

func (c Credentials) String() string   { return "keys from " + c.Source }
func (c Credentials) GoString() string { return c.String() }

// CredentialOptions are the places to look for keys, in order: what the template says, the environment, the file
// ~/.ncloud/configure, the role of the server tfbake runs on.
type CredentialOptions struct {
	AccessKey, SecretKey string              // from the template; one of them may be missing
	Env                  func(string) string // os.Getenv
	Home                 string              // home directory; empty: no file
	NoServerRole         bool                // do not ask the metadata service
	Metadata             http.RoundTripper   // for tests
}

// Names of the environment variables, the SDK's and the provider's; the first that is set counts.
var (
	AccessKeyEnv = []string{"NCLOUD_ACCESS_KEY_ID", "NCLOUD_ACCESS_KEY"}
	SecretKeyEnv = []string{"NCLOUD_SECRET_ACCESS_KEY", "NCLOUD_SECRET_KEY"}
)

// ErrNoCredentials means that no pair of keys was found anywhere.
var ErrNoCredentials = errors.New("no NAVER Cloud API keys")

// ResolveCredentials finds the keys. Its error wraps ErrNoCredentials and says where it looked.
func ResolveCredentials(ctx context.Context, o CredentialOptions) (Credentials, error) {
	env := func(names []string) (value, name string) {
		for _, n := range names {
			if v := strings.TrimSpace(o.Env(n)); v != "" {
				return v, n
			}
		}
		return "", ""
	}
	access, accessName := env(AccessKeyEnv)
	secret, secretName := env(SecretKeyEnv)
	if o.AccessKey != "" {
		access, accessName = o.AccessKey, "access_key in the template"
	}
	if o.SecretKey != "" {
		secret, secretName = o.SecretKey, "secret_key in the template"
	}
	switch {
	case access != "" && secret != "":
		return Credentials{AccessKey: access, SecretKey: secret, Source: accessName + " and " + secretName}, nil
	case access != "":
		return Credentials{}, fmt.Errorf("%w: %s is set, but not the secret key; set secret_key or NCLOUD_SECRET_KEY too", ErrNoCredentials, accessName)
	case secret != "":
		return Credentials{}, fmt.Errorf("%w: %s is set, but not the access key; set access_key or NCLOUD_ACCESS_KEY too", ErrNoCredentials, secretName)
	}
	tried := []string{"access_key and secret_key in the template", "NCLOUD_ACCESS_KEY and NCLOUD_SECRET_KEY"}
	if o.Home != "" {
		file := filepath.Join(o.Home, ".ncloud", "configure")
		c, err := readConfigure(file)
		if err == nil {
			return c, nil
		}
		note := file
		if !errors.Is(err, os.ErrNotExist) {
			note += " (" + err.Error() + ")"
		}
		tried = append(tried, note)
	}
	if !o.NoServerRole {
		c, err := serverRole(ctx, o)
		if err == nil {
			return c, nil
		}
		tried = append(tried, "the server role ("+err.Error()+")")
	}
	return Credentials{}, fmt.Errorf("%w: looked at %s; make a key in the console under My Account > Manage Auth Keys, then set NCLOUD_ACCESS_KEY and NCLOUD_SECRET_KEY", ErrNoCredentials, strings.Join(tried, ", "))
}

// readConfigure reads the file of the ncloud command line tool: "key = value" lines, possibly in sections, of which
// [DEFAULT] (or none, or else the first) counts. Its errors never quote the file.
func readConfigure(path string) (Credentials, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		if pe, ok := errors.AsType[*os.PathError](err); ok {
			err = pe.Err
		}
		return Credentials{}, err
	}
	sections := map[string]map[string]string{}
	name, first := "DEFAULT", ""
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") && strings.HasSuffix(line, "]") {
			name = strings.Trim(line, "[] ")
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		if sections[name] == nil {
			sections[name] = map[string]string{}
			first = cmpOr(first, name)
		}
		sections[name][strings.TrimSpace(key)] = strings.TrimSpace(value)
	}
	if sections["DEFAULT"] != nil {
		first = "DEFAULT"
	}
	c := Credentials{AccessKey: sections[first]["ncloud_access_key_id"], SecretKey: sections[first]["ncloud_secret_access_key"], Source: path}
	if c.AccessKey == "" || c.SecretKey == "" {
		return Credentials{}, errors.New("it lacks ncloud_access_key_id or ncloud_secret_access_key")
	}
	return c, nil
}

// serverRole asks the metadata service of the server tfbake runs on for keys that expire.
func serverRole(ctx context.Context, o CredentialOptions) (Credentials, error) {
	base := strings.TrimRight(cmpOr(o.Env("NCLOUD_METADATA_API_ENDPOINT"), "http://169.254.169.254"), "/") + "/latest/meta-data/iam/security-credentials/"
	client := &http.Client{Transport: o.Metadata, Timeout: 2 * time.Second} // link-local: it answers at once or not at all
	ask := func(url string) ([]byte, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return nil, errors.New("bad NCLOUD_METADATA_API_ENDPOINT")
		}
		resp, err := client.Do(req)
		if err != nil {
			return nil, errors.New("no metadata service here")
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return nil, fmt.Errorf("metadata service answers HTTP %d", resp.StatusCode)
		}
		return io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	}
	roles, err := ask(base)
	if err != nil {
		return Credentials{}, err
	}
	role, _, _ := strings.Cut(strings.TrimSpace(string(roles)), "\n")
	if role = strings.TrimSpace(role); role == "" {
		return Credentials{}, errors.New("this server has none")
	}
	data, err := ask(base + role)
	if err != nil {
		return Credentials{}, err
	}
	var k struct {
		AccessKeyID     string `json:"AccessKeyId"`
		SecretAccessKey string
		Expiration      time.Time
	}
	if json.Unmarshal(data, &k) != nil || k.AccessKeyID == "" || k.SecretAccessKey == "" {
		return Credentials{}, fmt.Errorf("role %s came without keys", role)
	}
	c := Credentials{AccessKey: k.AccessKeyID, SecretKey: k.SecretAccessKey, Expires: k.Expiration, Source: "server role " + role}
	if !c.Expires.IsZero() {
		c.renew = func(ctx context.Context) (Credentials, error) { return serverRole(ctx, o) }
	}
	return c, nil
}

// UnknownValueError is a value that is not among those the API offers.
type UnknownValueError struct {
	Kind    string // "region"
	Value   string
	Nearest []string // likely meant, best first
	Valid   []string
}

func (e *UnknownValueError) Error() string {
	msg := fmt.Sprintf("%s %q does not exist", e.Kind, e.Value)
	if len(e.Nearest) > 0 {
		msg += "; did you mean " + strings.Join(e.Nearest, " or ") + "?"
	}
	if len(e.Valid) > 0 {
		msg += " valid: " + strings.Join(e.Valid, ", ")
	}
	return msg
}

// regionAliases are short forms people write, beside the codes and names of the region list itself.
var regionAliases = map[string]string{"SG": "SGN", "JP": "JPN", "US": "USWN", "USWEST": "USWN", "USW": "USWN", "DE": "DEN", "EU": "DEN", "KRS": "KR", "KOREASOUTH": "KR"}

// ResolveRegion finds the region a template means: by code ("KR", "sgn"), by name with or without "(New)" ("US-West" is
// "US-West(New)" rather than "US-West(Old)"), or by a common short form ("SG"). No word at all means KR, or the only
// or first region there is.
func ResolveRegion(regions []Region, word string) (Region, error) {
	by := func(ok func(Region) bool) (Region, bool) {
		i := slices.IndexFunc(regions, ok)
		if i < 0 {
			return Region{}, false
		}
		return regions[i], true
	}
	code := func(c string) func(Region) bool { return func(r Region) bool { return strings.EqualFold(r.Code, c) } }
	if word == "" {
		if r, ok := by(code("KR")); ok {
			return r, nil
		}
		if len(regions) > 0 {
			return regions[0], nil
		}
	}
	w := regionWord(word)
	for _, ok := range []func(Region) bool{
		code(word),
		func(r Region) bool { return strings.EqualFold(r.Name, word) },
		func(r Region) bool { return regionWord(r.Name) == w && !strings.Contains(r.Name, "Old") },
		code(regionAliases[w]),
		func(r Region) bool { return regionWord(r.Name) == w },
	} {
		if r, found := by(ok); found {
			return r, nil
		}
	}
	e := &UnknownValueError{Kind: "region", Value: word}
	var words []string
	for _, r := range regions {
		e.Valid = append(e.Valid, r.Code+" ("+r.Name+")")
		words = append(words, r.Code, strings.TrimSuffix(strings.TrimSuffix(r.Name, "(New)"), "(Old)"))
	}
	e.Nearest = Nearest(word, words, 2)
	return Region{}, e
}

// regionWord reduces a region's name to letters: "US-West(New)" -> "USWEST", "Hong Kong" -> "HONGKONG".
func regionWord(name string) string {
	name = strings.ToUpper(name)
	name, _, _ = strings.Cut(name, "(")
	return strings.NewReplacer("-", "", " ", "", "_", "").Replace(name)
}

// Nearest returns at most n of the words that resemble word, best first.
func Nearest(word string, words []string, n int) []string {
	type scored struct {
		word  string
		score float64
	}
	var near []scored
	seen := map[string]bool{}
	for _, w := range words {
		if seen[w] {
			continue
		}
		seen[w] = true
		if s := levenshtein.Match(strings.ToLower(word), strings.ToLower(w), nil); s >= 0.55 {
			near = append(near, scored{w, s})
		}
	}
	slices.SortStableFunc(near, func(a, b scored) int {
		switch {
		case a.score > b.score:
			return -1
		case a.score < b.score:
			return 1
		}
		return 0
	})
	var out []string
	for _, s := range near[:min(n, len(near))] {
		out = append(out, s.word)
	}
	return out
}
