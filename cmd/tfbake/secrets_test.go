//go:build unix

package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tfbake/tfbake/internal/localcloud"
)

// A bake that does its best to tell its secrets: provisioners print them, plain and disguised, the last one fails, and
// everything is kept.
const talkative = `{
	"variables": {"app_password": ""},
	"sensitive-variables": ["app_password"],
	"builders": [{%s, "server_image_name": "baked"}],
	"provisioners": [
		{"type": "shell", "environment_vars": ["APP_PASSWORD={{user ` + "`app_password`" + `}}"], "inline": [
			"echo \"the password is $APP_PASSWORD.\"", "env", "set -x", "echo \"$APP_PASSWORD\" >&2", "set +x",
			"echo \"$APP_PASSWORD\" | base64", "printf %%s \"$APP_PASSWORD\" | base64", "echo \"1$APP_PASSWORD\" | base64 -w0", "echo \"22$APP_PASSWORD\" | base64 -w0"]},
		{"type": "shell", "inline": ["echo 'root: {{build ` + "`Password`" + `}}'", "echo \"{{build ` + "`SSHPrivateKey`" + `}}\"",
			"echo \"{{build ` + "`SSHPrivateKey`" + `}}\" | base64", "echo 'root: {{build ` + "`Password`" + `}}' | base64"]},
		{"type": "shell-local", "inline": ["echo $NCLOUD_SECRET_KEY $NCLOUD_ACCESS_KEY", "echo $NCLOUD_SECRET_KEY >&2", "env", "sleep 0.3"]},
		{"type": "shell", "environment_vars": ["APP_PASSWORD={{user ` + "`app_password`" + `}}"], "inline": ["echo \"$APP_PASSWORD is no good\" >&2", "exit 3"]}
	]}`

// TestSecrets searches everything that a bake writes, shows and starts for the secrets it works with.
func TestSecrets(t *testing.T) {
	if testing.Short() {
		t.Skip("-short")
	}
	t.Parallel()
	builders := map[string]string{
		"vpc-kvm": `"type":"ncloud","region":"KR","server_image_number":"23214590","server_spec_code":"s2-g3","user_data":"#!/bin/sh\ntrue\n"`,
		"classic": `"type":"ncloud","region":"KR","server_image_product_code":"SPSW0LINUX000046","server_product_code":"SPSVRCPU00000001"`,
	}
	names := slices.Sorted(maps.Keys(builders))
	together(t, len(names), names, func(t *testing.T, i int) {
		keys := localcloud.Options{AccessKey: "AKIAtestTESTtest0123", SecretKey: `sEcReT+key/"with'quotes&and=more$HOME`}
		v := newVictimIn(t, fmt.Sprintf(talkative, builders[names[i]]), keys)
		const appPassword = `hunter2 "quoted" & <angled> $HOME ünïcode`
		vars, _ := json.Marshal(map[string]string{"app_password": appPassword})
		varFile := filepath.Join(t.TempDir(), "vars.json")
		if err := os.WriteFile(varFile, vars, 0o600); err != nil {
			t.Fatal(err)
		}
		tap := tapPasswords(t, v.cloud.Endpoint())
		temp := filepath.Join(v.dir, "tmp")
		if err := os.Mkdir(temp, 0o700); err != nil {
			t.Fatal(err)
		}
		cmd := v.command(provided([]string{"run", "-on-error=abort", "-var-file", varFile, "bake.json"})...)
		cmd.Env = append(cmd.Env, "NCLOUD_API_GW="+tap.url, "TMPDIR="+temp, "TF_LOG=TRACE", "PACKER_LOG=1")
		p := v.begin(cmd)
		seen := newSightings()
		for running := true; running; {
			select {
			case <-p.done:
				running = false
			case <-time.After(15 * time.Millisecond):
			}
			seen.commandLines(cmd.Process.Pid)
			seen.files(filepath.Join(v.dir, ".tfbake"))
		}
		r := p.wait()
		if r.code != exitProvision {
			t.Fatalf("exit code %d:\n%s", r.code, r.stderr)
		}
		if !strings.Contains(r.stderr, "the password is ") || !strings.Contains(r.stderr, "is no good") || !strings.Contains(r.stderr, "root: ") {
			t.Errorf("the provisioners did not get to talk:\n%s", r.stderr)
		}
		seen.files(v.dir)
		seen.add("standard output", []byte(r.stdout))
		seen.add("standard error", []byte(r.stderr))
		runs, _ := filepath.Glob(filepath.Join(v.dir, ".tfbake", "runs", "*"))
		if len(runs) != 1 {
			t.Fatalf("the run was not kept: %v", runs)
		}
		for _, args := range [][]string{{"logs", runs[0]}, {"runs", "-json"}, {"cleanup", "-dry-run", runs[0]}} {
			r := v.tfbakePlain(args...)
			seen.add("tfbake "+args[0], []byte(r.stdout+r.stderr))
		}
		secrets := tap.secrets(t)
		secrets["access key"], secrets["secret key"], secrets["app password"] = keys.AccessKey, keys.SecretKey, appPassword
		if len(seen.what) < 20 || seen.commands < 3 && runtime.GOOS == "linux" {
			t.Fatalf("only %d things were seen, %d of them command lines", len(seen.what), seen.commands)
		}
		seen.search(t, secrets)
		t.Logf("%d texts (%d command lines), %d bytes, %d secrets in %d forms each at least: not found", len(seen.what), seen.commands, seen.size, len(secrets), len(disguises("0123456789")))

		if c := v.tfbake("cleanup", runs[0]); c.code != exitOK {
			t.Errorf("cleanup: %s", c.stderr)
		}
		v.expect(0)
	})
}

