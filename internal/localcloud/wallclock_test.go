package localcloud

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/NaverCloudPlatform/ncloud-sdk-go-v2/services/vserver"
)

// A cloud whose clock differs refuses what this machine signs, says its time, and dates what it makes by it.
func TestClockOfItsOwn(t *testing.T) {
	t.Parallel()
	c := start(t, Options{})
	c.SetClock(25 * time.Hour)
	if _, err := c.vserver.GetRegionList(&vserver.GetRegionListRequest{}); err == nil || !strings.Contains(err.Error(), "Expired timestamp") {
		t.Errorf("signed with this machine's time: %v", err)
	}
	access, secret := c.Credentials()
	req, _ := http.NewRequest("GET", c.Endpoint()+"/vserver/v2/createLoginKey?keyName=late&responseFormatType=json", nil)
	stamp := fmt.Sprint(c.now().UnixMilli())
	req.Header.Set("x-ncp-apigw-timestamp", stamp)
	req.Header.Set("x-ncp-iam-access-key", access)
	req.Header.Set("x-ncp-apigw-signature-v1", sign(secret, "GET", req.URL.RequestURI(), stamp, access))
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if date, err := http.ParseTime(res.Header.Get("Date")); res.StatusCode != 200 || err != nil || c.now().Sub(date).Abs() > time.Minute {
		t.Errorf("HTTP %d, Date %s, %v", res.StatusCode, res.Header.Get("Date"), err)
	}
	c.mu.Lock()
	made := c.st.LoginKeys["late"]
	c.mu.Unlock()
	if made == nil || c.now().Sub(made.Created).Abs() > time.Minute {
		t.Errorf("made %+v", made)
	}
}

// The machine's clock is set back while a cloud rests: what was under way takes no longer for that.
func TestClockSetBackBetweenStarts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := start(t, Options{Dir: dir})
	slow := Fast()
	slow.Server = 2 * time.Second
	c.SetLatency(slow)
	no := c.newVPCServer(nil)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}

	file := filepath.Join(dir, "state.json")
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var s state
	if err := json.Unmarshal(b, &s); err != nil {
		t.Fatal(err)
	}
	s.Saved = s.Saved.Add(25 * time.Hour)
	for _, thing := range s.things() {
		for i := range thing.common().Next {
			thing.common().Next[i].At = thing.common().Next[i].At.Add(25 * time.Hour)
		}
	}
	if b, err = json.Marshal(&s); err == nil {
		err = os.WriteFile(file, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	d := start(t, Options{Dir: dir})
	d.waitVPC(no, "RUN/NULL")
}
