package ncloud

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestEndpoint(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ site, gateway, want string }{
		{"", "", "https://ncloud.apigw.ntruss.com"},
		{"public", "", "https://ncloud.apigw.ntruss.com"},
		{"GOV", "", "https://ncloud.apigw.gov-ntruss.com"},
		{"fin", "", "https://fin-ncloud.apigw.fin-ntruss.com"},
		{"gov", "http://127.0.0.1:9/", "http://127.0.0.1:9"},
		{"moon", "", ""},
	} {
		got, err := Endpoint(tt.site, tt.gateway)
		if got != tt.want || (err != nil) != (tt.want == "") {
			t.Errorf("%+v: %q, %v", tt, got, err)
		}
	}
	for _, bad := range []string{"", "ncloud.apigw.ntruss.com", "ftp://x", "http://"} {
		if _, err := New(Options{Endpoint: bad, Credentials: Credentials{AccessKey: "a", SecretKey: "b"}}); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestResolveCredentials(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	os.Mkdir(filepath.Join(home, ".ncloud"), 0o700)
	write := func(home, text string) string {
		os.MkdirAll(filepath.Join(home, ".ncloud"), 0o700)
		if err := os.WriteFile(filepath.Join(home, ".ncloud", "configure"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return home
	}
	plain := write(t.TempDir(), "ncloud_access_key_id = file-a\nncloud_secret_access_key = file-s==\nncloud_api_url = x\n")
	profiles := write(t.TempDir(), "[other]\nncloud_access_key_id=o-a\nncloud_secret_access_key=o-s\n[DEFAULT]\nncloud_access_key_id=d-a\nncloud_secret_access_key=d-s\n")
	only := write(t.TempDir(), "[work]\nncloud_access_key_id=w-a\nncloud_secret_access_key=w-s\n")
	half := write(t.TempDir(), "ncloud_access_key_id = half-a\n")
	role := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/latest/meta-data/iam/security-credentials/":
			fmt.Fprintln(w, "baker")
		case "/latest/meta-data/iam/security-credentials/baker":
			fmt.Fprintf(w, `{"AccessKeyId": "role-a", "SecretAccessKey": "role-s", "Expiration": %q}`, time.Now().Add(time.Hour).Format(time.RFC3339))
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(role.Close)

	for _, tt := range []struct {
		name           string
		access, secret string
		env            map[string]string
		home           string
		want           string // access/secret
		source         string // part of it, or of the error
	}{
		{"template first", "t-a", "t-s", map[string]string{"NCLOUD_ACCESS_KEY": "e-a", "NCLOUD_SECRET_KEY": "e-s"}, plain, "t-a/t-s", "template"},
		{"the provider's names", "", "", map[string]string{"NCLOUD_ACCESS_KEY": "e-a", "NCLOUD_SECRET_KEY": "e-s"}, plain, "e-a/e-s", "NCLOUD_ACCESS_KEY and NCLOUD_SECRET_KEY"},
		{"the SDK's names", "", "", map[string]string{"NCLOUD_ACCESS_KEY_ID": "i-a", "NCLOUD_ACCESS_KEY": "e-a", "NCLOUD_SECRET_ACCESS_KEY": "i-s"}, plain, "i-a/i-s", "NCLOUD_ACCESS_KEY_ID"},
		{"half and half", "t-a", "", map[string]string{"NCLOUD_SECRET_KEY": "e-s"}, plain, "t-a/e-s", "access_key in the template and NCLOUD_SECRET_KEY"},
		{"half", "", "", map[string]string{"NCLOUD_ACCESS_KEY": "e-a"}, plain, "", "NCLOUD_ACCESS_KEY is set, but not the secret key"},
		{"other half", "", "t-s", nil, plain, "", "but not the access key"},
		{"file", "", "", nil, plain, "file-a/file-s==", filepath.Join(plain, ".ncloud", "configure")},
		{"file with profiles", "", "", nil, profiles, "d-a/d-s", "configure"},
		{"file with one profile", "", "", nil, only, "w-a/w-s", "configure"},
		{"half a file", "", "", nil, half, "", "lacks"},
		{"role", "", "", map[string]string{"NCLOUD_METADATA_API_ENDPOINT": role.URL}, home, "role-a/role-s", "server role baker"},
		{"file before role", "", "", map[string]string{"NCLOUD_METADATA_API_ENDPOINT": role.URL}, plain, "file-a/file-s==", "configure"},
		{"nothing", "", "", map[string]string{"NCLOUD_METADATA_API_ENDPOINT": "http://127.0.0.1:1"}, home, "", "no metadata service"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			env := tt.env
			if env["NCLOUD_METADATA_API_ENDPOINT"] == "" {
				env = map[string]string{"NCLOUD_METADATA_API_ENDPOINT": "http://127.0.0.1:1"}
				for k, v := range tt.env {
					env[k] = v
				}
			}
			c, err := ResolveCredentials(context.Background(), CredentialOptions{AccessKey: tt.access, SecretKey: tt.secret, Env: func(k string) string { return env[k] }, Home: tt.home})
			if tt.want == "" {
				if !errors.Is(err, ErrNoCredentials) || !strings.Contains(err.Error(), tt.source) || strings.Contains(err.Error(), "half-a") || strings.Contains(err.Error(), "e-a") {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil || c.AccessKey+"/"+c.SecretKey != tt.want || !strings.Contains(c.Source, tt.source) {
				t.Errorf("got %s/%s from %q, %v", c.AccessKey, c.SecretKey, c.Source, err)
			}
			if text := fmt.Sprintf("%v %+v %#v %s", c, c, c, c); strings.Contains(text, c.SecretKey) {
				t.Errorf("the secret key prints: %s", text)
			}
		})
	}
}

func TestExpiringKeysAreRenewed(t *testing.T) {
	t.Parallel()
	c, f := start(t, nil)
	n := 0
	var told []string
	c.keys.renewed = func(k Credentials) { told = append(told, k.SecretKey) }
	c.keys.now = Credentials{AccessKey: "old", SecretKey: "old", Expires: time.Now().Add(time.Second), renew: func(context.Context) (Credentials, error) {
		n++
		return Credentials{AccessKey: "new", SecretKey: "new", Expires: time.Now().Add(time.Hour)}, nil
	}}
	for range 2 {
		if _, err := c.VPC.GetRegionList(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	if n != 1 || f.count("getRegionList") != 2 || !slices.Equal(told, []string{"new"}) {
		t.Errorf("renewed %d times, told %q", n, told)
	}
}

func TestResolveRegion(t *testing.T) {
	t.Parallel()
	classic := []Region{{"1", "KR", "Korea"}, {"2", "USW", "US-West(Old)"}, {"3", "HK", "HongKong"}, {"6", "DE", "Germany(Old)"}, {"7", "SGN", "Singapore(New)"}, {"8", "JPN", "Japan(New)"}, {"9", "USWN", "US-West(New)"}, {"10", "DEN", "Germany(New)"}}
	vpc := []Region{{"", "KR", "Korea"}, {"", "SGN", "Singapore(New)"}, {"", "JPN", "Japan(New)"}}
	fin := []Region{{"", "FKR", "Korea"}}
	for _, tt := range []struct {
		regions    []Region
		word, want string
	}{
		{classic, "Korea", "KR"}, {classic, "", "KR"}, {classic, "kr", "KR"}, {classic, "US-West", "USWN"}, {classic, "us west", "USWN"}, {classic, "HongKong", "HK"}, {classic, "Hong Kong", "HK"},
		{classic, "Singapore", "SGN"}, {classic, "Japan", "JPN"}, {classic, "Germany", "DEN"}, {classic, "USW", "USW"}, {classic, "Germany(Old)", "DE"}, {classic, "SG", "SGN"}, {classic, "JP", "JPN"}, {classic, "DE", "DE"},
		{vpc, "SG", "SGN"}, {vpc, "Singapore(New)", "SGN"}, {vpc, "Korea", "KR"},
		{fin, "Korea", "FKR"}, {fin, "", "FKR"},
	} {
		if r, err := ResolveRegion(tt.regions, tt.word); err != nil || r.Code != tt.want {
			t.Errorf("%q: %+v, %v", tt.word, r, err)
		}
	}
	for word, near := range map[string]string{"Singapor": "SGN", "Jappan": "Japan", "SGNN": "SGN"} {
		_, err := ResolveRegion(classic, word)
		e, ok := errors.AsType[*UnknownValueError](err)
		if !ok || len(e.Nearest) == 0 || len(e.Valid) != len(classic) {
			t.Errorf("%q: %v", word, err)
			continue
		}
		if !strings.Contains(strings.Join(e.Nearest, " "), near) && !strings.Contains(strings.Join(e.Nearest, " "), "Singapore") {
			t.Errorf("%q: nearest %v", word, e.Nearest)
		}
	}
	if _, err := ResolveRegion(vpc, "HongKong"); err == nil {
		t.Error("Hong Kong has no VPC")
	}
}

func TestNearest(t *testing.T) {
	t.Parallel()
	words := []string{"SW.VSVR.OS.LNX64.ROCKY.0810.B050", "SW.VSVR.OS.LNX64.UBNTU.SVR2004.B050", "SVR.VSVR.STAND.C002.M008.NET.HDD.B050.G002"}
	if got := Nearest("SW.VSVR.OS.LNX64.UBUNTU.SVR2004.B050", words, 2); len(got) == 0 || got[0] != words[1] {
		t.Errorf("got %v", got)
	}
	if got := Nearest("zzz", words, 2); len(got) != 0 {
		t.Errorf("got %v", got)
	}
	if got := Nearest("a", []string{"a", "a", "b"}, 5); !slices.Equal(got, []string{"a"}) {
		t.Errorf("got %v", got)
	}
}