// TestSecretsAreSearchedFor makes sure that the search would find what it looks for.
func TestSecretsAreSearchedFor(t *testing.T) {
	t.Parallel()
	secret := `s3cr"et+with/things & more`
	for name, form := range disguises(secret) {
		if !found(form, "some text before "+form+" and after") {
			t.Errorf("%s: %q is not found", name, form)
		}
	}
	if found(secret, "nothing at all") {
		t.Error("found where it is not")
	}
}

// newVictimIn is newVictim with options for its cloud.
func newVictimIn(t *testing.T, template string, o localcloud.Options) *victim {
	t.Helper()
	v := newVictim(t, template)
	cloud, err := localcloud.Start(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cloud.Close() })
	v.cloud.Close()
	v.cloud = cloud
	return v
}

// tfbakePlain runs a command that takes no -provider.
func (v *victim) tfbakePlain(args ...string) result { return v.finish(v.command(args...)) }

// tap is a proxy before the cloud that learns the private key and the password which the bake asks for.
type tap struct {
	url string
	mu  sync.Mutex
	got map[string]string
}

func tapPasswords(t *testing.T, endpoint string) *tap {
	t.Helper()
	to, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	tap := &tap{got: map[string]string{}}
	password := regexp.MustCompile(`"rootPassword"\s*:\s*("(?:[^"\\]|\\.)*")`)
	proxy := httputil.NewSingleHostReverseProxy(to)
	proxy.ModifyResponse = func(r *http.Response) error {
		if !strings.HasSuffix(r.Request.URL.Path, "/getRootPassword") {
			return nil
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return err
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		if m := password.FindSubmatch(body); m != nil {
			if s, err := strconv.Unquote(string(m[1])); err == nil {
				tap.note("root password", s)
			}
		}
		return nil
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/getRootPassword") {
			body, err := io.ReadAll(r.Body)
			if err == nil {
				if form, err := url.ParseQuery(string(body) + "&" + r.URL.RawQuery); err == nil {
					tap.note("private key", form.Get("privateKey"))
				}
			}
			r.Body = io.NopCloser(bytes.NewReader(body))
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	tap.url = s.URL
	return tap
}

func (t *tap) note(name, value string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if value != "" {
		t.got[name] = value
	}
}

func (p *tap) secrets(t *testing.T) map[string]string {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.got["root password"] == "" || !strings.Contains(p.got["private key"], "PRIVATE KEY") {
		t.Fatalf("the bake asked for no password, so there is nothing to search for: %d", len(p.got))
	}
	return maps.Clone(p.got)
}

// sightings are the texts in which secrets are searched, each kept once.
type sightings struct {
	what     map[[32]byte]string // where it was seen first
	texts    map[[32]byte][]byte
	known    map[string]time.Time // files as last seen
	commands int
	size     int
}

func newSightings() *sightings {
	return &sightings{what: map[[32]byte]string{}, texts: map[[32]byte][]byte{}, known: map[string]time.Time{}}
}

func (s *sightings) add(where string, text []byte) bool {
	sum := sha256.Sum256(text)
	if _, ok := s.what[sum]; ok || len(text) == 0 {
		return false
	}
	s.what[sum], s.texts[sum] = where, text
	s.size += len(text)
	return true
}

// commandLines reads the arguments of tfbake and of everything it started.
func (s *sightings) commandLines(pid int) {
	for _, p := range append(descendants(pid), pid) {
		if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p)); err == nil && s.add("a command line", bytes.ReplaceAll(b, []byte{0}, []byte{' '})) {
			s.commands++
		}
	}
}

