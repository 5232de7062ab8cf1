package terraform

import (
	"context"
	"errors"
)

// FindOptions tell where to look for terraform.
type FindOptions struct {
	Path          string // -terraform or TFBAKE_TERRAFORM: this one and no other
	SearchPath    string // default $PATH
	PinnedVersion string // what to download when there is none; default DefaultVersion
	CacheDir      string // where downloads are kept; empty: no download
	ReleasesURL   string // mirror of releases.hashicorp.com; empty: that itself
	Log           Log
}

// Find returns the program to use.
func Find(ctx context.Context, o FindOptions) (Binary, error) {
	return Binary{}, errors.New("find terraform: not written yet")
}
