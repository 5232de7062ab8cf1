package terraform

import (
	"maps"
	"path/filepath"
	"testing"
)

// terraform runs in the directory, so that a relative path to our file there would lead nowhere.
func TestOwnConfigIsAbsolute(t *testing.T) {
	if p := Environment(EnvOptions{Dir: ".tfbake/runs/x"})["TF_CLI_CONFIG_FILE"]; !filepath.IsAbs(p) {
		t.Errorf("TF_CLI_CONFIG_FILE=%s", p)
	}
}

func TestEnvironment(t *testing.T) {
	base := map[string]string{"CHECKPOINT_DISABLE": "1", "TF_CLI_CONFIG_FILE": "/run/.terraformrc"}
	for name, c := range map[string]struct {
		o    EnvOptions
		want map[string]string
	}{
		"nothing": {EnvOptions{}, nil},
		"hostile": {EnvOptions{Environ: []string{
			"TF_CLI_ARGS=-bogus", "TF_CLI_ARGS_apply=-bogus", "TF_VAR_name=evil", "TF_LOG=TRACE", "TF_LOG_PATH=/tmp/x", "TF_DATA_DIR=/elsewhere",
			"TF_WORKSPACE=other", "TF_REATTACH_PROVIDERS={}", "TF_INPUT=1", "TF_IN_AUTOMATION=", "AWS_SECRET_ACCESS_KEY=s", "LD_PRELOAD=/x.so",
			"NCLOUD_SUPPORT_VPC=true", "NCLOUD_ACCESS_KEY_ID=other", "broken", "=", "HOME=", "PATH=/bin", "TMPDIR=/x", "TMPDIR=",
		}}, map[string]string{"PATH": "/bin"}},
		"wanted": {EnvOptions{Environ: []string{
			"PATH=/bin", "HOME=/home/u", "TMPDIR=/t", "https_proxy=http://p", "NO_PROXY=x", "SSL_CERT_FILE=/c", "TF_ENCRYPTION=e=1", "NCLOUD_REGION=SGN", "NCLOUD_API_GW=http://gw",
		}}, map[string]string{
			"PATH": "/bin", "HOME": "/home/u", "TMPDIR": "/t", "https_proxy": "http://p", "NO_PROXY": "x", "SSL_CERT_FILE": "/c", "TF_ENCRYPTION": "e=1", "NCLOUD_REGION": "SGN", "NCLOUD_API_GW": "http://gw",
		}},
		"the place wins": {EnvOptions{Environ: []string{"NCLOUD_ACCESS_KEY=a", "NCLOUD_SITE=fin", "NCLOUD_REGION=KR"}, Region: "SGN", Site: "gov"},
			map[string]string{"NCLOUD_ACCESS_KEY": "a", "NCLOUD_REGION": "SGN", "NCLOUD_SITE": "gov"}},
		"own gateway, no site": {EnvOptions{Environ: []string{"NCLOUD_SITE=fin"}, APIGateway: "http://127.0.0.1:1", Site: "gov"},
			map[string]string{"NCLOUD_API_GW": "http://127.0.0.1:1"}},
		"the user's CLI config, relative": {EnvOptions{Environ: []string{"TF_CLI_CONFIG_FILE=my.tfrc", "TF_PLUGIN_CACHE_DIR=/cache"}, Cwd: "/here"},
			map[string]string{"TF_CLI_CONFIG_FILE": "/here/my.tfrc", "TF_PLUGIN_CACHE_DIR": "/cache", "TF_PLUGIN_CACHE_MAY_BREAK_DEPENDENCY_LOCK_FILE": "1"}},
		"passed on": {EnvOptions{Environ: []string{"AWS_ACCESS_KEY_ID=a", "PGPASSWORD=p"}, Pass: []string{"AWS_ACCESS_KEY_ID=a"}},
			map[string]string{"AWS_ACCESS_KEY_ID": "a"}},
	} {
		t.Run(name, func(t *testing.T) {
			c.o.Dir = "/run"
			want := maps.Clone(base)
			maps.Copy(want, c.want)
			if got := Environment(c.o); !maps.Equal(got, want) {
				t.Errorf("got  %v\nwant %v", got, want)
			}
		})
	}
}
