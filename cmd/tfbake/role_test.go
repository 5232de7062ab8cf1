package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tfbake/tfbake/internal/config"
	"github.com/tfbake/tfbake/internal/journal"
	"github.com/tfbake/tfbake/internal/redact"
	"github.com/tfbake/tfbake/internal/ui"
)

// The keys of a server role change while a run is under way: terraform gets those of the day, none of them is printed, and
// a run whose login key was sealed with earlier ones says that it cannot be resumed.
func TestServerRoleKeys(t *testing.T) {
	var n atomic.Int32
	metadata := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/") {
			fmt.Fprint(w, "baker")
			return
		}
		i := n.Add(1)
		// So near its end that it is renewed before each use.
		fmt.Fprintf(w, `{"AccessKeyId": "role-access-%d", "SecretAccessKey": "role-secret-%d", "Expiration": %q}`, i, i, time.Now().Add(time.Second).Format(time.RFC3339))
	}))
	t.Cleanup(metadata.Close)
	t.Setenv("HOME", t.TempDir()) // no ~/.ncloud/configure
	a := &app{host: host{stderr: io.Discard, env: func(name string) (string, bool) {
		value, ok := map[string]string{"NCLOUD_METADATA_API_ENDPOINT": metadata.URL}[name]
		return value, ok
	}}, redact: redact.New()}
	story := ui.New(io.Discard, a.redact, ui.Options{})
	client, err := a.client(t.Context(), &target{gateway: "http://127.0.0.1:1"}, config.Source{}, story)
	if err != nil {
		t.Fatal(err)
	}

	ofTerraform := apiKeys(client)
	first, second := ofTerraform(t.Context()), ofTerraform(t.Context())
	if first["NCLOUD_ACCESS_KEY"] == second["NCLOUD_ACCESS_KEY"] || first["NCLOUD_SECRET_KEY"] == second["NCLOUD_SECRET_KEY"] || second["NCLOUD_SECRET_KEY"] == "" {
		t.Errorf("terraform's keys: %v, then %v", first, second)
	}
	for _, env := range []map[string]string{first, second} {
		for name, secret := range env {
			if printed := a.redact.String("it is " + secret + "."); strings.Contains(printed, secret) {
				t.Errorf("%s is printed: %s", name, printed)
			}
		}
	}

	run := &journal.Run{Dir: t.TempDir(), Facts: journal.Facts{RunID: "261122-120000-abcd"}}
	k := keys{client, config.VPC}
	if err := k.seal(t.Context(), run, []byte("private")); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Recall(run, "key"); err == nil || !strings.Contains(err.Error(), "keys from server role baker change in time: such a run cannot be resumed, `tfbake destroy 261122-120000-abcd` ends it") {
		t.Errorf("recall: %v", err)
	}
}