// files reads what is new or has changed below dir, programs and the template with its variables aside.
func (s *sightings) files(dir string) {
	filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil // gone meanwhile
		}
		info, err := d.Info()
		if err != nil || info.Size() > 8<<20 || s.known[path].Equal(info.ModTime()) {
			return nil
		}
		s.known[path] = info.ModTime()
		if b, err := os.ReadFile(path); err == nil {
			s.add(path, b)
		}
		return nil
	})
}

// search reports every secret that is found, in whatever form.
func (s *sightings) search(t *testing.T, secrets map[string]string) {
	t.Helper()
	for name, secret := range secrets {
		parts := map[string]string{"": secret}
		if strings.Contains(secret, "\n") { // each line of a key is as bad as the whole
			for i, line := range strings.Split(strings.TrimSpace(secret), "\n") {
				if line = strings.TrimSpace(line); !strings.HasPrefix(line, "-----") && len(line) > 8 {
					parts[fmt.Sprintf(", line %d", i+1)] = line
				}
			}
		}
		for part, value := range parts {
			for form, look := range disguises(value) {
				for sum, text := range s.texts {
					if found(look, string(text)) {
						at := strings.Index(string(text), look)
						t.Errorf("%s%s (%s) is in %s, after %q", name, part, form, s.what[sum], text[max(0, at-60):max(0, at)])
					}
				}
			}
		}
	}
}

func found(look, text string) bool { return len(look) >= 6 && strings.Contains(text, look) }

// disguises are the forms in which a secret may turn up. They are written down here apart from internal/redact, which is
// what is being tested.
func disguises(secret string) map[string]string {
	quoted, _ := json.Marshal(secret)
	inner := string(quoted[1 : len(quoted)-1])
	var plain bytes.Buffer
	e := json.NewEncoder(&plain)
	e.SetEscapeHTML(false)
	e.Encode(secret)
	twice, _ := json.Marshal(inner)
	// The last characters of Base64 depend on what follows the secret, so they are left out.
	stem := func(s string) string { return s[:max(0, len(s)-4)] }
	forms := map[string]string{
		"as it is":        secret,
		"JSON":            inner,
		"JSON unescaped":  strings.Trim(strings.TrimSpace(plain.String()), `"`),
		"JSON in JSON":    string(twice[1 : len(twice)-1]),
		"base64":          stem(base64.RawStdEncoding.EncodeToString([]byte(secret))),
		"base64 for URLs": stem(base64.RawURLEncoding.EncodeToString([]byte(secret))),
		"hexadecimal":     hex.EncodeToString([]byte(secret)),
		"URL query":       url.QueryEscape(secret),
		"URL path":        url.PathEscape(secret),
		"Go string":       strings.Trim(strconv.Quote(secret), `"`),
		"shell":           strings.ReplaceAll(secret, `'`, `'\''`),
	}
	for n := 1; n <= 2; n++ { // behind something else, the characters differ
		all := base64.RawStdEncoding.EncodeToString([]byte("zz"[:n] + secret))
		forms[fmt.Sprintf("base64 behind %d bytes", n)] = stem(all[4:])
	}
	if len(secret) > 60 { // base64 programs break lines after 76 characters
		forms["base64, first line"] = base64.StdEncoding.EncodeToString([]byte(secret))[:72]
	}
	return forms
}
