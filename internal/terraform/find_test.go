package terraform

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
)

func TestParseVersion(t *testing.T) {
	for _, c := range []struct {
		out, version string
		tofu         bool
		wantErr      string
	}{
		{"Terraform v1.11.4\non linux_amd64\n", "1.11.4", false, ""},
		{"OpenTofu v1.10.10\non linux_amd64\n", "1.10.10", true, ""},
		{"Terraform v1.6.0-dev\n", "1.6.0-dev", false, ""},
		{"\nWarning: something\n\nTerraform v1.5.0\n", "1.5.0", false, ""},
		{"Terraform v1.4.7\n", "", false, "too old, 1.5.0 is needed"},
		{"OpenTofu v1.5.9\n", "", false, "too old, 1.6.0 is needed"},
		{"Packer v1.16.0\n", "", false, "neither Terraform nor OpenTofu"},
		{"", "", false, "neither Terraform nor OpenTofu"},
		{"Terraform vNext\n", "", false, "unreadable version"},
	} {
		b, err := parseVersion(c.out)
		if c.wantErr != "" {
			if err == nil || !strings.Contains(err.Error(), c.wantErr) {
				t.Errorf("%q: %v, want %q", c.out, err, c.wantErr)
			}
			continue
		}
		if err != nil || b.Version != c.version || b.Tofu != c.tofu {
			t.Errorf("%q: %+v, %v", c.out, b, err)
		}
	}
}

// program puts a script that says it is a terraform or a tofu into a new directory.
func program(t *testing.T, name, says string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\necho '"+says+"'\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestFind(t *testing.T) {
	t.Parallel()
	old := program(t, "terraform", "Terraform v1.3.0")
	good := program(t, "terraform", "Terraform v1.9.1")
	tofu := program(t, "tofu", "OpenTofu v1.8.2")
	broken := t.TempDir()
	if err := os.WriteFile(filepath.Join(broken, "terraform"), []byte("#!/bin/sh\nexit 3\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	plain := t.TempDir()
	if err := os.WriteFile(filepath.Join(plain, "terraform"), []byte("not executable"), 0o600); err != nil {
		t.Fatal(err)
	}
	path := func(dirs ...string) string { return strings.Join(dirs, string(filepath.ListSeparator)) }
	for name, c := range map[string]struct {
		o       FindOptions
		want    string
		tofu    bool
		wantErr []string
	}{
		"PATH":                     {FindOptions{SearchPath: path(t.TempDir(), plain, good, tofu)}, filepath.Join(good, "terraform"), false, nil},
		"too old ones are skipped": {FindOptions{SearchPath: path(old, broken, good)}, filepath.Join(good, "terraform"), false, nil},
		"tofu":                     {FindOptions{SearchPath: path(old, tofu)}, filepath.Join(tofu, "tofu"), true, nil},
		"named":                    {FindOptions{Path: filepath.Join(tofu, "tofu"), SearchPath: good}, filepath.Join(tofu, "tofu"), true, nil},
		"named, too old":           {FindOptions{Path: filepath.Join(old, "terraform"), SearchPath: good}, "", false, []string{"too old"}},
		"named, missing":           {FindOptions{Path: filepath.Join(plain, "nope"), SearchPath: good}, "", false, []string{"-terraform or TFBAKE_TERRAFORM"}},
		"relative PATH is ignored": {FindOptions{SearchPath: path(".", "bin")}, "", false, []string{"none in PATH"}},
		"nothing":                  {FindOptions{SearchPath: path(old, broken)}, "", false, []string{"too old", "exit status 3", "no directory", "install Terraform", "TFBAKE_TERRAFORM"}},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := Find(context.Background(), c.o)
			if c.wantErr != nil {
				for _, want := range c.wantErr {
					if err == nil || !strings.Contains(err.Error(), want) {
						t.Errorf("error %v does not say %q", err, want)
					}
				}
				return
			}
			if err != nil || b.Path != c.want || b.Tofu != c.tofu {
				t.Errorf("got %+v, %v, want %s", b, err, c.want)
			}
		})
	}
}

// releaseServer is releases.hashicorp.com for one version, signed with a key made for the test.
func releaseServer(t *testing.T, v string, tamper bool) (url, publicKey string, requests *int) {
	t.Helper()
	var zipped bytes.Buffer
	z := zip.NewWriter(&zipped)
	for name, text := range map[string]string{"terraform": "#!/bin/sh\necho 'Terraform v" + v + "'\n", "LICENSE.txt": "x"} {
		w, err := z.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(w, text)
	}
	z.Close()
	name := fmt.Sprintf("terraform_%s_%s_%s.zip", v, runtime.GOOS, runtime.GOARCH)
	sums := fmt.Sprintf("%x  %s\n", sha256.Sum256(zipped.Bytes()), name)
	entity, err := openpgp.NewEntity("test", "", "test@example.invalid", nil)
	if err != nil {
		t.Fatal(err)
	}
	var sig, pub bytes.Buffer
	if err := openpgp.DetachSign(&sig, entity, strings.NewReader(sums), nil); err != nil {
		t.Fatal(err)
	}
	a, err := armor.Encode(&pub, openpgp.PublicKeyType, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := entity.Serialize(a); err != nil {
		t.Fatal(err)
	}
	a.Close()
	if tamper {
		zipped.WriteString("more")
	}
	requests = new(int)
	dir := "/terraform/" + v + "/"
	mux := http.NewServeMux()
	serve := func(path string, b []byte, kind string) {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			*requests++
			w.Header().Set("Content-Type", kind)
			w.Write(b)
		})
	}
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	index := fmt.Sprintf(`{"name":"terraform","version":%q,"shasums":"x_SHA256SUMS","shasums_signature":"x_SHA256SUMS.sig","shasums_signatures":["x_SHA256SUMS.sig"],
		"builds":[{"name":"terraform","version":%q,"os":%q,"arch":%q,"filename":%q,"url":%q}]}`, v, v, runtime.GOOS, runtime.GOARCH, name, srv.URL+dir+name)
	serve(dir+"index.json", []byte(index), "application/json")
	serve(dir+"x_SHA256SUMS", []byte(sums), "text/plain")
	serve(dir+"x_SHA256SUMS.sig", sig.Bytes(), "application/octet-stream")
	serve(dir+name, zipped.Bytes(), "application/zip")
	return srv.URL, pub.String(), requests
}

