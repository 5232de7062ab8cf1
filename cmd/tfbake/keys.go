package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/tfbake/tfbake/internal/bake"
	"github.com/tfbake/tfbake/internal/config"
	"github.com/tfbake/tfbake/internal/journal"
	"github.com/tfbake/tfbake/internal/ncloud"
	"github.com/tfbake/tfbake/internal/render"
	"github.com/tfbake/tfbake/internal/seal"
)

// keys makes login keys through the API: a pair of our own is imported; where the API refuses that, it makes one.
type keys struct {
	client   *ncloud.Client
	platform config.Platform
}

// sealedKey is the file of the run directory that holds the login key's private half, sealed.
const sealedKey = "login-key.sealed"

func (k keys) Make(ctx context.Context, run *journal.Run, name string) (bake.LoginKey, error) {
	private, public, err := bake.NewKeyPair(name)
	if err != nil {
		return bake.LoginKey{}, err
	}
	if err := k.seal(ctx, run, private); err != nil {
		return bake.LoginKey{}, err
	}
	api := k.client.On(string(k.platform))
	_, err = api.ImportLoginKey(ctx, name, public)
	if err == nil {
		return bake.LoginKey{Name: name, PrivateKey: private}, nil
	}
	if ncloud.IsAuth(err) || ncloud.IsUncertain(err) || ncloud.IsExists(err) || ctx.Err() != nil {
		return bake.LoginKey{}, fmt.Errorf("import the login key %s: %w", name, err)
	}
	made, createErr := api.CreateLoginKey(ctx, name)
	if createErr != nil {
		return bake.LoginKey{}, fmt.Errorf("make the login key %s: %w", name, errors.Join(createErr, err))
	}
	return bake.LoginKey{Name: name, PrivateKey: []byte(made.PrivateKey)}, k.seal(ctx, run, []byte(made.PrivateKey))
}

func (k keys) seal(ctx context.Context, run *journal.Run, private []byte) error {
	sealed, err := seal.Seal(k.client.Credentials(ctx).SecretKey, run.Facts.RunID, private)
	if err != nil {
		return err
	}
	return render.Write(run.Dir, render.Files{sealedKey: []byte(sealed + "\n")})
}

func (k keys) Recall(run *journal.Run, name string) (bake.LoginKey, error) {
	sealed, err := os.ReadFile(filepath.Join(run.Dir, sealedKey))
	if err != nil {
		return bake.LoginKey{}, err
	}
	now := k.client.Credentials(context.Background())
	private, err := seal.Open(now.SecretKey, run.Facts.RunID, strings.TrimSpace(string(sealed)))
	if errors.Is(err, seal.ErrKey) && !now.Expires.IsZero() {
		err = fmt.Errorf("it was sealed with another secret key, and the %s change in time: such a run cannot be resumed, `tfbake destroy %s` ends it", now, run.Facts.RunID)
	}
	return bake.LoginKey{Name: name, PrivateKey: private}, err
}

func (k keys) Delete(ctx context.Context, name string) error {
	return k.client.On(string(k.platform)).DeleteLoginKey(ctx, name) // one that is gone already is no error
}
