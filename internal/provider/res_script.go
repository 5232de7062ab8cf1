package provider

import (
	"context"
	"strings"
	"time"

	"github.com/zclconf/go-cty/cty"

	"github.com/tfbake/tfbake/internal/ncloud"
)

// initScript is ncloud_init_script.
func initScript() *resource {
	return &resource{
		name: "ncloud_init_script",
		schema: schema{attributes: map[string]*attribute{
			"id":             text(computed),
			"name":           text(optional, computed, forceNew, check(instanceName)),
			"content":        text(required, forceNew),
			"description":    text(optional, computed, forceNew, check(length(0, 1000))),
			"os_type":        text(optional, computed, forceNew, check(oneOf("LNX", "WND"))),
			"init_script_no": text(computed),
		}}.finish(),
		create: func(ctx context.Context, s *session, o *object) error {
			i, err := s.vpc.CreateInitScript(ctx, ncloud.CreateInitScript{
				Name: o.text("name"), Description: o.text("description"), Content: o.text("content"), OSType: o.text("os_type"),
			})
			if err == nil {
				setInitScript(o, i)
			}
			return err
		},
		read: func(ctx context.Context, s *session, o *object) (bool, error) {
			i, err := s.vpc.GetInitScriptDetail(ctx, o.text("id"))
			if err != nil {
				return missingIsFine(err)
			}
			setInitScript(o, i)
			return true, nil
		},
		delete: func(ctx context.Context, s *session, o *object) error {
			no := o.text("id")
			err := s.insist(ctx, "delete init script "+no, stillUsed(), func(ctx context.Context) error { return s.vpc.DeleteInitScripts(ctx, no) })
			if gone(err) {
				return nil
			}
			if err != nil { // refused: perhaps because it is gone; the API has no code of its own for that
				if _, lookErr := s.vpc.GetInitScriptDetail(ctx, no); gone(lookErr) {
					return nil
				}
			}
			return err
		},
	}
}

func setInitScript(o *object, i ncloud.InitScript) {
	o.setText("id", i.No)
	o.setText("init_script_no", i.No)
	o.setText("name", i.Name)
	o.setTextIf("os_type", i.OSType)
	o.setTextIf("content", i.Content) // lists and some answers come without
	if i.Description != "" || o.get("description").IsNull() || !o.get("description").IsKnown() {
		if i.Description == "" {
			o.set("description", cty.NullVal(cty.String))
		} else {
			o.setText("description", i.Description)
		}
	}
}

// loginKey is ncloud_login_key of the flavour. Its private key is in the state, as with the official provider: tfbake makes its
// own keys through the API and does not use this resource.
func loginKey() *resource {
	return &resource{
		name: "ncloud_login_key",
		schema: schema{attributes: map[string]*attribute{
			"id":          text(computed),
			"key_name":    text(required, forceNew, check(length(3, 30))),
			"private_key": text(computed, sensitive),
			"fingerprint": text(computed),
		}}.finish(),
		timeouts: map[string]time.Duration{"create": 5 * time.Minute, "delete": 5 * time.Minute},
		importAs: "key_name",
		create: func(ctx context.Context, s *session, o *object) error {
			name := o.text("key_name")
			k, err := s.api.CreateLoginKey(ctx, name)
			if err != nil {
				return err
			}
			o.setText("id", name)
			o.setText("private_key", strings.TrimSpace(k.PrivateKey)) // shown this once
			return s.wait(ctx, "login key "+name+" to be listed", func(ctx context.Context) (string, bool, error) {
				k, found, err := s.loginKey(ctx, name)
				if found {
					o.setText("fingerprint", k.Fingerprint)
				}
				return "", found, err
			})
		},
		read: func(ctx context.Context, s *session, o *object) (bool, error) {
			k, found, err := s.loginKey(ctx, o.text("key_name"))
			if found {
				o.setText("id", k.Name)
				o.setText("key_name", k.Name)
				o.setText("fingerprint", k.Fingerprint)
			}
			return found, err
		},
		delete: func(ctx context.Context, s *session, o *object) error {
			name := o.text("key_name")
			return s.wait(ctx, "login key "+name+" to be gone", func(ctx context.Context) (string, bool, error) {
				_, found, err := s.loginKey(ctx, name)
				if err != nil || !found {
					return "", err == nil, err
				}
				err = s.api.DeleteLoginKey(ctx, name)
				if err != nil && (busy(err) || gone(err)) {
					err = nil
				}
				return "listed", false, err
			})
		},
	}
}

// loginKey looks a key up by its exact name; the API also finds others that contain it.
func (s *session) loginKey(ctx context.Context, name string) (ncloud.LoginKey, bool, error) {
	keys, err := s.api.GetLoginKeyList(ctx, name)
	for _, k := range keys {
		if k.Name == name {
			return k, true, err
		}
	}
	return ncloud.LoginKey{}, false, err
}