func TestFindDownloads(t *testing.T) {
	t.Parallel()
	url, key, requests := releaseServer(t, "1.9.8", false)
	o := FindOptions{SearchPath: t.TempDir(), PinnedVersion: "1.9.8", CacheDir: filepath.Join(t.TempDir(), "cache"), ReleasesURL: url, publicKey: key, Log: &recorder{}}
	b, err := Find(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	if b.Source != "download" || b.Version != "1.9.8" || !strings.HasPrefix(b.Path, o.CacheDir) {
		t.Errorf("got %+v", b)
	}
	if !strings.Contains(o.Log.(*recorder).String(), "downloading Terraform 1.9.8") {
		t.Errorf("story: %s", o.Log)
	}
	before := *requests
	b, err = Find(context.Background(), o)
	if err != nil || b.Source != "cache" || *requests != before {
		t.Errorf("second time: %+v, %v, %d requests more", b, err, *requests-before)
	}
	if left, _ := filepath.Glob(filepath.Join(o.CacheDir, "download-*")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func TestFindRefusesATamperedDownload(t *testing.T) {
	t.Parallel()
	url, key, _ := releaseServer(t, "1.9.8", true)
	cache := filepath.Join(t.TempDir(), "cache")
	_, err := Find(context.Background(), FindOptions{SearchPath: t.TempDir(), PinnedVersion: "1.9.8", CacheDir: cache, ReleasesURL: url, publicKey: key})
	var nf *NotFoundError
	if !errors.As(err, &nf) || !strings.Contains(strings.ToLower(err.Error()), "checksum") {
		t.Errorf("error: %v", err)
	}
	if left, _ := os.ReadDir(cache); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	// The same release signed by somebody else.
	url, _, _ = releaseServer(t, "1.9.8", false)
	if _, err := Find(context.Background(), FindOptions{SearchPath: t.TempDir(), PinnedVersion: "1.9.8", CacheDir: cache, ReleasesURL: url, publicKey: key}); err == nil {
		t.Error("a foreign signature was taken")
	}
}
